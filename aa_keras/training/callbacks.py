"""What happens at the end of an epoch."""

import csv
import io
import time

import keras

from aa_keras.run_directory import write_whole


class EpochRecorder(keras.callbacks.Callback):
    """Adds each epoch to the history, and writes `metrics.csv` and a checkpoint.

    Args:
        state: `TrainingState`, changed in place.
        checkpoints: `Checkpoints`.
        metrics_path: the CSV file.
    """

    def __init__(self, state, checkpoints, metrics_path):
        super().__init__()
        self.state = state
        self.checkpoints = checkpoints
        self.metrics_path = metrics_path

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        # The last one counts: what comes behind it is validation.
        self._seconds = time.monotonic() - self._started

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in logs.items()}
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"epoch": epoch + 1, "seconds": round(self._seconds, 3), "learning_rate": rate, **logs}
        self.state.history.append(row)
        accuracy = logs.get("val_top1")
        is_best = accuracy is not None and (self.state.best is None or accuracy > self.state.best)
        if is_best:
            self.state.best = accuracy
        self.checkpoints.save(self.model, self.state, is_best)
        write_metrics(self.metrics_path, self.state.history)


class EpochSummary(keras.callbacks.Callback):
    """Prints a line an epoch, for where a progress bar would fill a file.

    Args:
        epochs: how many there are to be.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        metrics = ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
        print(f"Epoch {epoch + 1}/{self.epochs}: {metrics}", flush=True)


def write_metrics(path, history):
    """Writes the history of a run as CSV, a line an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_whole(path, text.getvalue())
