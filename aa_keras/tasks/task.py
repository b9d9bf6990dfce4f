"""The interface of tasks: everything that differs between them."""

import abc
import functools
import hashlib
import os
import pathlib
from typing import ClassVar

from aa_keras.applications._building import dtype_policy
from aa_keras.data import Progress
from aa_keras.export import saved_model
from aa_keras.export.rebuilding import rebuilt
from aa_keras.tasks import fine_tuning


class Task(abc.ABC):
    """The base of tasks, which are made from a config. `aa_keras.training` and `aa_keras.commands` use it alone.

    Args:
        config: a recipe's config, checked.

    Attributes:
        config: the config.
        best_metric: name of the validation metric that chooses the best network; higher is better.
        examples: name of the examples in a step.
        DATA_FIELDS: the names of the fields of `fingerprint`, with their types.
        RESULT_FIELDS: the names of the fields of `result`, with their types.
        FILES: the names of the files that `report` writes into a run directory.
        skipped: the training examples that could not be read so far, a dictionary from names to reasons.
        dataset: the data set, loaded at first use; `aa_keras.tasks.evaluation_data.choose` may set it.
    """

    best_metric: str
    examples: str
    DATA_FIELDS: ClassVar[dict[str, type]]
    RESULT_FIELDS: ClassVar[dict[str, type]]
    FILES: ClassVar[tuple[str, ...]]
    skipped: dict[str, str]

    def __init__(self, config):
        self.config = config

    # The data, which are loaded at first use.

    @functools.cached_property
    def dataset(self):
        """The data set that the config names."""
        return self.load()

    @abc.abstractmethod
    def load(self, for_test_alone=False):
        """Returns the data set that the config names.

        Args:
            for_test_alone: whether nothing in its folder was trained on, so that all of it can be reported on.
        """

    @abc.abstractmethod
    def matched(self, dataset, class_names):
        """Returns a data set with the classes of a network, by name, and the list of those without test images.

        Args:
            dataset: the data set.
            class_names: names of the network's classes.

        Raises:
            UserError: if there are test images of a class that the network does not know.
        """

    @staticmethod
    @abc.abstractmethod
    def class_names_of(data):
        """Returns the names of the classes of data, from their `fingerprint`."""

    def check_trainable(self):  # noqa: B027  most data can be trained on
        """Raises UserError if there is nothing to learn from the data, or nothing to measure on."""

    @property
    @abc.abstractmethod
    def training_examples(self):
        """The number of training examples."""

    @property
    @abc.abstractmethod
    def fingerprint(self):
        """A dictionary of JSON that identifies the data, and the contents of their folder."""

    @abc.abstractmethod
    def data_differences(self, there):
        """Returns in words, as a list, how another fingerprint differs from that of the data."""

    @abc.abstractmethod
    def training_batches(self, epochs, steps_per_epoch, shard):
        """Returns the batches of a range of epochs, which depend on the seed and the epoch alone.

        Args:
            epochs: `range` of the epochs.
            steps_per_epoch: number of batches in each of them.
            shard: pair of integers: which part of each batch to return, from 0, and of how many.
        """

    @abc.abstractmethod
    def validation_batches(self, shard):
        """Returns the batches of one validation, or a shard of each; None without validation examples."""

    @abc.abstractmethod
    def reading_errors(self):
        """Returns a context that raises UserError if examples cannot be read, in place of TensorFlow's error."""

    # The network.

    def precision(self):
        """Returns a context in which new layers have the precision of the config."""
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
        """Freezes the part of a network that the config names; returns the factor of each variable's learning rate.

        Returns:
            A dictionary from the paths of the variables that are trained to numbers.
        """
        return fine_tuning.prepare(model, self.backbone(model), self.config)

    def validate(self, model):
        """Returns further metrics of the validation data after an epoch: a dictionary from names to numbers.

        Metrics that Keras measures in `fit` are not among them. One process alone calls it.
        """
        return {}

    @abc.abstractmethod
    def inference_model(self, weights=None):
        """Returns the network to save and evaluate, new or with the weights of a file.

        Its variables are those of the network to train, in the same order.
        """

    @abc.abstractmethod
    def load_model(self, path):
        """Returns the network of a file that a run wrote, or raises UserError."""

    @abc.abstractmethod
    def headline(self, complexity):
        """Returns the lines that describe the network and the data before training."""

    # The results.

    @abc.abstractmethod
    def evaluate(self, model):
        """Evaluates a network of `inference_model` or `load_model` on the test split, and returns the metrics."""

    @abc.abstractmethod
    def evaluate_saved_model(self, path):
        """Evaluates a SavedModel that `export` wrote, likewise."""

    @abc.abstractmethod
    def summary(self, measured):
        """Returns the metrics as a phrase."""

    @abc.abstractmethod
    def result(self, measured):
        """Returns the fields of a result, `RESULT_FIELDS`, from the metrics."""

    @staticmethod
    @abc.abstractmethod
    def describe(result):
        """Returns a result as a phrase."""

    @abc.abstractmethod
    def plot_curves(self, history, path):
        """Draws the metrics of each epoch."""

    @abc.abstractmethod
    def report(self, measured, folder, model=None):
        """Writes the metrics and pictures into a folder, and prints a summary.

        Args:
            measured: metrics that `evaluate` or `evaluate_saved_model` returned.
            folder: folder to write into.
            model: the Keras model that was evaluated, or None for a SavedModel.
        """

    @abc.abstractmethod
    def sections(self, measured, folder, model=None):
        """Returns the sections of a report, a list of `aa_keras.evaluation.html_report.Section`.

        Args:
            measured: metrics that `evaluate` or `evaluate_saved_model` returned.
            folder: the path of the folder into which `report` has written.
            model: the Keras model that was evaluated, or None for a SavedModel.
        """

    @abc.abstractmethod
    def servable(self, model, data=None):
        """Returns a network of `inference_model` or `load_model` as an `aa_keras.export.Servable`.

        Args:
            model: the network.
            data: `fingerprint` of the data that it was trained on, with which the data set itself is not needed.
        """

    def export(self, model, path):
        """Writes a network as a SavedModel that takes raw examples, in float32."""
        with Progress("Writing the SavedModel"):
            saved_model.write(self.servable(rebuilt(model)), path)


def names_of_files(examples, folder):
    """Returns a field of a fingerprint that distinguishes folders: a checksum of the paths of examples in their folder.

    Args:
        examples: the training examples.
        folder: the folder.
    """
    if not getattr(examples, "paths", ()):
        return {}
    root = f"{pathlib.Path(folder).expanduser()}{os.sep}"
    names = sorted(path.removeprefix(root) for path in examples.paths)
    return {"files": hashlib.sha256(b"\0".join(map(os.fsencode, names))).hexdigest()}
