"""The training loop: from a recipe to a trained model, and with `outcome` to its results."""

import contextlib
import os
import pathlib
import sys

import keras
import ml_collections

from aa_keras.complexity import model_complexity
from aa_keras.recipes.checks import check_backend, check_config
from aa_keras.tasks import resolved, task_for
from aa_keras.training import batch_size, outcome, precision, stopping
from aa_keras.training.callbacks import (
    AfterFirstStep,
    EpochRecorder,
    LateTensorBoard,
    Progress,
    SeedsOfEpochs,
    StopOnSigterm,
    write_metrics,
)
from aa_keras.training.distribution import distribution_for
from aa_keras.training.dry_run import dry_run
from aa_keras.training.hosts import Hosts
from aa_keras.training.non_finite import StopOnNonFinite
from aa_keras.training.run import Run
from aa_keras.training.run_directory import RunDirectory


def train_and_evaluate(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike | None = None,
    overwrite: bool = False,
    hosts: Hosts | None = None,
) -> dict:
    """Trains a model with a recipe, evaluates it once on the test split, and writes a run directory.

    Called again with the same config, it resumes an interrupted run after its last finished epoch, and only reports the
    result of a finished one.

    Args:
        config: recipe, an `ml_collections.ConfigDict` from `aa_keras.recipes.default_config`.
        workdir: the run directory; None takes runs/NAME, with the name of the recipe. Of several processes, only the
            first one uses it.
        overwrite: whether another run in that directory may be replaced.
        hosts: `aa_keras.training.Hosts` if `config.distribution` is "multihost" and JAX does not detect the cluster;
            otherwise None.

    Returns:
        The result, a dictionary, as in `result.json`.

    Raises:
        UserError: for a config or a directory that cannot be used, if the loss becomes infinite or NaN, and if another
            process is lost.
        Terminated: after SIGTERM; only the current epoch is lost.
    """
    run = _prepared(config, workdir, overwrite, hosts)
    distribution = run.distribution
    with StopOnSigterm(run) as stop, distribution.losing_hosts():
        result = run.finished_result()
        if result is not None:
            return run.ended(result)
        run.check_data()
        with run.held():
            benchmark = precision.measured(run) if run.config.benchmark_precision else None
            keras.utils.set_random_seed(run.config.seed)
            with distribution.scope():
                model = run.model_to_train()
                complexity = model_complexity(model)
                hint = benchmark or precision.hint(run.config, complexity)
                if distribution.is_first:
                    print(run.task.headline(complexity), *([hint] if hint else []), sep="\n")
                run.restore(model)
                with run.task.reading_errors():
                    _fit(model, run, stop)
                averaged = _moving_average(model) if run.config.ema_momentum else None
            return run.ended(distribution.on_first(outcome.finish, run, complexity, averaged))


def check_before_training(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike | None = None,
    overwrite: bool = False,
    output: str | os.PathLike | None = None,
) -> None:
    """Checks a run, trains a few steps of it and prints what to expect, without writing into its directory.

    Args:
        config: as in `train_and_evaluate`.
        workdir: likewise.
        overwrite: likewise.
        output: folder for `augmented.png`, training images as the network gets them; None for none.

    Raises:
        UserError: as `train_and_evaluate` does.
    """
    run = _prepared(config, workdir, overwrite, None)
    if run.finished_result() is None:
        run.check_data()
        dry_run(run, output)


def _prepared(config, workdir, overwrite, hosts):
    """Returns the `Run` of a config, checked."""
    check_config(config)
    check_backend(config)
    config = resolved(config)
    distribution = distribution_for(config, hosts)  # with several hosts, this sets its own handler of SIGTERM
    directory = RunDirectory(pathlib.Path("runs") / config.name if workdir is None else workdir)
    config = batch_size.chosen(config, distribution, directory, overwrite)
    task = task_for(config)
    return Run(task.config, task, distribution, directory, overwrite)


def _fit(model, run, stop):
    """Trains the remaining epochs of the run."""
    config, state, first = run.config, run.state, run.distribution.is_first
    recorder, last = EpochRecorder(run), stopping.StopBeforeTheLast(run)
    callbacks = [stop, SeedsOfEpochs(run.steps_per_epoch), StopOnNonFinite(run), recorder, last]
    if not state.epochs:
        # What failed before this has changed nothing.
        callbacks.insert(callbacks.index(recorder), AfterFirstStep(run.start))
    else:
        if first:
            print(f"Resuming after epoch {state.epochs} of {config.epochs}, the last finished one")
            write_metrics(run.directory / "metrics.csv", state.history)  # a kill may have prevented it
        run.start()
    if stopping.has_stopped_early(run):
        run.stopped = stopping.EARLY
    if state.epochs >= config.epochs or run.stopped is not None:
        return
    progress = Progress(config.epochs, run.steps_per_epoch, config.batch_size, run.task.examples)
    if first:
        callbacks.append(LateTensorBoard(run.directory / "tensorboard", write_graph=False))
        if not sys.stdout.isatty():
            callbacks.append(progress)
    shard = run.distribution.shard
    validation = run.task.validation_batches(shard)
    if validation is not None:
        next(iter(validation))  # so that errors come before the first step
    if shard[1] > 1:
        print(
            f"Process {shard[0]} of {shard[1]} compiles the first step, which may take a minute"
            f"{'' if first else '; process 0 prints the progress'}",
            flush=True,
        )
    with contextlib.closing(progress):
        model.fit(
            run.task.training_batches(range(state.epochs, config.epochs), run.steps_per_epoch, shard),
            epochs=config.epochs,
            initial_epoch=state.epochs,
            steps_per_epoch=run.steps_per_epoch,
            validation_data=validation,
            callbacks=callbacks,
            shuffle=False,  # the batches are shuffled already
            verbose=1 if sys.stdout.isatty() and first else 0,
        )


def _moving_average(model):
    """Returns the moving average of a trained model's weights, and the other variables as they are."""
    # As `fit` does at its end, in case nothing was left to fit.
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model.get_weights()
