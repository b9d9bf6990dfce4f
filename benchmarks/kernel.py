"""The kernels made for relative attention on a GPU: are they right, how fast, and with which blocks?

    KERAS_BACKEND=jax python benchmarks/kernel.py           # "pallas", some eight minutes on an H200
    KERAS_BACKEND=torch python benchmarks/kernel.py         # "flex"

It tries the kernel as it is tried before it is used, on maps of many sizes, and prints what is wrong. Then it measures
the kernel, the backend's own fused kernel and dense attention, in turns, with the heads of AA-Wide-ResNet-28-10 at
32x32 and 64x64, and of AA-ResNet-50 elsewhere. On JAX it also sweeps the blocks of each of the three kernels, as far as
--sweep_seconds allows. On a CPU the kernels are interpreted, or computed operation by operation, and times say nothing:
use small --sizes there.
"""

import dataclasses
import itertools
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

HEADS, KEY_DIM = 8, 20
# Height, width, channels of a key and of a value in each head.
TRIED = [
    *((side, side, KEY_DIM, 2) for side in (1, 7, 8, 14, 28, 32, 56, 64)),
    *((13, 11, 1, 1), (33, 17, 40, 64), (3, 200, 20, 16), (200, 3, 20, 16), (16, 16, 128, 128)),
]
SWEPT = {"queries": (16, 32, 64, 128), "rows": (1, 2, 4), "warps": (2, 4, 8), "stages": (1, 2, 3)}

SIZES = flags.DEFINE_list("sizes", ["7", "14", "28", "32", "56", "64"], "Heights and widths of the maps.")
SWEEP = flags.DEFINE_list("sweep", ["32", "14"], "Of these sizes the blocks are swept.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images; an eighth of them beyond 32x32.", lower_bound=1)
DTYPE = flags.DEFINE_enum("dtype", "bfloat16", ["float32", "bfloat16", "float16"], "Type of queries, keys and values.")
SECONDS = flags.DEFINE_float("seconds", 0.5, "To measure each function for.", lower_bound=0.0)
SWEEP_SECONDS = flags.DEFINE_float("sweep_seconds", 180.0, "For the sweeps of all sizes together.", lower_bound=0.0)
TRIALS = flags.DEFINE_integer("trials", None, "Attentions to try; all by default.")
OUTPUT = flags.DEFINE_string("output", "benchmarks/results/gpu", "Folder of kernel.json and kernel.md.")


def main(_):
    import keras
    import measure

    kernel = {"jax": "pallas", "torch": "flex"}[keras.backend.backend()]
    lines = [measure.device(), ""]
    results = {"device": measure.device(), "kernel": kernel, "faults": trials(kernel), "times": [], "sweeps": []}
    for size in map(int, SIZES.value):
        results["times"].append(row := times(kernel, size))
        print(row, flush=True)
    lines += table(results["times"])
    if kernel == "pallas":
        for size in map(int, SWEEP.value):
            results["sweeps"] += sweep(size, SWEEP_SECONDS.value / len(SWEEP.value))
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"kernel_{kernel}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / f"kernel_{kernel}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def trials(kernel):
    """Tries a kernel with attentions, and returns what is wrong by their name, or None."""
    from aa_keras.attention import AttentionSpec
    from aa_keras.attention.kernels import fault_obstacle

    faults = {}
    cases = [*itertools.product(TRIED, ["bfloat16"], [True])]
    cases += itertools.product(TRIED[1:2] + TRIED[9:10], ["bfloat16", "float16", "float32"], [True, False])
    for (height, width, key_dim, value_dim), dtype, relative in cases[: TRIALS.value]:
        name = f"{height}x{width}, keys of {key_dim}, values of {value_dim}, {dtype}, relative: {relative}"
        faults[name] = fault_obstacle(kernel, AttentionSpec(2, height, width, key_dim, value_dim, relative, dtype))
        print(f"{name}: {faults[name] or 'right'}", flush=True)
    print(f"{sum(fault is None for fault in faults.values())} of {len(faults)} right")
    return faults


def attention_of(size):
    """Returns queries, keys, values and position logits of a network, and what attends with them."""
    import numpy as np
    from keras import ops

    value_dim = {7: 6, 14: 3, 28: 1, 32: 2, 56: 1, 64: 2}.get(size, 2)
    batch = max(1, BATCH_SIZE.value // 8) if size > 32 else BATCH_SIZE.value
    generator = np.random.default_rng(0)
    lengths = (KEY_DIM, KEY_DIM, value_dim, size, size)
    inputs = [generator.normal(size=(batch, HEADS, size**2, length)).astype("float32") for length in lengths]
    inputs[0] *= KEY_DIM**-0.5
    return [ops.convert_to_tensor(each, DTYPE.value if i < 3 else "float32") for i, each in enumerate(inputs)]


def times(kernel, size):
    """Returns milliseconds forward, and forward and backward, of the kernel and of others."""
    import measure

    from aa_keras.attention.dense import dense_attention
    from aa_keras.attention.kernels import KERNELS

    inputs = attention_of(size)
    row, calls = {"size": size, "batch": inputs[0].shape[0], "dtype": DTYPE.value}, {}
    ways = {kernel: KERNELS[kernel].attend, "fused": KERNELS["fused"].attend, "dense": dense_attention}
    for name, attend in ways.items():

        def function(queries, keys, values, *position_logits, attend=attend):
            return attend(queries, keys, values, position_logits)

        try:
            pair = measure.forward(function, inputs), measure.forward_and_backward(function, inputs)
            for of_pass, compiled in zip(("forward", "training"), pair, strict=True):
                measure.wait(compiled(*inputs))
                calls[f"{name}, {of_pass}"] = (compiled, inputs)
        except Exception as error:  # cuDNN takes no odd number of positions; others may not fit into memory
            row[f"{name}, failed"] = f"{type(error).__name__}: {error}"[:200]
    return row | {name: 1e3 * duration for name, duration in measure.seconds(calls, SECONDS.value).items()}


def table(rows):
    """Returns the lines of a table of milliseconds."""
    columns = list(dict.fromkeys(name for row in rows for name in row if ", " in name and "failed" not in name))
    lines = [f"| map | batch | {' | '.join(columns)} |", "| --- " * (2 + len(columns)) + "|"]
    for row in rows:
        cells = [f"{row[name]:.3f}" if name in row else "" for name in columns]
        lines.append(f"| {row['size']}x{row['size']} | {row['batch']} | {' | '.join(cells)} |")
    return lines


def sweep(size, seconds):
    """Returns milliseconds forward and backward with the blocks of one kernel changed, the fastest first."""
    import measure

    from aa_keras.attention.pallas import pallas_attention, tiling

    inputs = attention_of(size)
    default = tiling(size, size, KEY_DIM)
    end = time.perf_counter() + seconds
    rows = []
    for blocks in changed(default, size):
        if time.perf_counter() > end and rows:
            break

        def function(queries, keys, values, *position_logits, blocks=blocks):
            return pallas_attention(queries, keys, values, position_logits, blocks)

        row = {"size": size, "blocks": {name: dataclasses.asdict(each) for name, each in named(blocks).items()}}
        try:
            backward = measure.forward_and_backward(function, inputs)
            row["training"] = 1e3 * measure.seconds({"training": (backward, inputs)}, SECONDS.value / 5)["training"]
        except Exception as error:  # too many registers, or too much shared memory
            row["failed"] = f"{type(error).__name__}: {error}"[:200]
        print(f"{size}x{size}: {row.get('training', row.get('failed'))} with {difference(default, blocks)}", flush=True)
        rows.append(row)
    return sorted(rows, key=lambda row: row.get("training", float("inf")))


def changed(default, size):
    """Yields the default blocks, and those with one kernel's changed: one number at a time, then two."""
    yield default
    for count in (1, 2):
        for kernel, names in itertools.product(named(default), itertools.combinations(SWEPT, count)):
            if "rows" in names and kernel != "key_gradients":
                continue
            for values in itertools.product(*(SWEPT[name] for name in names)):
                change = dict(zip(names, values, strict=True))
                before = getattr(default, kernel)
                is_new = all(getattr(before, name) != value for name, value in change.items())
                if is_new and size % change.get("rows", 1) == 0 and change.get("queries", 1) <= size**2:
                    yield default._replace(**{kernel: dataclasses.replace(before, **change)})


def named(blocks):
    return {name: each for name, each in blocks._asdict().items() if name != "interpret"}


def difference(default, blocks):
    """Returns the text of the blocks that are not the default ones."""
    return {
        name: each for name, each in named(blocks).items() if each != getattr(default, name)
    } or "the default blocks"


if __name__ == "__main__":
    app.run(main)
