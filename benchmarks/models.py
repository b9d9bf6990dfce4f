"""Images a second of the augmented networks, their plain twins and Keras's ResNet-50, in training and inference.

    python benchmarks/models.py                         # all of them, some ten minutes on two cores
    python benchmarks/models.py --networks=resnet50     # or wide_resnet28_10

All take turns in one process with `fit` and `predict`, on one batch on the device; the best of several turns of some
steps counts. KERAS_BACKEND=jax measures on JAX; on a GPU add --precision=mixed_bfloat16 --batch_size=256 --steps=30.
Model FLOP utilization counts three times the FLOPs of inference for training, as
`aa_keras.complexity.model_complexity` counts them, and is printed for the GPUs in `measure.PEAK_TFLOPS`.
"""

import itertools
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

GROUPS = {
    "resnet50": ("ResNet50", "AAResNet50", "keras.applications.ResNet50"),
    "wide_resnet28_10": ("WideResNet28_10", "AAWideResNet28_10"),
}

NETWORKS = flags.DEFINE_list("networks", list(GROUPS), f"Of {', '.join(GROUPS)}.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images in a batch.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 1, "Batches of a turn.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 8, "How often each network has its turn.", lower_bound=1)
PRECISION = flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16", "mixed_float16"], "Of Keras.")
IMPLEMENTATION = flags.DEFINE_string("implementation", "auto", "Of attention.")
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of models.json.")


def main(_):
    import keras
    import measure

    keras.config.set_dtype_policy(PRECISION.value)
    print(f"{measure.device()}, {PRECISION.value}, batch {BATCH_SIZE.value}")
    results = []
    for group in NETWORKS.value:
        results += measure_group(GROUPS[group])
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"device": measure.device(), "precision": PRECISION.value, "batch_size": BATCH_SIZE.value}
    (folder / "models.json").write_text(json.dumps({**content, "networks": results}, indent=1) + "\n", encoding="utf-8")


def measure_group(names):
    """Measures networks in turns, prints a table of them, and returns its rows."""
    import measure

    from aa_keras.complexity import model_complexity

    models = {name: build(name) for name in names}
    batch = draw_batch(next(iter(models.values())).input_shape[1:])
    best = {name: {"inference": float("inf"), "training": float("inf")} for name in names}
    for turn in range(ROUNDS.value + 1):
        for name, model in models.items():
            for task, run in (("inference", model.predict), ("training", model.fit)):
                begin = time.perf_counter()
                options = {"steps": STEPS.value}
                if task == "training":
                    options = {"steps_per_epoch": STEPS.value, "shuffle": False}
                run(repeated(batch), **options, verbose=0)
                if turn:  # the first step compiles
                    best[name][task] = min(best[name][task], (time.perf_counter() - begin) / STEPS.value)
    print(f"\n{'images a second':30}{'inference':>20}{'training':>20}")
    rows = []
    for name, times in best.items():
        row = {"network": name, **{task: BATCH_SIZE.value / duration for task, duration in times.items()}}
        ratios = {task: best[names[0]][task] / duration for task, duration in times.items()}
        cells = "".join(f"{row[task]:12.2f} {ratios[task]:6.2f}x" for task in times)
        peak = measure.peak_flops(PRECISION.value)
        if peak:
            flops = 3 * model_complexity(models[name]).flops
            row["model_flop_utilisation"] = row["training"] * flops / peak
            cells += f"   utilisation {row['model_flop_utilisation']:.1%}"
        print(f"{name:30}{cells}", flush=True)
        rows.append(row)
    return rows


def draw_batch(shape):
    """Returns random images and labels, on the device."""
    import numpy as np
    from keras import ops

    generator = np.random.default_rng(0)
    images = generator.normal(size=(BATCH_SIZE.value, *shape)).astype("float32")
    return ops.convert_to_tensor(images), ops.convert_to_tensor(generator.integers(0, 100, size=BATCH_SIZE.value))


def repeated(batch):
    """Returns an endless data set of one batch, in the form that the backend takes without a copy."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(batch).repeat()
    return (batch for _ in itertools.count())


def build(name):
    """Returns a compiled network."""
    import keras
    import measure

    from aa_keras import applications

    if name.startswith("keras."):
        return measure.compiled(keras.applications.ResNet50, weights=None)
    options = {"implementation": IMPLEMENTATION.value} if name.startswith("AA") else {}
    return measure.compiled(getattr(applications, name), **options)


if __name__ == "__main__":
    app.run(main)
