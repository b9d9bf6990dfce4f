"""The inputs and outputs of a served network, whatever its task."""

import abc
import dataclasses
import functools
import json
import warnings
from typing import ClassVar

import numpy as np
import tensorflow as tf

from aa_keras.data import Preprocessing
from aa_keras.data.decoding import to_grey
from aa_keras.errors import UserError

# The specs of all tasks by the name of the task; `ServingSpec` adds its subclasses.
SPECS: dict[str, type["ServingSpec"]] = {}
NO_SCALE = np.ones(4, np.float32)


@dataclasses.dataclass(frozen=True)
class ServingSpec(abc.ABC):
    """The inputs and outputs of a served network, which every export contains. Each task has a subclass.

    What is here fits a network with a single output, which is a number or an array for each image.

    Attributes:
        class_names: names of the classes, in the order of their indices; () for a task without classes.
        image_shape: (height, width, channels) of the raw images, which are uint8; height and width are None if the
            network takes images of any size.
        preprocessing: the `aa_keras.data.Preprocessing` of images, or that of the task. If the network takes one size,
            the caller does the first half of it, `preprocess`.
        task: name of the task. Set it, and the attributes below, in the body of a subclass.
        outputs: names of the outputs.
        columns: names of the columns of `rows`, the first of which is the path of the image.
        decimals: digits after the point in a column of `rows`; 6 for others.
        quantity: the numbers that exports are compared by, in words.
        turns_images: whether images are turned as their EXIF data ask.
        draws: whether it has a method `draw` of an image, its outputs and the path of a PNG file.
        preprocessing_type: type of `preprocessing`.
        preprocessing_fields: fields of it that an export contains.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int | None, int | None, int]
    preprocessing: Preprocessing

    task: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]
    decimals: ClassVar[dict[str, int]] = {}
    quantity: ClassVar[str] = "an output"
    turns_images: ClassVar[bool] = False
    draws: ClassVar[bool] = False
    preprocessing_type: ClassVar[type] = Preprocessing
    preprocessing_fields: ClassVar[tuple[str, ...]] = ("mean", "std", "image_size", "central_fraction", "interpolation")

    def __init_subclass__(cls):
        if "task" in vars(cls):
            require_attributes(cls, "outputs", "columns")
            known = SPECS.setdefault(cls.task, cls)
            if known.__qualname__ != cls.__qualname__:  # the same file may run twice, as a program and as a recipe
                raise ValueError(f"`task` must be another name than that of {known}. Received: task={cls.task!r}")
            SPECS[cls.task] = cls

    # The network.

    @classmethod
    def serves(cls, model):
        """Whether a Keras model without a recipe is one of this task."""
        return False

    @classmethod
    def count_classes(cls, model):
        """Returns the number of classes of a Keras model, or raises UserError if it is not one of this task."""
        return 0

    @property
    def takes_any_size(self):
        """Whether the network takes images of any size."""
        return None in self.image_shape

    def serve(self, model, images):
        """Returns the outputs of a Keras model for raw images (batch, *image_shape), a dictionary of tensors."""
        fitted = self.preprocessing.fit(images) if self.takes_any_size else images
        return self.named(model(self.preprocessing.normalize(fitted), training=False))

    def named(self, outputs):
        """Returns what a Keras model returns as a dictionary of the outputs."""
        return outputs if isinstance(outputs, dict) else {self.outputs[0]: outputs}

    def signatures(self, model):
        """Returns the signatures of a SavedModel: a dictionary from names to functions of raw images."""
        return {"serve": lambda images: self.serve(model, images)}

    # An image.

    def preprocess(self, image):
        """Returns a raw image in the shape that the network takes, and the factors of its boxes.

        Args:
            image: uint8 array of shape (height, width, channels), for one channel also (height, width, 3).

        Returns:
            A uint8 array of `image_shape`, and a float32 array of shape (4,).

        Raises:
            UserError: if it is not such an array.
        """
        channels = self.image_shape[-1]
        taken = (1, 3) if channels == 1 else (channels,)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in taken:
            shapes = " or ".join(f"(height, width, {number})" for number in taken)
            raise UserError(
                f"images must be uint8 arrays of shape {shapes}. Received: one of shape {image.shape} and type "
                f"{image.dtype}"
            )
        if channels == 1 and image.shape[-1] != 1:
            image = to_grey(image)
        if self.takes_any_size:
            return image, NO_SCALE
        resized, scale = self._compiled_resize(tf.constant(image))
        return np.asarray(resized), np.asarray(scale)

    @functools.cached_property
    def _compiled_resize(self):
        """`resize_to_uint8` as a graph: it takes a third of the time and, unlike Python, runs in several threads."""
        signature = [tf.TensorSpec((None, None, self.image_shape[-1]), tf.uint8)]
        return tf.function(self.resize_to_uint8, input_signature=signature)

    def resize_to_uint8(self, image):
        """Returns a raw image, a tensor, as the network takes it, a uint8 tensor, and the factors of its boxes."""
        resized, scale = self.resize(image)
        return tf.cast(resized, tf.uint8), scale

    def resize(self, image):
        """Returns a raw image, a tensor, in the size of the network, and the factors of its boxes."""
        return self.preprocessing.fit(image), NO_SCALE

    def checked(self, outputs, sum_tolerance):
        """Returns the outputs of the network for a batch, a dictionary of arrays, checked.

        Args:
            outputs: the dictionary.
            sum_tolerance: by how much the sum of the probabilities of an image may differ from 1.

        Raises:
            UserError: if they are not all numbers, or not what the task needs.
        """
        if not all(np.isfinite(values).all() for values in outputs.values()):
            raise UserError(
                "The network's outputs are not all numbers: its weights, or its batch statistics, overflowed"
            )
        return outputs

    def postprocess(self, outputs, image, scale):
        """Returns the outputs for a raw image from those of the network: see `Predictor.predict`.

        Args:
            outputs: dictionary of arrays.
            image: the raw image.
            scale: factors that `preprocess` returned with it.
        """
        return {name: outputs[name] for name in self.outputs}

    def fit(self, image):
        """The former name of `preprocess`."""
        warnings.warn("ServingSpec.fit is now called preprocess", DeprecationWarning, stacklevel=2)
        return self.preprocess(image)

    def answer(self, outputs, image, scale):
        """The former name of `postprocess`."""
        warnings.warn("ServingSpec.answer is now called postprocess", DeprecationWarning, stacklevel=2)
        return self.postprocess(outputs, image, scale)

    # Predictions.

    @staticmethod
    def compare(outputs, found):
        """Compares two predictions for an image.

        Returns:
            The largest difference of their numbers, the share of them that is the same, and the weight of that share.
        """
        return max(float(np.abs(outputs[name] - found[name]).max()) for name in outputs), 1.0, 1

    @staticmethod
    def agreement(same, compared):
        """Returns in words which share of the predictions for `compared` images is the same in two networks."""
        return f"{compared} predictions compared"

    @staticmethod
    def least_same(quantize):
        """Returns the least share that must be the same in an export, for its `quantize`."""
        return 0.0

    def confident(self, outputs, min_score):
        """Returns outputs without what has a lower score than `min_score`."""
        return outputs

    def is_empty(self, outputs):
        """Whether outputs have nothing."""
        return False

    def seen(self, outputs):
        """Returns what outputs have of classes: pairs of the number of a class and its score, the best first."""
        return []

    def best_of_each(self, outputs):
        """Returns each class of `seen` once, with its best score: a detector may see several objects of a class."""
        best = {}
        for number, score in self.seen(outputs):
            best.setdefault(number, score)
        return list(best.items())

    def resized(self, outputs, factor):
        """Returns the outputs for an image whose sides are `factor` times as long."""
        return outputs

    @abc.abstractmethod
    def rows(self, predictions, top):
        """Yields the predictions for images as tuples of values, one for each of `columns`.

        Args:
            predictions: list of `Prediction`s of images that can be read.
            top: number of classes for each image.
        """

    def as_texts(self, predictions, top):
        """Returns `rows` as text, the first one being `columns`: the contents of a CSV file."""
        return [self.columns, *(tuple(map(self._as_text, self.columns, row)) for row in self.rows(predictions, top))]

    def _as_text(self, column, value):
        return f"{value:.{self.decimals.get(column, 6)}f}" if isinstance(value, float) else str(value)

    def as_table(self, predictions, top):
        """Returns rows of text for a table on the screen, the first one being the header."""
        return self.as_texts(predictions, top)

    def as_content(self, predictions, top):
        """Returns the content of a JSON file."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows(predictions, top)]

    def as_line(self, prediction, top):
        """Returns the content of a line of a file of JSON lines: the image, and its rows as dictionaries."""
        (_, *columns), rows = self.columns, self.rows([prediction], top)
        found = [dict(zip(columns, map(self._rounded, columns, row), strict=True)) for _, *row in rows]
        return {"image": prediction.image, "predictions": found}

    def _rounded(self, column, value):
        return round(value, self.decimals.get(column, 6)) if isinstance(value, float) else value

    # The spec in an export.

    def as_json(self):
        """Returns the spec as text."""
        preprocessing = {name: getattr(self.preprocessing, name) for name in self.preprocessing_fields}
        return json.dumps({"task": self.task, **dataclasses.asdict(self), "preprocessing": preprocessing})

    @staticmethod
    def from_json(text):
        """Returns the spec from the text of `as_json`.

        Raises:
            UserError: for a task that is not known.
            ValueError, KeyError or TypeError: for other text.
        """
        fields = json.loads(text)
        kind = SPECS.get(fields["task"])
        if kind is None:
            raise UserError(
                f"the network is for the task {fields['task']!r}, and the known tasks are {', '.join(SPECS)}. The file "
                "of another task must be imported first"
            )
        settings = {"interpolation": "bilinear", **fields["preprocessing"]}  # exports of earlier versions lack it
        preprocessing = kind.preprocessing_type(
            **{name: _as_tuple(settings[name]) for name in kind.preprocessing_fields}
        )
        own = {field.name: _as_tuple(fields[field.name]) for field in dataclasses.fields(kind) if field.name in fields}
        return kind(**{**own, "preprocessing": preprocessing})


def require_attributes(cls, *names):
    """Raises TypeError unless a class has some attributes: where it is defined, and not hours later."""
    missing = [name for name in names if not hasattr(cls, name)]
    if missing:
        raise TypeError(f"{cls.__name__} must define {', '.join(missing)}")


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value
