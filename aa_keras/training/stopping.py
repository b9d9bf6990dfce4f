"""Stopping before the last epoch: where nothing gets better any more, and where time runs out."""

import time

import keras

from aa_keras.errors import UserError
from aa_keras.recipes.rules import seconds_of

# Why a run stopped, in its result.
EARLY, OUT_OF_TIME = "early stopping", "time limit"


def check(run):
    """Raises UserError if a run is to stop early and has no validation images, whose metric would say when."""
    epochs = run.config.early_stopping_epochs
    if epochs is not None and not len(run.task.dataset.validation or ()):
        raise UserError(
            f"config.early_stopping_epochs must be unset without validation {run.task.examples}, which "
            f"config.validation_examples holds out. Received: early_stopping_epochs={epochs}"
        )


def has_stopped_early(run):
    """Whether a run ends before its last epoch, as its best metric did not get better for `early_stopping_epochs`.

    It depends on the finished epochs alone, so that a resumed run stops where an uninterrupted one does.
    """
    patience, epochs = run.config.early_stopping_epochs, run.state.epochs
    if patience is None or not 0 < epochs < run.config.epochs:
        return False
    values = [row[f"val_{run.task.best_metric}"] for row in run.state.history]
    return epochs - 1 - run.task.best_of(values) >= patience


class StopBeforeTheLast(keras.callbacks.Callback):
    """Ends training after an epoch if the run has stopped early, or if another epoch would exceed its time limit.

    Time counts from the start of the program's run. The next epoch is expected to take as long as the longest one so
    far. One epoch is always trained, so that a run progresses each time that it is started again.

    Args:
        run: `Run`, whose attribute `stopped` gets the reason.
    """

    def __init__(self, run):
        super().__init__()
        self.run = run
        limit = run.config.time_limit
        self._limit = None if limit is None else seconds_of(limit)
        self._longest = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self._longest = max(self._longest, time.monotonic() - self._began)
        if has_stopped_early(self.run):
            self.run.stopped = EARLY
        elif self._limit is not None and self.run.distribution.on_first(self._is_over):
            self.run.stopped = OUT_OF_TIME
        self.model.stop_training = self.model.stop_training or self.run.stopped is not None

    def _is_over(self):
        is_last = self.run.state.epochs == self.run.config.epochs
        return not is_last and time.monotonic() - self.run.started + self._longest > self._limit


def described(run):
    """Returns a line about a run that stopped before its last epoch."""
    epochs = f"Stopped after epoch {run.state.epochs} of {run.config.epochs}"
    if run.stopped == OUT_OF_TIME:
        return f"{epochs}, at config.time_limit={run.config.time_limit}: the same command resumes"
    patience = run.config.early_stopping_epochs
    return f"{epochs}: val_{run.task.best_metric} did not get better in {patience} epochs"
