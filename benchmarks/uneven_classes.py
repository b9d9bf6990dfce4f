"""Trains on five classes with 1,000 to 10 images: with nothing about that, with weights, and with balanced sampling.

    AA_KERAS_DATA=FOLDER python benchmarks/uneven_classes.py      # a quarter of an hour on two cores; it resumes

The classes are superclasses of CIFAR-100, which FOLDER has as TensorFlow Datasets, written as an image folder into
runs/uneven. Each run is measured on test images that are as uneven as the training images, and on 500 of each class.
It writes benchmarks/results/uneven_classes.json and prints the table of docs/results.md.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = pathlib.Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "uneven_classes.json"
FOLDER = ROOT / "runs" / "uneven"
TRAINING = {"flowers": 1000, "fish": 300, "trees": 100, "people": 30, "insects": 10}
SEEDS = range(3)
VARIANTS = {
    "nothing": (),
    "`class_weights=balanced`": ("--config.class_weights=balanced",),
    "`sampling=balanced`": ("--config.sampling=balanced",),
}
RECIPE = (
    *("--config=image_folder", "--config.image_size=32", "--config.builder=AAWideResNet", "--config.epochs=30"),
    "--config.builder_arguments={'depth': 10, 'width': 1, 'num_heads': 2, 'attention_stages': (2, 3)}",
    *("--config.batch_size=32", "--config.learning_rate_per_256=0.4", "--config.weight_decay=5e-4"),
)
MEASURES = {"top-1": "top1", "balanced accuracy": "balanced_accuracy", "macro F1": "macro_f1"}


def write_images():
    """Writes the images of the first examples of each class: training, uneven test, balanced test."""
    import tensorflow_datasets as tfds
    from PIL import Image

    data = pathlib.Path(os.environ["AA_KERAS_DATA"]) / "tfds"
    names = tfds.builder("cifar100", data_dir=data).info.features["coarse_label"].names
    for split, part in (("train", "data/train"), ("test", "data/test"), ("test", "balanced")):
        written = dict.fromkeys(TRAINING, 0)
        for example in tfds.as_numpy(tfds.load("cifar100", split=split, data_dir=data)):
            name = names[example["coarse_label"]]
            wanted = {"data/train": TRAINING.get(name, 0), "data/test": TRAINING.get(name, 0) // 2}.get(part, 500)
            if name in written and written[name] < wanted:
                folder = FOLDER / part / name
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(example["image"]).save(folder / f"{written[name]:04d}.png")
                written[name] += 1


def run(options, seed, workdir):
    """Trains a network, and returns what `evaluation.json` says of both test folders."""
    options = (*RECIPE, *options, f"--config.data_dir={FOLDER / 'data'}", f"--config.seed={seed}")
    _call("train.py", *options, f"--workdir={workdir}")
    evaluated = {}
    for name, arguments in (("uneven", ()), ("balanced", (f"--data_dir={FOLDER / 'balanced'}",))):
        output = workdir.with_name(f"{workdir.name}_{name}")
        _call("evaluate.py", f"--workdir={workdir}", f"--output={output}", *arguments)
        measured = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
        evaluated[name] = {measure: measured[measure] for measure in MEASURES.values()}
    return evaluated


def _call(program, *arguments):
    subprocess.run([sys.executable, ROOT / program, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def main():
    if not (FOLDER / "balanced").exists():
        write_images()
    results = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    for seed in SEEDS:
        for name, options in VARIANTS.items():
            key = f"{name}, seed {seed}"
            if key not in results:
                workdir = FOLDER / f"{name.strip('`').replace('=', '_')}_seed{seed}"
                results[key] = run(options, seed, workdir)
                RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
            print(f"{key}: {results[key]}", flush=True)
    for part in ("uneven", "balanced"):
        print(f"\n| {part} test images | {' | '.join(MEASURES)} |\n| --- | --- | --- | --- |")
        for name in VARIANTS:
            of_seeds = [results[f"{name}, seed {seed}"][part] for seed in SEEDS]
            cells = []
            for measure in MEASURES.values():
                values = [100 * one[measure] for one in of_seeds]
                cells.append(f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
            print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
