"""Size, latency and accuracy of AAWideResNet16_4(weights="cifar100") in the formats of exports, side by side.

    python benchmarks/exports.py --data_dir=FOLDER                     # some five minutes on two cores
    python benchmarks/exports.py --data_dir=FOLDER --images=10000      # all test images
    python benchmarks/exports.py --latency --rounds=5                  # four networks in all runtimes, batches, threads

FOLDER has CIFAR-100 as TensorFlow Datasets prepares it, by default that of AA_KERAS_DATA. Each export is made and
checked by `aa_keras.export`, then run in its own runtime, all in turns in one process: the best of several turns, for
one image and for a batch. "int8" has dynamic range; "int8, calibrated" uses 300 training images.
"""

import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

DATA_DIR = flags.DEFINE_string("data_dir", os.environ.get("AA_KERAS_DATA"), "Folder of TensorFlow Datasets.")
IMAGES = flags.DEFINE_integer("images", 1000, "Test images.", 1, 10_000)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.", 1)
ROUNDS = flags.DEFINE_integer("rounds", 20, "How often each network has its turn.", 1)
LATENCY = flags.DEFINE_bool("latency", False, "Measure latency and throughput instead: see export_latency.py.")
OUTPUT = flags.DEFINE_string(
    "output", "benchmarks/results", "Folder of exports.json and exports.md, exports_10000.json, export_latency.json ..."
)

CALIBRATION = 300
# Name, format, quantization, and whether it is calibrated.
VARIANTS = (
    ("SavedModel", "saved_model", "none", False),
    ("ONNX", "onnx", "none", False),
    ("LiteRT", "litert", "none", False),
    ("LiteRT, float16", "litert", "float16", False),
    ("LiteRT, int8", "litert", "int8", False),
    ("LiteRT, int8, calibrated", "litert", "int8", True),
)


def main(_):
    if LATENCY.value:
        import export_latency

        found = export_latency.measured(ROUNDS.value)
        write("export_latency", export_latency.markdown(found), {"seconds": found})
        return
    import measure
    import numpy as np

    from aa_keras.applications import AAWideResNet16_4
    from aa_keras.data import load_dataset
    from aa_keras.export import servable_for

    logging.set_verbosity(logging.ERROR)  # TensorFlow Datasets logs its cache
    dataset = load_dataset("cifar100", data_dir=DATA_DIR.value)
    test, calibration = dataset.test, dataset.train.images[:CALIBRATION]
    images, labels = test.images[: IMAGES.value], test.labels[: IMAGES.value]
    servable = servable_for(AAWideResNet16_4(weights="cifar100"))
    with tempfile.TemporaryDirectory() as folder:
        runs = {"Keras": (servable.predictor().run, None)}
        for name, *variant in VARIANTS:
            runs[name] = export(servable, pathlib.Path(folder) / name, calibration, *variant)
        rows = {name: {"size_mb": size, "milliseconds": {}} for name, (_, size) in runs.items()}
        for count in (1, BATCH_SIZE.value):
            for name, seconds in measure.best_of_turns(
                {name: run for name, (run, _) in runs.items()}, images[:count], ROUNDS.value
            ).items():
                rows[name]["milliseconds"][count] = 1e3 * seconds / count
        for name, (run, _) in runs.items():
            batches = [images[start : start + BATCH_SIZE.value] for start in range(0, len(images), BATCH_SIZE.value)]
            predicted = np.concatenate([np.argmax(run(batch)["probabilities"], axis=1) for batch in batches])
            rows[name]["top1"] = float(np.mean(predicted == labels))
    name = "exports" if len(images) == IMAGES.default else f"exports_{len(images)}"
    write(name, markdown(rows, len(images)), {"test_images": len(images), "networks": rows})


def write(name, table, content):
    """Prints a table, and writes it and the measurements."""
    import measure

    print(f"{measure.device()}\n{table}")
    output = pathlib.Path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    content = {"device": measure.device(), **content}
    (output / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (output / f"{name}.md").write_text(table + "\n", encoding="utf-8")


def export(servable, path, calibration, export_format, quantize, calibrated):
    """Exports a network, and returns a function that runs the export, and its size in megabytes."""
    from aa_keras.export import export_servable, runtimes

    chosen = calibration if calibrated else None
    report = export_servable(servable, path, export_format, quantize=quantize, calibration=chosen)
    print(report)
    return runtimes.RUNTIMES[export_format](str(path)), report.size / 1e6


def markdown(rows, count):
    """Returns a table of the measurements, with ratios to Keras's times."""
    lines = [
        f"| network | MB | one image | each of {BATCH_SIZE.value} | top-1, {count:,} test images |",
        "| --- | --- | --- | --- | --- |",
    ]
    keras_times = rows["Keras"]["milliseconds"]
    for name, row in rows.items():
        size = "" if row["size_mb"] is None else f"{row['size_mb']:.2f}"
        times = (f"{time:.2f} ms, {keras_times[count] / time:.1f}x" for count, time in row["milliseconds"].items())
        lines.append(f"| {name} | {size} | {' | '.join(times)} | {row['top1']:.2%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
