"""Attention before and now, in float32 and bfloat16: time and memory of the core and of whole networks.

    python benchmarks/precision.py                       # some ten minutes on two cores
    python benchmarks/precision.py --cases=core_14,core_32

The two versions take turns in one process, for each of the precisions; each peak has a process of its own. With
--implementation=pallas, or another one, that is what is measured now, against dense attention before. A core is the
relative attention of `aa_resnet50` (14x14, 28x28) or `aa_wide_resnet28_10` (32x32), without the projections
around it. Ratios are to the earlier attention in the same precision. KERAS_BACKEND=jax measures on JAX.
"""

import contextlib
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

# Side, dk and dv of cores; builders.
CORES = {"core_14": (14, 160, 24), "core_28": (28, 160, 16), "core_32": (32, 160, 16)}
NETWORKS = ("AAWideResNet28_10", "AAResNet50")
HEADS = 8
PRECISIONS = ("float32", "mixed_bfloat16")

CASES = flags.DEFINE_list("cases", [*CORES, *NETWORKS], f"Of {', '.join([*CORES, *NETWORKS])}.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images in a batch.", lower_bound=1)
IMPLEMENTATION = flags.DEFINE_string("implementation", "dense", "Of attention now.")
SECONDS = flags.DEFINE_float("seconds", 10.0, "To measure each function for.", lower_bound=0.0)
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of precision.json and precision.md.")
CASE = flags.DEFINE_string("case", None, "Measures one case, a JSON object, in this process: for internal use.")


def main(_):
    if CASE.value is not None:
        print(json.dumps(measure(**json.loads(CASE.value))))
        return
    from measure import in_a_process

    rows = []
    for what in CASES.value:
        for precision in PRECISIONS:
            case = {"what": what, "precision": precision, "implementation": IMPLEMENTATION.value}
            case |= {"batch_size": BATCH_SIZE.value, "seconds": SECONDS.value}
            row = {**case, **in_a_process(__file__, case)}
            for way in ("was", "is"):
                row |= in_a_process(__file__, {**case, "peak_of": way})
            rows.append(row)
            print(formatted(row), flush=True)
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "precision.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    header = "| | precision | inference, ms | | | training, ms | | | peak, MiB | | |"
    columns = "| | | before | now | ratio | before | now | ratio | before | now | ratio |"
    lines = [rows[0].get("device", ""), "", header, "| --- " * 11 + "|", columns, *map(formatted, rows)]
    (folder / "precision.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def formatted(row):
    """Returns a row of the table."""
    name = f"core, {CORES[row['what']][0]}x{CORES[row['what']][0]}" if row["what"] in CORES else row["what"]
    if "failed" in row:
        return f"| {name} | {row['precision']} | {row['failed'][:100]} " + "| " * 8 + "|"
    cells = [name, row["precision"]]
    for quantity, digits in (("inference_ms", 1), ("training_ms", 1), ("peak_mebibytes", 0)):
        was, now = (row.get(f"{way}_{quantity}", float("nan")) for way in ("was", "is"))
        cells += [f"{was:.{digits}f}", f"{now:.{digits}f}", f"{was / now:.2f}"]
    return f"| {' | '.join(cells)} |"


def measure(what, precision, implementation, batch_size, seconds, peak_of=None):
    """Returns the times of both versions, or with `peak_of` the peak of memory of one."""
    import measure as measuring

    functions = core(what, precision, batch_size) if what in CORES else network(what, precision, batch_size)
    if peak_of is not None:
        with way(peak_of, implementation) as today, measuring.PeakMemory() as peak:
            inference, training, inputs = functions(today)
            measuring.wait(training(*inputs))
        return {f"{peak_of}_peak_mebibytes": peak.bytes / 2**20}
    calls = {}
    for name in ("was", "is"):
        with way(name, implementation) as today:
            inference, training, inputs = functions(today)
            calls |= {f"{name}_inference_ms": (inference, inputs), f"{name}_training_ms": (training, inputs)}
            measuring.wait([inference(*inputs), training(*inputs)])  # traced in this context
    times = measuring.seconds(calls, at_least=seconds)
    return {**{name: 1e3 * duration for name, duration in times.items()}, "device": measuring.device()}


@contextlib.contextmanager
def way(name, implementation):
    """Yields the implementation of attention to measure, in a context in which that is the earlier or today's."""
    import earlier

    if name == "is":
        yield implementation
        return
    with earlier.attention_as_it_was():
        yield "dense"


def core(what, precision, batch_size):
    import measure as measuring
    import numpy as np
    from keras import ops

    from aa_keras import attention

    size, key_depth, value_depth = CORES[what]
    generator = np.random.default_rng(0)
    space = (batch_size, HEADS, size, size)
    shapes = [(*space, key_depth // HEADS), (*space, key_depth // HEADS), (*space, value_depth // HEADS)]
    shapes += 2 * [(2 * size - 1, key_depth // HEADS)]
    dtype = precision.removeprefix("mixed_")
    inputs = [ops.convert_to_tensor(generator.normal(size=shape).astype("float32"), dtype=dtype) for shape in shapes]

    def functions(implementation):
        def attend(queries, keys, values, *tables):
            relative = [attention.relative_embeddings(table, size) for table in tables]
            return attention.attention_2d(queries, keys, values, *relative, implementation=implementation)

        return measuring.forward(attend, inputs), measuring.forward_and_backward(attend, inputs), inputs

    return functions


def network(builder, precision, batch_size):
    import keras
    import measure as measuring
    import numpy as np

    from aa_keras import applications

    keras.config.set_dtype_policy(precision)

    def functions(implementation):
        model = measuring.compiled(getattr(applications, builder), implementation=implementation)
        images = np.random.default_rng(0).normal(size=(batch_size, *model.input_shape[1:])).astype("float32")
        labels = np.zeros(batch_size, "int32")
        return lambda: model.predict_on_batch(images), lambda: model.train_on_batch(images, labels), ()

    return functions


if __name__ == "__main__":
    app.run(main)
