"""What a task is: all that differs between what networks can be trained for."""

import abc
from typing import ClassVar

from aa_keras.applications._building import dtype_policy
from aa_keras.export import saved_model
from aa_keras.export.rebuilding import rebuilt
from aa_keras.tasks import fine_tuning


class Task(abc.ABC):
    """A task is made from a config. `aa_keras.training` and `aa_keras.commands` ask it, and know nothing else.

    Args:
        config: a recipe's config, checked.

    Attributes:
        config: the config.
        best_metric: name of the metric of the validation data by which the best network is chosen, the higher the
            better.
        examples: what a step is so many of, in a word.
        DATA_FIELDS: the names of the fields of `fingerprint`, with their types.
        RESULT_FIELDS: the names of the fields of `result`, with their types.
        FILES: the names of what `report` writes into a run directory.
        skipped: the training examples that could not be read so far, a dictionary from name to what is wrong with it.
    """

    best_metric: str
    examples: str
    DATA_FIELDS: ClassVar[dict[str, type]]
    RESULT_FIELDS: ClassVar[dict[str, type]]
    FILES: ClassVar[tuple[str, ...]]
    skipped: dict[str, str]

    def __init__(self, config):
        self.config = config

    # The data, which is loaded when it is first asked for.

    @property
    @abc.abstractmethod
    def training_examples(self):
        """How many examples there are to train on."""

    @property
    @abc.abstractmethod
    def fingerprint(self):
        """What tells the data from others, or from what lay in the same folder before: a dictionary of JSON."""

    @abc.abstractmethod
    def data_differences(self, there):
        """Returns in words, as a list, by what another fingerprint differs from that of the data."""

    @abc.abstractmethod
    def training_batches(self, epochs, steps_per_epoch, shard):
        """Returns the batches of a range of epochs, which depend on the seed and the epoch alone.

        Args:
            epochs: `range` of the epochs.
            steps_per_epoch: how many batches each of them has.
            shard: pair of integers: which part of each batch is wanted, from 0, and of how many.
        """

    @abc.abstractmethod
    def validation_batches(self, shard):
        """Returns the batches of one validation, or a shard of each; None where there are no examples for that."""

    @abc.abstractmethod
    def reading_errors(self):
        """A context that raises UserError where examples cannot be read, in place of TensorFlow's error."""

    # The network.

    def precision(self):
        """A context in which layers that are made have the precision of the config."""
        return dtype_policy(self.config.precision)

    @abc.abstractmethod
    def training_model(self):
        """Returns a new network to train."""

    @abc.abstractmethod
    def compile(self, model, optimizer, jit_compile):
        """Compiles a network to train, with the loss and the metrics of the task."""

    @abc.abstractmethod
    def backbone(self, model):
        """Returns the layers of a network that are not its head, a list."""

    def prepare(self, model):
        """Freezes what the config says of a network to train; returns by what each variable's rate is multiplied.

        Returns:
            A dictionary from the paths of the variables that are trained to numbers.
        """
        return fine_tuning.prepare(model, self.backbone(model), self.config)

    def validate(self, model):
        """Returns further metrics of the validation data, behind an epoch: a dictionary from name to number.

        Those that Keras measures in `fit` are not among them. One process alone calls it.
        """
        return {}

    @abc.abstractmethod
    def inference_model(self, weights=None):
        """Returns the network to be saved and evaluated, new or with the weights of a file.

        Its variables are those of the network to train, in the same order.
        """

    @abc.abstractmethod
    def load_model(self, path):
        """Returns the network of a file that a run wrote, or raises UserError."""

    @abc.abstractmethod
    def headline(self, complexity):
        """Returns the lines that tell what is about to be trained, on what."""

    # What comes of it.

    @abc.abstractmethod
    def evaluate(self, model):
        """Returns what a network of `inference_model` or `load_model` measures on the test split, an object."""

    @abc.abstractmethod
    def evaluate_saved_model(self, path):
        """Returns what a SavedModel that `export` wrote measures, likewise."""

    @abc.abstractmethod
    def summary(self, measured):
        """Returns what was measured as a phrase."""

    @abc.abstractmethod
    def result(self, measured):
        """Returns what a result says of what was measured: the fields of `RESULT_FIELDS`."""

    @staticmethod
    @abc.abstractmethod
    def describe(result):
        """Returns a result as a phrase."""

    @abc.abstractmethod
    def plot_curves(self, history, path):
        """Draws the metrics of each epoch."""

    @abc.abstractmethod
    def report(self, measured, folder, model=None):
        """Writes what was measured into a folder, numbers and pictures, and prints the rest of it.

        Args:
            measured: what `evaluate` or `evaluate_saved_model` returned.
            folder: where to write.
            model: the Keras model that was evaluated, or None for a SavedModel.
        """

    @abc.abstractmethod
    def sections(self, measured, folder, model=None):
        """Returns the parts of a report of what was measured, a list of `aa_keras.evaluation.html_report.Section`.

        Args:
            measured: what `evaluate` or `evaluate_saved_model` returned.
            folder: the path of the folder into which `report` has written.
            model: the Keras model that was evaluated, or None for a SavedModel.
        """

    @abc.abstractmethod
    def servable(self, model, data=None):
        """Returns a network of `inference_model` or `load_model` as an `aa_keras.export.Servable`.

        Args:
            model: the network.
            data: `fingerprint` of the data that it was trained on. What it tells is not asked of the data set, which
                need not be there then.
        """

    def export(self, model, path):
        """Writes a network as a SavedModel that takes raw examples, in float32."""
        saved_model.write(self.servable(rebuilt(model)), path)
