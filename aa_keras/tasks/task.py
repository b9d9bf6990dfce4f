"""The interface of tasks: everything that differs between them."""

import abc
import functools
from typing import ClassVar

import keras
import numpy as np

from aa_keras import applications
from aa_keras.applications.blocks import dtype_policy
from aa_keras.data import CorruptFiles, Progress
from aa_keras.errors import UserError, described
from aa_keras.evaluation import pictures
from aa_keras.evaluation.results import Results
from aa_keras.evaluation.training_pictures import plot_training_images, stretched
from aa_keras.export import Servable, ServingSpec, saved_model
from aa_keras.export.rebuilding import rebuilt
from aa_keras.export.spec import require_attributes
from aa_keras.recipes.checks import require
from aa_keras.tasks import fine_tuning
from aa_keras.tasks.fingerprints import differences, fingerprint_of

# The metric of which lower values are better.
LOSS = "loss"
# All tasks by their names; `Task` adds its subclasses.
TASKS: dict[str, type["Task"]] = {}


class Task(abc.ABC):
    """The base of tasks, which are made from a config. `aa_keras.training` and `aa_keras.commands` use it alone.

    A run calls a task in this order:

        load                                              the data, at first use of `dataset`
        check_trainable, fingerprint                      is it the data of this run?
        training_model, prepare, compile                  the network, for its losses and metrics
        headline                                          a line about network and data
        validation_batches, training_batches, validate    the epochs, after each of which `validate` may measure more
        inference_model                                   the network to save
        plot_curves, evaluate, export                     the files and the results of the run
        load_model or inference_model, evaluate           later, in an evaluation
        servable                                          later, in exports and predictions

    What is abstract is what a task must define. From its definition on, a subclass with a `spec_type` is found by the
    name that this has for the task.

    Args:
        config: a recipe's config, checked.

    Attributes:
        config: the config.
        dataset: the data set, an object with the attributes of `aa_keras.data.ImageDataset`;
            `aa_keras.tasks.evaluation_data.choose` may set it.
        corrupt_files: `aa_keras.data.CorruptFiles`, for the functions that read images.
        spec_type: subclass of `aa_keras.export.ServingSpec`, with the task's name.
        results_type: subclass of `aa_keras.evaluation.results.Results`.
        best_metric: name of the validation metric that chooses the best network, unless the config names another one.
        other_best_metrics: further metrics that the config may name. Higher is better, except for "loss", which it
            always may name.
        examples: name of the examples in a step.
        metrics: fields of `results_type.numbers` in a phrase, with their formats, the most important one first.
        curves: panels of `aa_keras.evaluation.pictures.plot_curves`, the first one for losses.
        unused_fields: fields of the config that the task does not use, which must have their defaults in training.
        data_fields: the names of the fields of `fingerprint`, with their types.
        weights_fields: fields of the config that trained weights decide, with those of `WeightsInfo`.
    """

    spec_type: ClassVar[type[ServingSpec]]
    results_type: ClassVar[type[Results]]
    best_metric: str
    other_best_metrics: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[str] = "images"
    metrics: ClassVar[dict[str, str]]
    curves: ClassVar[dict[str, dict[str, str]]]
    data_fields: ClassVar[dict[str, type]] = {
        "class_names": list,
        "training_images": int,
        "validation_images": int,
        "test_images": int,
    }
    weights_fields: ClassVar[dict[str, str]] = {}
    unused_fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls):
        if "spec_type" in vars(cls):
            require_attributes(cls, "results_type", "best_metric", "metrics", "curves")
            TASKS[cls.spec_type.task] = cls

    def __init__(self, config):
        self.config = config
        self.corrupt_files = CorruptFiles(config.corrupt_files_limit)
        choices = (self.best_metric, *self.other_best_metrics, LOSS)
        require(
            config, "best_metric", lambda name: name is None or name in choices, f"unset or one of {', '.join(choices)}"
        )
        self.best_metric = config.best_metric or self.best_metric

    def is_better(self, value, than):
        """Whether a value of the best metric is better than another one."""
        return value < than if self.best_metric == LOSS else value > than

    def best_of(self, values):
        """Returns the index of the best one of some values of the best metric, of equal ones the first."""
        return values.index(min(values) if self.best_metric == LOSS else max(values))

    # The data.

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

    def matched(self, dataset, class_names):
        """Returns a data set with the classes of a network, by name, and the list of those without test images.

        Args:
            dataset: the data set.
            class_names: names of the network's classes.

        Raises:
            UserError: if there are test images of a class that the network does not know.
        """
        return dataset, []

    def check_trainable(self):  # noqa: B027  most data can be trained on
        """Raises UserError if there is nothing to learn from the data, or nothing to measure on."""

    @property
    def training_examples(self):
        """The number of training examples."""
        return len(self.dataset.train)

    @property
    def classes(self):
        """The first of the `data_fields`, in which the classes are a list of text."""
        return {"class_names": list(self.dataset.class_names)}

    @staticmethod
    def class_names_of(data):
        """Returns the names of the classes of data, from their `fingerprint`."""
        return tuple(data["class_names"])

    @functools.cached_property
    def fingerprint(self):
        """A dictionary of JSON that identifies the data, and the contents of their folder."""
        return fingerprint_of(self.dataset, self.classes, self.config.data_dir)

    def data_differences(self, there):
        """Returns in words, as a list, how another fingerprint differs from that of the data."""
        return differences(self.fingerprint, there, self.data_fields)

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

    def plot_training_batch(self, batch, path):
        """Draws the first images of a batch of `training_batches`, for a look before training."""
        images, labels = map(np.asarray, batch[:2])
        plot_training_images(stretched(images), [str(label) for label in labels], path)

    def reading_errors(self):
        """Returns a context that raises UserError if examples cannot be read, in place of TensorFlow's error."""
        return self.corrupt_files.as_user_errors()

    @property
    def skipped(self):
        """The training examples that could not be read so far: a dictionary from names to reasons."""
        return self.corrupt_files.skipped

    # The network.

    def build(self, weights=None, **arguments):
        """Returns the network of the config's builder, in the precision of the config.

        Args:
            weights: the builder's `weights`.
            **arguments: further arguments of the builder, which replace those of the config.

        Raises:
            UserError: for arguments or weights that the builder refuses.
        """
        config = self.config
        try:
            with dtype_policy(config.precision):
                builder = getattr(applications, config.builder)
                return builder(**{**config.builder_arguments.to_dict(), **arguments}, weights=weights)
        except (TypeError, ValueError) as error:
            raise UserError(f"{config.builder} of the config: {error}") from None

    @abc.abstractmethod
    def training_model(self):
        """Returns a new network to train."""

    @abc.abstractmethod
    def inference_model(self, weights=None):
        """Returns the network to save and evaluate, new or with the weights of a file.

        Its variables are those of the network to train, in the same order.
        """

    @abc.abstractmethod
    def compile(self, model, optimizer, jit_compile):
        """Compiles a network to train, with the loss and the metrics of the task."""

    def backbone(self, model):
        """Returns the layers of a network that are not its head, a list."""
        return model.layers[:-1]

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

    @classmethod
    def config_with_weights(cls, config, weights):
        """Returns the config to evaluate the weights of a builder with, and the names of their classes or None."""
        return config, None

    def load_model(self, path):
        """Returns the network of a file that a run wrote, or raises UserError."""
        try:
            model = keras.models.load_model(path, compile=False)
            mismatch = self.mismatch(model)
        except Exception as error:  # Keras raises errors of many kinds for other files
            raise UserError(
                f"{path} cannot be loaded; train.py writes it again if result.json is removed: {described(error)}"
            ) from None
        if mismatch:
            raise UserError(f"{path} {mismatch}")
        return model

    def mismatch(self, model):
        """Returns in words how a network that was loaded does not fit the data; "" if it does."""
        shape, dataset = tuple(model.input_shape[1:]), self.dataset
        if shape == dataset.image_shape:
            return ""
        return f"takes images of {shape}, and those of the data set {dataset.name!r} have {dataset.image_shape}"

    def headline(self, complexity):
        """Returns the lines that describe the network and the data before training."""
        config, dataset = self.config, self.dataset
        train, validation, test = (f"{len(part or ()):,}" for part in (dataset.train, dataset.validation, dataset.test))
        classes = f", {len(dataset.class_names)} classes" if dataset.class_names else ""
        return (
            f"{config.name}: {train} training, {validation} validation and {test} test {self.examples}"
            f"{self.size_in_words}{classes}\n"
            f"{config.builder}: {complexity.parameters:,} parameters, {complexity.flops / 1e9:.3g} GFLOPs per image, "
            f"on the {keras.backend.backend()} backend"
        )

    @property
    def size_in_words(self):
        """The size of the images, as the end of a phrase."""
        return f" of {'x'.join(map(str, self.dataset.image_shape))}"

    # The results.

    @abc.abstractmethod
    def evaluate(self, model):
        """Returns the `Results` of a network of `inference_model` or `load_model` on the test split."""

    @abc.abstractmethod
    def evaluate_export(self, predictor):
        """Returns the same of an exported network, an `aa_keras.export.Predictor`, on the raw examples."""

    def spec_without_record(self):
        """Returns the `spec_type` of a SavedModel of an earlier version, which has no record of it; None for none."""
        return None

    def describe(self, result):
        """Returns a result, the fields of `result.json`, as a phrase."""
        shown = [text.format(result[name]) for name, text in self.metrics.items() if name in result]
        averaged = result.get("averaged")
        best, text = next(iter(self.metrics.items()))
        averaged = f", averaged weights {text.format(averaged[best])}" if averaged else ""
        return f"{', '.join(shown)} ({result['test_examples']:,} test {self.examples}){averaged}"

    def plot_curves(self, history, path):
        """Draws the metrics of each epoch."""
        pictures.plot_curves(history, self.curves, path)

    @abc.abstractmethod
    def spec(self, model, data):
        """Returns the `spec_type` of a network.

        Args:
            model: the network.
            data: `fingerprint` of the data that it was trained on.
        """

    def servable(self, model, data=None):
        """Returns a network of `inference_model` or `load_model` as an `aa_keras.export.Servable`.

        Args:
            model: the network.
            data: `fingerprint` of the data that it was trained on, with which the data set itself is not needed.
        """
        return Servable(model, self.spec(model, self.fingerprint if data is None else data))

    def export(self, model, path):
        """Writes a network as a SavedModel that takes raw examples, in float32."""
        with Progress("Writing the SavedModel"):
            saved_model.write(self.servable(rebuilt(model)), path)


def check_takes(spec, image_shape, is_resized):
    """Raises UserError unless an export takes the images of a data set.

    Args:
        spec: its `ServingSpec`.
        image_shape: (height, width, channels) of the images.
        is_resized: whether their size does not matter, since they are resized.
    """
    *size, channels = spec.image_shape
    resizes = is_resized or spec.takes_any_size or spec.preprocessing.image_size is not None
    if channels != image_shape[-1] or not (resizes or tuple(size) == tuple(image_shape[:2])):
        taken, given = ("x".join(map(str, shape)) for shape in (spec.image_shape, image_shape))
        raise UserError(f"path must be for images of the data set, {given}. Received: one for images of {taken}")
