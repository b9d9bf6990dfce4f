"""What becomes of a network that is trained: files of it, its evaluation, and the result."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import statistics
import subprocess

import keras

from aa_keras import evaluation, visualization
from aa_keras.data import evaluation_dataset
from aa_keras.export import export_saved_model
from aa_keras.files import partial_path, write_json
from aa_keras.recipes import model_from, preprocessing_from

# What every result.json has, with its types.
FIELDS = {"top1": float, "top5": float, "loss": float, "test_examples": int}


def finish(config, dataset, run, checkpoints, state, averaged, complexity, steps_per_epoch, corrupt_files):
    """Writes the networks, the curves, the SavedModel and the result of a run, and returns the latter.

    Args:
        config: the recipe's config.
        dataset: `ImageDataset`.
        run: `RunDirectory`.
        checkpoints: `Checkpoints`.
        state: `TrainingState` of the last one.
        averaged: the moving average of the network's weights, a list of arrays; or None.
        complexity: `Complexity` of the network.
        steps_per_epoch: how many steps an epoch had.
        corrupt_files: `CorruptFiles`.
    """
    preprocessing = preprocessing_from(config, dataset)
    test = evaluation_dataset(dataset.test, preprocessing, config.batch_size, corrupt_files)
    classifier = model_from(config, dataset, classifier_activation="softmax")

    def evaluate():
        return evaluation.evaluate(classifier.predict_on_batch, test, config.batch_size)

    if state.best is not None:
        classifier.load_weights(checkpoints.best_weights(state))
        _save_whole(classifier, run / "best.keras")
    classifier.load_weights(checkpoints.weights(state))
    _save_whole(classifier, run / "model.keras")
    visualization.plot_curves(state.history, run / "curves.png")
    last = evaluate()
    of_average = None
    if averaged is not None:
        classifier.set_weights(averaged)
        _save_whole(classifier, run / "averaged.keras")
        of_average = evaluate()
    if config.export:
        export_saved_model(classifier, preprocessing, dataset.class_names, run / "saved_model")
    result = _result(config, last, of_average, complexity, steps_per_epoch, state)
    write_json(run / "result.json", result)
    print(f"Test: {evaluation.summary(last)}")
    if of_average is not None:
        print(f"Test, averaged weights: {evaluation.summary(of_average)}")
    if state.skipped:
        print(f"Corrupt training images that were skipped: {len(state.skipped)}")
    print(f"{run.path}: {', '.join(sorted(path.name for path in run.path.iterdir()))}")
    return result


def _save_whole(model, path):
    """Writes a model so that a reader, also after a kill, finds a whole file or none."""
    model.save(partial_path(path))
    os.replace(partial_path(path), path)


def _result(config, measured, of_average, complexity, steps_per_epoch, state):
    seconds = [row["seconds"] for row in state.history]
    averaged = None
    if of_average is not None:
        averaged = {"top1": of_average.top1, "top5": of_average.top5, "loss": of_average.loss}
    return {
        "top1": measured.top1,
        "top5": measured.top5,
        "loss": measured.loss,
        "test_examples": measured.examples,
        "averaged": averaged,
        "best_validation_top1": state.best,
        "parameters": complexity.parameters,
        "flops": complexity.flops,
        "epochs": state.epochs,
        "skipped_images": len(state.skipped),
        "training_examples_per_second": steps_per_epoch * config.batch_size / statistics.median(seconds),
        "training_seconds": sum(seconds),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "backend": keras.backend.backend(),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in ("aa-keras", "keras", "tensorflow", "jax", "torch", "numpy")},
        },
        "machine": f"{platform.machine()}, {platform.system()}",
        "git_revision": _git_revision(),
    }


def describe(result):
    """Returns a result as a phrase."""
    averaged = result.get("averaged")
    averaged = f", averaged weights top-1 {averaged['top1']:.2%}" if averaged else ""
    return (
        f"top-1 {result['top1']:.2%}, top-5 {result['top5']:.2%}, loss {result['loss']:.4f} "
        f"({result['test_examples']:,} test images){averaged}"
    )


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision():
    """The commit of the checkout that the library is run from, marked where files differ from it; None elsewhere."""
    folder = pathlib.Path(__file__).parent
    command = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
