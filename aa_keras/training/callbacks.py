"""Callbacks of training."""

import contextlib
import csv
import datetime
import io
import signal
import threading
import time

import keras

from aa_keras import data
from aa_keras.errors import LostProcess, Terminated, UserError
from aa_keras.files import write_whole


class SeedsOfEpochs(keras.callbacks.Callback):
    """Makes what dropout leaves out depend on the seed and the step alone: Keras does not save its random state.

    Args:
        steps_per_epoch: number of steps in an epoch, in each of which a layer draws once.
    """

    def __init__(self, steps_per_epoch):
        super().__init__()
        self.steps_per_epoch = steps_per_epoch

    def on_epoch_begin(self, epoch, logs=None):
        for variable in self.model.variables:
            if variable.name == "seed_generator_state":
                seed, _ = keras.ops.convert_to_numpy(variable)
                variable.assign([seed, epoch * self.steps_per_epoch])


class EpochRecorder(keras.callbacks.Callback):
    """Adds each epoch to the history, and writes `metrics.csv` and a checkpoint.

    Args:
        run: `Run`, whose state is changed in place, and whose first process writes.
    """

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        # The last call counts: validation follows it.
        self._seconds = time.monotonic() - self._started

    def on_epoch_end(self, epoch, logs=None):
        validated = self.run.distribution.on_first(self.run.task.validate, self.model)
        logs.update({f"val_{name}": value for name, value in validated.items()})  # for the callbacks after this one
        logs = {name: float(value) for name, value in logs.items()}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"epoch": epoch + 1, "seconds": round(self._seconds, 3), "learning_rate": rate, **logs}
        state, task = self.run.state, self.run.task
        value = _best_value(task, logs)
        state.history.append(row)
        is_best = value is not None and (state.best is None or task.is_better(value, state.best))
        if is_best:
            state.best = value
        state.skipped = dict(task.skipped)  # a copy: reading threads may add to it
        self.run.distribution.on_first(self._write, is_best)

    def _write(self, is_best):
        self.run.checkpoints.save(self.model, self.run.state, is_best)
        write_metrics(self.run.directory / "metrics.csv", self.run.state.history)


def _best_value(task, logs):
    """Returns the value of a task's metric of the best network, or None without a validation."""
    measured = [name.removeprefix("val_") for name in logs if name.startswith("val_")]
    if measured and task.best_metric not in measured:
        raise ValueError(
            f"`best_metric` must be one of {', '.join(measured)}. Received: best_metric={task.best_metric!r}"
        )
    return logs.get(f"val_{task.best_metric}")


class StopOnSigterm(keras.callbacks.Callback):
    """Raises `Terminated` when SIGTERM arrives: while a model is trained, at the end of the step.

    It is also a context manager, which catches the signal within its block. A stop is safe anywhere, since files are
    whole or missing.

    Args:
        run: `Run`.
    """

    def __init__(self, run):
        super().__init__()
        self.run = run

    def __enter__(self):
        self._asked = self._training = False
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:  # other threads cannot handle signals
            self._previous = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, _, error, __):
        if self._in_main_thread:
            signal.signal(signal.SIGTERM, self._previous)
        # Libraries may have turned the error that `_ask` raised in them into one of their own, and that may have been
        # reworded. A lost process was asked to stop as well.
        meant = isinstance(error, UserError) and not isinstance(error, LostProcess) and not _has_terminated(error)
        if self._asked and isinstance(error, Exception) and not meant:
            raise Terminated(self._message()) from None

    def _ask(self, *_):
        self._asked = True
        if not self._training:
            raise Terminated

    def _check(self):
        if self._asked:
            raise Terminated

    def _message(self):
        state = self.run.state
        if state is None:
            return "stopped by SIGTERM before training; the same command starts or resumes it"
        if not state.epochs:
            return "stopped by SIGTERM in the first epoch; the same command starts over"
        command = "the same command without --overwrite" if self.run.overwrite else "the same command"
        return f"stopped by SIGTERM; {command} resumes after epoch {state.epochs} of {self.run.config.epochs}"

    def on_train_begin(self, logs=None):
        self._training = True

    def on_train_batch_end(self, batch, logs=None):
        self._check()

    def on_test_batch_end(self, batch, logs=None):
        self._check()

    def on_train_end(self, logs=None):
        self._training = False
        self._check()


def _has_terminated(error):
    """Whether an error was raised while `Terminated` was handled."""
    while error is not None:
        if isinstance(error, Terminated):
            return True
        error = error.__context__
    return False


class AfterFirstStep(keras.callbacks.Callback):
    """Calls a function once, after the first step of training: then data, network and optimizer work.

    Args:
        function: function without arguments.
    """

    def __init__(self, function):
        super().__init__()
        self.function = function
        self._called = False

    def on_train_batch_end(self, batch, logs=None):
        if not self._called:
            self._called = True
            self.function()


class LateTensorBoard(keras.callbacks.TensorBoard):
    """TensorBoard's files, one event for each epoch, in a folder that is made at the first event.

    Keras makes the folder before the first step, when `AfterFirstStep` has not yet removed that of the previous run.
    """

    def on_train_begin(self, logs=None):
        pass


class Progress(keras.callbacks.Callback):
    """Prints a line for each epoch, and lines within an epoch, where a progress bar would fill a file.

    Args:
        epochs: number of epochs.
        steps_per_epoch: number of steps in an epoch.
        batch_size: number of examples in a step.
        examples: name of the examples.
        seconds: longest time between two lines. A step that takes longer, such as the first one, which is compiled, and
            validation have lines of `aa_keras.data.Progress`.
    """

    def __init__(self, epochs, steps_per_epoch, batch_size, examples="images", seconds=30):
        super().__init__()
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.examples = examples
        self.seconds = seconds
        self._open = contextlib.ExitStack()

    def close(self):
        """Ends the lines of a step or a validation that was interrupted."""
        self._open.close()

    def on_train_begin(self, logs=None):
        self._open.enter_context(data.Progress("Compiling the first step"))

    def on_test_begin(self, logs=None):
        self._validation = self._open.enter_context(data.Progress("Validating", unit="batches"))

    def on_test_batch_end(self, batch, logs=None):
        self._validation.done += 1

    def on_test_end(self, logs=None):
        self.close()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._started = self._told = self._counted = self._ended = time.monotonic()
        self._first = 0

    def on_train_batch_end(self, batch, logs=None):
        self.close()
        self._ended = now = time.monotonic()
        if batch == 0:  # it may have taken minutes to compile
            self._counted, self._first = now, 1
        steps, done = self.steps_per_epoch, batch + 1
        if now - self._told < self.seconds or done == self._first or done == steps:
            return
        self._told = now
        rate = (done - self._first) / (now - self._counted)
        left = ((self.epochs - self._epoch - 1) * steps + steps - done) / rate
        speed = f"{rate * self.batch_size:,.0f} {self.examples} a second"
        left = f"about {datetime.timedelta(seconds=round(left))} left"
        print(f"Epoch {self._epoch + 1}/{self.epochs}: step {done}/{steps}, {speed}, {left}", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        metrics = ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
        print(f"Epoch {epoch + 1}/{self.epochs}, {_spent(self._ended - self._started)}: {metrics}", flush=True)


def _spent(seconds):
    return f"{seconds:.1f} s" if seconds < 100 else str(datetime.timedelta(seconds=round(seconds)))


def write_metrics(path, history):
    """Writes the history of a run as CSV, one line for each epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_whole(path, text.getvalue())
