"""Stopping where the loss or a weight is no longer finite, with a message that says where that came from."""

import itertools
import math

import keras

from aa_keras._keras_compat import all_layers
from aa_keras.data import Progress
from aa_keras.errors import UserError, described
from aa_keras.layers import SelfAttention2D
from aa_keras.training import replay


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops training when the loss or a weight becomes infinite or NaN, before it is saved in a checkpoint.

    The loss that Keras reports is the mean since the beginning of the epoch, and so stays infinite or NaN. It is only
    checked from time to time, since each check waits for the device. When it fails, the steps since the last check run
    again, from a copy of the variables that stays on the device, to find the first number that is not finite; not so
    where `config.distribution` distributes the run.

    Args:
        run: `Run`.
    """

    STEPS = 50

    def __init__(self, run):
        super().__init__()
        self.run = run
        self._next = self._start = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._checked, self._start = epoch, 0, None

    def on_train_batch_begin(self, batch, logs=None):
        if batch % self.STEPS == 0 and self.run.config.distribution == "none":
            self._next = replay.Snapshot(self.model)

    def on_train_batch_end(self, batch, logs=None):
        self._batch = batch
        if batch % self.STEPS == 0:
            self._check("loss", float(logs["loss"]))
            # All weights before this step were finite, or its loss would not be.
            self._start, self._checked = self._next, batch

    def on_epoch_end(self, epoch, logs=None):
        self._check("loss", float(logs["loss"]))
        # The update of the last step may have overflowed after the last loss.
        for variable in self.model.weights:
            self._check(f"weight {variable.path}", float(keras.ops.convert_to_numpy(keras.ops.sum(variable))))

    def _check(self, name, value):
        if math.isfinite(value):
            return
        steps = range(self._checked, self._batch + 1)
        finding, sentence = self._look(steps) if self._next is not None else (None, "")
        if finding is not None:
            steps = range(steps.start + finding.step, steps.start + finding.step + 1)
        place = f"step {steps.stop}" if len(steps) == 1 else f"one of the steps {steps.start + 1} to {steps.stop}"
        last = "there is no checkpoint yet"
        if self.run.state.epochs:
            last = f"the last checkpoint is {self.run.checkpoints.folder_of(self.run.state.epochs)}"
        raise UserError(
            f"The {name} became {value} in {place} of epoch {self._epoch + 1}, and training stopped before a "
            f"checkpoint was made of it: {last}. {sentence}What may help, each with another --workdir: "
            f"{', '.join(self._remedies(finding))}"
        )

    def _look(self, steps):
        """Runs steps of the epoch again; returns a `Finding` or None, and a sentence about it."""
        # Without a check that passed in this epoch, its first step failed.
        (self._start or self._next).restore()
        try:
            with Progress("Looking for the first number that is not finite", len(steps), "steps") as progress:
                finding = replay.find(self.model, self._batches(steps, progress))
        except Exception as error:  # such as too little memory: the message without it is better than none
            return None, f"Running these steps again, to find out why, failed ({described(error)}). "
        if finding is None:
            return None, "Run again, these steps are finite. "
        return finding, f"{finding.sentence}. "

    def _batches(self, steps, progress):
        run, epoch = self.run, range(self._epoch, self._epoch + 1)
        batches = run.task.training_batches(epoch, run.steps_per_epoch, run.distribution.shard)
        for batch in itertools.islice(batches, steps.start, steps.stop):
            yield batch
            progress.done += 1

    def _remedies(self, finding):
        config = self.run.config
        yield f"--config.learning_rate_per_256={config.learning_rate_per_256 / 2:g}"
        yield f"--config.warmup_fraction={min(2 * config.warmup_fraction or 0.1, 0.5):g}"
        if not config.clip_norm:
            yield "--config.clip_norm=10"
        if config.precision != "float32":
            yield "--config.precision=float32"
        attention = (layer for layer in all_layers(self.model) if isinstance(layer, SelfAttention2D))
        implementations = {layer.implementation for layer in attention} if finding is None else {finding.implementation}
        if implementations - {"dense", None}:
            yield "--config.builder_arguments.implementation=dense"
