"""From a recipe to a trained model, and on to what `outcome` makes of it."""

import contextlib
import pathlib
import sys

import keras

from aa_keras.complexity import model_complexity
from aa_keras.config_fields import check_config
from aa_keras.data import CorruptFiles, training_dataset, validation_dataset
from aa_keras.errors import UserError
from aa_keras.files import read_fields
from aa_keras.recipes import check_backend, dataset_from, mixing_from, model_from, preprocessing_from
from aa_keras.run_directory import RunDirectory, config_as_dictionary, fingerprint
from aa_keras.training import outcome
from aa_keras.training.callbacks import (
    AfterFirstStep,
    EpochRecorder,
    LateTensorBoard,
    Progress,
    StopOnNonFinite,
    StopOnSigterm,
    write_metrics,
)
from aa_keras.training.checkpoints import Checkpoints, TrainingState
from aa_keras.training.distribution import distribution_for
from aa_keras.training.optimization import compile_model


def train_and_evaluate(config, workdir=None, overwrite=False, hosts=None):
    """Trains a model as a recipe says, evaluates it once on the test images, and writes a run directory.

    Started again with the same config, an interrupted run goes on from its last finished epoch, and a finished one
    only reports its result.

    Args:
        config: recipe, an `ml_collections.ConfigDict` from `aa_keras.recipes.default_config`.
        workdir: the run directory; None takes runs/ and the name of the recipe. Of several processes, only the first
            one uses it.
        overwrite: whether another run in that directory may be replaced.
        hosts: `aa_keras.training.Hosts`, where `config.distribution` is "multihost"; else None.

    Returns:
        The result, a dictionary, as in `result.json`.

    Raises:
        UserError: for a config or a directory that cannot be used, where the loss becomes infinite or NaN, and where
            another process is lost.
        Terminated: if SIGTERM came; nothing but the epoch under way is lost.
    """
    check_config(config)
    check_backend(config)
    distribution = distribution_for(config, hosts)  # which, of several hosts, sets a handler of SIGTERM of its own
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(StopOnSigterm(config.epochs, overwrite))
        stack.enter_context(distribution.losing_hosts())
        run = RunDirectory(pathlib.Path("runs") / config.name if workdir is None else workdir)
        return _train_and_evaluate(config, run, overwrite, stop, distribution, stack)


def _train_and_evaluate(config, run, overwrite, stop, distribution, stack):
    """Does so with a context, `stack`, that is left when all is done."""
    as_dictionary = config_as_dictionary(config)
    distribution.check_same("recipe", {name: value for name, value in as_dictionary.items() if name != "data_dir"})
    result = distribution.on_first(_finished_result, run, as_dictionary, overwrite)
    if result is not None:
        return result

    dataset = dataset_from(config)
    data = _fingerprint(dataset)
    distribution.check_same("data", data)
    distribution.on_first(run.check_data, data, overwrite)
    steps_per_epoch = _steps_per_epoch(config, dataset)
    keras.utils.set_random_seed(config.seed)
    corrupt_files = CorruptFiles(config.corrupt_files_limit)
    checkpoints = Checkpoints(run / "checkpoints", fingerprint(as_dictionary))
    with distribution.scope():
        model = model_from(config, dataset, classifier_activation=None)
        distribution.prepare(model)
        compile_model(model, config, steps_per_epoch * config.epochs)
        distribution.on_first(_hold, run, stack)
        complexity = model_complexity(model)
        if distribution.is_first:
            print(_headline(config, dataset, complexity))
        stop.state = state = TrainingState() if overwrite else checkpoints.restore(model, distribution)
        if distribution.is_first and state.epochs:
            print(f"Resuming behind epoch {state.epochs} of {config.epochs}, the last that was finished")
            write_metrics(run / "metrics.csv", state.history)  # a kill may have come between it and the checkpoint
        corrupt_files.skipped.update(state.skipped)

        def start():  # behind the first step: whatever could fail before has not touched anything
            distribution.on_first(run.start, as_dictionary, overwrite, data)

        recorder = EpochRecorder(state, checkpoints, run / "metrics.csv", corrupt_files, distribution)
        callbacks = [stop, StopOnNonFinite(state, checkpoints), recorder]
        if state.epochs:
            start()
        else:
            callbacks.insert(2, AfterFirstStep(start))
        with corrupt_files.as_user_errors():
            _fit(model, config, dataset, steps_per_epoch, run, state, corrupt_files, callbacks, distribution)
        if config.ema_momentum:
            # As `fit` does at its end, in case there was nothing left to fit.
            model.optimizer.finalize_variable_values(model.trainable_variables)
        averaged = model.get_weights() if config.ema_momentum else None

    def finish():
        with corrupt_files.as_user_errors():
            return outcome.finish(
                config, dataset, run, checkpoints, state, averaged, complexity, steps_per_epoch, corrupt_files
            )

    return distribution.on_first(finish)


def _finished_result(run, as_dictionary, overwrite):
    """Raises UserError where the folder cannot be used; returns the result of a run that is finished, or None."""
    run.check(as_dictionary, overwrite)
    if overwrite or not (run / "result.json").exists():
        return None
    result = read_fields(run / "result.json", outcome.FIELDS)
    print(f"{run.path} holds this run, finished: {outcome.describe(result)}")
    return result


def _hold(run, stack):
    """Keeps the folder to this process until `stack` is left."""
    stack.enter_context(run.held())


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


def _fit(model, config, dataset, steps_per_epoch, run, state, corrupt_files, callbacks, distribution):
    """Trains through the epochs that `state` lacks."""
    if state.epochs >= config.epochs:
        return
    preprocessing = preprocessing_from(config, dataset)
    mixing = mixing_from(config, dataset)
    batches = training_dataset(
        dataset.train,
        preprocessing,
        config.batch_size,
        steps_per_epoch,
        config.seed,
        range(state.epochs, config.epochs),
        corrupt_files,
        mixing,
        distribution.shard,
    )
    validation = None
    if len(dataset.validation):
        validation = validation_dataset(
            dataset.validation, preprocessing, config.batch_size, mixing.classes, corrupt_files, distribution.shard
        )
        next(iter(validation))  # fails before the first step, if it has to
    if distribution.is_first:
        callbacks = [*callbacks, LateTensorBoard(run / "tensorboard", write_graph=False)]
        if not sys.stdout.isatty():
            callbacks.append(Progress(config.epochs, steps_per_epoch, config.batch_size))
    model.fit(
        batches,
        epochs=config.epochs,
        initial_epoch=state.epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=validation,
        callbacks=callbacks,
        shuffle=False,  # training_dataset does it
        verbose=1 if sys.stdout.isatty() and distribution.is_first else 0,
    )


def _headline(config, dataset, complexity):
    height, width, channels = dataset.image_shape
    return (
        f"{config.name}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and "
        f"{len(dataset.test):,} test images of {height}x{width}x{channels}, {len(dataset.class_names)} classes\n"
        f"{config.builder}: {complexity.parameters:,} parameters, {complexity.flops / 1e9:.3g} GFLOPs an image, "
        f"on the {keras.backend.backend()} backend"
    )
