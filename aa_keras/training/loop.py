"""From a recipe to a trained, evaluated and exported model."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import keras

from aa_keras import evaluation, visualization
from aa_keras.complexity import model_complexity
from aa_keras.data import CorruptFiles, evaluation_dataset, training_dataset
from aa_keras.errors import UserError
from aa_keras.export import export_saved_model
from aa_keras.recipes import check_config, dataset_from, model_from, preprocessing_from
from aa_keras.run_directory import PARTIAL, RunDirectory, config_as_dictionary, read_json, write_json
from aa_keras.training.callbacks import EpochRecorder, EpochSummary, StopOnNonFinite, StopOnSigterm, write_metrics
from aa_keras.training.checkpoints import Checkpoints
from aa_keras.training.optimization import compile_model


def train_and_evaluate(config, workdir=None, overwrite=False):
    """Trains a model as a recipe says, evaluates it once on the test images, and writes a run directory.

    Started again with the same config, an interrupted run goes on from its last finished epoch, and a finished one
    only reports its result.

    Args:
        config: recipe, an `ml_collections.ConfigDict` from `aa_keras.recipes.default_config`.
        workdir: the run directory; None takes runs/ and the name of the recipe.
        overwrite: whether another run in that directory may be replaced.

    Returns:
        The result, a dictionary, as in `result.json`.

    Raises:
        UserError: for a config or a directory that cannot be used, and where the loss becomes infinite or NaN.
        Terminated: if SIGTERM came; nothing but the epoch under way is lost.
    """
    check_config(config)
    with StopOnSigterm(config.epochs, overwrite) as stop:
        return _train_and_evaluate(config, workdir, overwrite, stop)


def _train_and_evaluate(config, workdir, overwrite, stop):
    run = RunDirectory(workdir or pathlib.Path("runs") / config.name)
    as_dictionary = config_as_dictionary(config)
    run.check(as_dictionary, overwrite)
    if (run / "result.json").exists() and not overwrite:
        result = read_json(run / "result.json")
        print(f"{run.path} holds this run, finished: {_describe(result)}")
        return result

    dataset = dataset_from(config)
    data = _fingerprint(dataset)
    run.check_data(data, overwrite)
    steps_per_epoch = _steps_per_epoch(config, dataset)
    keras.utils.set_random_seed(config.seed)
    model = model_from(config, dataset, classifier_activation=None)
    compile_model(model, config, steps_per_epoch * config.epochs)

    run.path.mkdir(parents=True, exist_ok=True)
    with run.held():
        run.start(as_dictionary, overwrite, data)
        return _go_on(config, dataset, model, steps_per_epoch, run, stop)


def _go_on(config, dataset, model, steps_per_epoch, run, stop):
    """Does what `train_and_evaluate` says, in a run directory that is ready."""
    complexity = model_complexity(model)
    print(_headline(config, dataset, complexity))
    preprocessing = preprocessing_from(config, dataset)
    checkpoints = Checkpoints(run / "checkpoints")
    stop.state = state = checkpoints.restore(model)
    if state.epochs:
        print(f"Resuming behind epoch {state.epochs} of {config.epochs}, the last that was finished")
    if state.history:
        write_metrics(run / "metrics.csv", state.history)  # a kill may have come between it and the checkpoint
    corrupt_files = CorruptFiles(config.corrupt_files_limit)
    corrupt_files.skipped.update(state.skipped)
    recorder = EpochRecorder(state, checkpoints, run / "metrics.csv", corrupt_files)
    callbacks = [stop, StopOnNonFinite(state, checkpoints), recorder]
    with corrupt_files.as_user_errors():
        _fit(model, config, dataset, preprocessing, steps_per_epoch, run, state, corrupt_files, callbacks)
        classifier = _save_models(model, config, dataset, run, checkpoints, state)
        visualization.plot_curves(state.history, run / "curves.png")
        test = evaluation_dataset(dataset.test, preprocessing, config.batch_size, corrupt_files)
        measured = evaluation.evaluate(classifier.predict_on_batch, test, config.batch_size)
        if config.export:
            export_saved_model(classifier, preprocessing, dataset.class_names, run / "saved_model")
    result = _result(config, measured, complexity, steps_per_epoch, state)
    write_json(run / "result.json", result)
    print(f"Test: {evaluation.summary(measured)}")
    if state.skipped:
        print(f"Corrupt training images that were skipped: {len(state.skipped)}")
    print(f"{run.path}: {', '.join(sorted(path.name for path in run.path.iterdir()))}")
    return result


def _fingerprint(dataset):
    """What tells a data set from another, or from the same folder with other images in it; for `data.json`."""
    return {
        "class_names": list(dataset.class_names),
        "training_images": len(dataset.train),
        "validation_images": len(dataset.validation),
        "test_images": len(dataset.test),
    }


def _steps_per_epoch(config, dataset):
    available = len(dataset.train) // config.batch_size
    if not 1 <= (config.steps_per_epoch or available) <= available:
        raise UserError(
            f"config.batch_size times config.steps_per_epoch must be at most {len(dataset.train)}, the training images "
            f"of {dataset.name!r}. Received: batch_size={config.batch_size}, steps_per_epoch={config.steps_per_epoch}"
        )
    return config.steps_per_epoch or available


def _fit(model, config, dataset, preprocessing, steps_per_epoch, run, state, corrupt_files, callbacks):
    """Trains through the epochs that `state` lacks."""
    if state.epochs >= config.epochs:
        return
    batches = training_dataset(
        dataset.train,
        preprocessing,
        config.batch_size,
        steps_per_epoch,
        config.seed,
        range(state.epochs, config.epochs),
        corrupt_files,
    )
    validation = None
    if len(dataset.validation):
        validation = evaluation_dataset(dataset.validation, preprocessing, config.batch_size, corrupt_files)
    callbacks = [*callbacks, keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False)]
    if not sys.stdout.isatty():
        callbacks.append(EpochSummary(config.epochs))
    model.fit(
        batches,
        epochs=config.epochs,
        initial_epoch=state.epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=validation,
        callbacks=callbacks,
        shuffle=False,  # training_dataset does it
        verbose=1 if sys.stdout.isatty() else 0,
    )


def _save_models(model, config, dataset, run, checkpoints, state):
    """Writes the last and the best network as classifiers with probabilities, and returns the last one."""
    classifier = model_from(config, dataset, classifier_activation="softmax")
    last_weights = model.get_weights()
    best = checkpoints.best_weights(state)
    if best is not None:
        model.load_weights(best)
        classifier.set_weights(model.get_weights())
        _save_whole(classifier, run / "best.keras")
    classifier.set_weights(last_weights)
    _save_whole(classifier, run / "model.keras")
    return classifier


def _save_whole(model, path):
    """Writes a model so that a reader, also after a kill, finds a whole file or none."""
    partial = path.with_name(f"{path.stem}{PARTIAL}{path.suffix}")
    model.save(partial)
    os.replace(partial, path)


def _headline(config, dataset, complexity):
    height, width, channels = dataset.image_shape
    return (
        f"{config.name}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and "
        f"{len(dataset.test):,} test images of {height}x{width}x{channels}, {len(dataset.class_names)} classes\n"
        f"{config.builder}: {complexity.parameters:,} parameters, {complexity.flops / 1e9:.3g} GFLOPs an image, "
        f"on the {keras.backend.backend()} backend"
    )


def _result(config, measured, complexity, steps_per_epoch, state):
    seconds = [row["seconds"] for row in state.history]
    return {
        "top1": measured.top1,
        "top5": measured.top5,
        "loss": measured.loss,
        "test_examples": measured.examples,
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


def _describe(result):
    return (
        f"top-1 {result['top1']:.2%}, top-5 {result['top5']:.2%}, loss {result['loss']:.4f} "
        f"({result['test_examples']:,} test images)"
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
