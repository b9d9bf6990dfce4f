"""Peak memory of a training step of the augmented networks at their most demanding, each in a process of its own.

    python benchmarks/memory.py                         # some minutes on two cores

Told is what two steps of training take, weights and optimizer included, for several implementations of attention.
KERAS_BACKEND=jax measures on JAX.
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

# Builder, arguments and batch size.
CASES = (
    ("AAWideResNet28_10", {}, 32),
    ("AAResNet50", {"attention_stages": [1, 2, 3, 4], "attention_pooling": 1}, 4),
)

IMPLEMENTATIONS = flags.DEFINE_list("implementations", ["auto", "dense"], "Of attention.")
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of memory.json.")
CASE = flags.DEFINE_string("case", None, "Measures one case, a JSON object, in this process: for internal use.")


def main(_):
    if CASE.value is not None:
        print(json.dumps(measure(**json.loads(CASE.value))))
        return
    from measure import in_a_process

    results = []
    for builder, arguments, batch_size in CASES:
        for implementation in IMPLEMENTATIONS.value:
            case = {"builder": builder, "arguments": arguments, "batch_size": batch_size}
            case["arguments"] = {**arguments, "implementation": implementation}
            results.append({**case, **in_a_process(__file__, case)})
            words = (
                f"{results[-1]['gigabytes']:6.2f} GiB" if "gigabytes" in results[-1] else results[-1]["failed"][:100]
            )
            print(f"{builder}, batch {batch_size}, {case['arguments']}: {words}", flush=True)
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure(builder, arguments, batch_size):
    import measure as measuring
    import numpy as np

    from aa_keras import applications

    with measuring.PeakMemory() as peak:
        model = measuring.compiled(getattr(applications, builder), **arguments)
        images = np.random.default_rng(0).normal(size=(batch_size, *model.input_shape[1:])).astype("float32")
        for _ in range(2):
            model.train_on_batch(images, np.arange(batch_size))
    return {"gigabytes": peak.bytes / 2**30, "device": measuring.device()}


if __name__ == "__main__":
    app.run(main)
