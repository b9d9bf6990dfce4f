"""The outcome of training: files of the network, its evaluation, and the result."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import statistics
import subprocess

import keras

import aa_keras
from aa_keras.export.saved_model import SPEC
from aa_keras.files import partial_path, write_json, write_whole
from aa_keras.training import stopping
from aa_keras.training.advice import Curves, advice


def finish(run, complexity, averaged):
    """Writes the networks, the curves, the SavedModel and the result of a run, and returns the latter.

    Args:
        run: `Run`, trained.
        complexity: `ModelComplexity` of the network.
        averaged: the moving average of the network's weights, a list of arrays; or None.
    """
    task, state, checkpoints, directory = run.task, run.state, run.checkpoints, run.directory
    model = task.inference_model()
    if state.best is not None:
        model.load_weights(checkpoints.best_weights(state))
        _save_whole(model, directory / "best.keras")
    model.load_weights(checkpoints.weights(state))
    # How raw images become its inputs, for `aa_keras.export.load_predictor`.
    write_whole(directory / SPEC, task.servable(model).spec.as_json() + "\n")
    _save_whole(model, directory / "model.keras")
    task.plot_curves(state.history, directory / "curves.png")
    last = task.evaluate(model)
    of_average = None
    if averaged is not None:
        model.set_weights(averaged)
        _save_whole(model, directory / "averaged.keras")
        of_average = task.evaluate(model)
    if run.config.export:
        task.export(model, directory / "saved_model")
    result = _result(run, complexity, last, of_average)
    write_json(directory / "result.json", result)
    print(f"Test: {last.summary()}")
    if of_average is not None:
        print(f"Test, averaged weights: {of_average.summary()}")
    if state.skipped:
        skipped, given = len(state.skipped), task.training_examples
        print(f"Corrupt training {task.examples} that were skipped: {skipped:,} of {given:,}")
    if run.stopped is not None:
        print(stopping.described(run))
    curves = Curves(state.history, task.best_metric, last.missed_classes)
    for sentence in advice(curves):
        print(sentence)
    print(f"{directory.path}: {', '.join(sorted(path.name for path in directory.path.iterdir()))}")
    return result


def _save_whole(model, path):
    """Writes a model so that a reader finds a whole file or none, also after a kill."""
    model.save(partial_path(path))
    os.replace(partial_path(path), path)


def _result(run, complexity, last, of_average):
    task, state = run.task, run.state
    seconds = [row["seconds"] for row in state.history]
    averaged = None
    if of_average is not None:
        averaged = {name: value for name, value in of_average.numbers().items() if name != "test_examples"}
    return {
        **last.numbers(),
        "averaged": averaged,
        f"best_validation_{task.best_metric}": state.best,
        "parameters": complexity.parameters,
        "flops": complexity.flops,
        "epochs": state.epochs,
        "stopped": run.stopped,
        f"skipped_{task.examples}": len(state.skipped),
        "training_examples_per_second": run.steps_per_epoch * run.config.batch_size / statistics.median(seconds),
        "training_seconds": sum(seconds),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "backend": keras.backend.backend(),
        "versions": {
            "python": platform.python_version(),
            "aa-keras": aa_keras.__version__,
            **{name: _version(name) for name in ("keras", "tensorflow", "jax", "torch", "numpy")},
        },
        "machine": f"{platform.machine()}, {platform.system()}",
        "git_revision": _git_revision(),
    }


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision():
    """Returns the commit of the checkout that the library runs from, marked if files differ; None outside of one."""
    folder = pathlib.Path(__file__).parent
    command = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
