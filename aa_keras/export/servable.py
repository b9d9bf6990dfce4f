"""A network to serve, with the preprocessing of raw images and the names of its classes."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from aa_keras.applications import datasets
from aa_keras.applications.blocks import normalizes_pixels
from aa_keras.applications.catalogue import dataset_of
from aa_keras.errors import UserError
from aa_keras.export.predictor import Predictor
from aa_keras.export.rebuilding import rebuilt
from aa_keras.export.spec import SPECS, ServingSpec
from aa_keras.files import is_line

DATASETS = {dataset.name: dataset for dataset in (datasets.CIFAR100, datasets.IMAGENET, datasets.COCO, datasets.BCCD)}


@dataclasses.dataclass(frozen=True)
class Servable:
    """A Keras network with everything that serving needs.

    Attributes:
        model: the Keras model of normalized images: a classifier that returns probabilities, or a detector of this
            library.
        spec: its `ServingSpec`.
    """

    model: keras.Model
    spec: ServingSpec

    def serve(self, images):
        """Returns the outputs for raw images (batch, *image_shape), a dictionary of tensors; in TensorFlow's graphs.

        The boxes of detectors are in pixels of the input images.
        """
        return self.spec.serve(self.model, images)

    @property
    def signature(self):
        """Returns the signature of `serve` for `tf.function`."""
        return [tf.TensorSpec((None, *self.spec.image_shape), tf.uint8, name="images")]

    def at_fixed_size(self):
        """Returns the same for images of the network's own size, which the caller must resize."""
        shape = self.model.input_shape[1:]
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, image_shape=tuple(shape)))

    def with_model(self, model):
        """Returns the same with another network, for instance with another input size."""
        spec = self.spec
        size = tuple(model.input_shape[1:3])
        if None not in size:
            spec = dataclasses.replace(spec, preprocessing=dataclasses.replace(spec.preprocessing, image_size=size))
            if not spec.takes_any_size:
                spec = dataclasses.replace(spec, image_shape=(*size, spec.image_shape[-1]))
        return Servable(model, spec)

    def with_class_names(self, class_names):
        """Returns the same with other names of its classes, or raises UserError if there are more or fewer."""
        class_names = tuple(class_names)
        if not all(map(is_line, class_names)):
            raise UserError(f"class_names must be lines of text. Received: class_names={class_names!r:.100}")
        classes = self.spec.count_classes(self.model)
        if len(class_names) != classes:
            raise UserError(f"class_names must be {classes}, one for each class. Received: {len(class_names)}")
        return Servable(self.model, dataclasses.replace(self.spec, class_names=class_names))

    def predictor(self):
        """Returns the `Predictor` in Keras, in float32 and for images of the network's own size."""
        servable = self.with_model(rebuilt(self.model)).at_fixed_size()
        normalize = servable.spec.preprocessing.normalize

        def run(images):
            return servable.spec.named(servable.model.predict_on_batch(np.asarray(normalize(tf.constant(images)))))

        return Predictor(servable.spec, run, model=servable.model)


def servable_for(model: keras.Model, dataset: str | None = None, class_names: Any = None) -> Servable:
    """Returns the `Servable` of a network without a recipe.

    Args:
        model: Keras model of images: a classifier whose outputs are probabilities, or a detector of this library.
        dataset: name of the data set whose mean, standard deviation and class names it needs: "imagenet2012",
            "cifar100", "coco" or "bccd"; "none" for a network that takes pixels from 0 to 255. None takes the
            preprocessing of the network (`include_preprocessing=True`), or that of its weights or its builder.
        class_names: names of the classes; None takes those of the data set if it has as many, and numbers otherwise.

    Raises:
        UserError: if it is not such a network, or its data set is unknown.
    """
    classes = count_classes(model)
    known = _dataset(model, dataset)
    normalizes = dataset == "none" or normalizes_pixels(model)
    channels = model.input_shape[-1]
    info = getattr(model, "weights_info", None) if dataset is None else None
    mean, std = ((0.0,) * channels, (1.0,) * channels) if normalizes or known is None else (known.mean, known.std)
    if info is not None and not normalizes:
        mean, std = info.mean, info.std
    if channels != len(mean):
        given = f"weights with the mean {mean}" if known is None or info is not None else f"dataset={known.name}"
        raise UserError(
            f"dataset must have images of {channels} channels, as the network takes, or be 'none'. Received: {given}"
        )
    has_its_classes = known is not None and known.classes == classes
    names = known.class_names if has_its_classes else tuple(map(str, range(classes)))
    if info is not None and len(info.class_names) == classes:
        names = info.class_names
    spec = spec_type(model).of_network(model, mean, std, names, known, info)
    servable = Servable(model, spec)
    return servable if class_names is None else servable.with_class_names(class_names)


def count_classes(model: keras.Model) -> int:
    """Returns the number of classes of a network without a recipe, or raises UserError if it does not take images.

    A single output, that of a sigmoid, is for two classes.
    """
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] is None:
        raise UserError(f"The network must take images (batch, height, width, channels). {model.name!r} takes {shape}")
    return spec_type(model).count_classes(model)


def spec_type(model):
    """Returns the subclass of `ServingSpec` of a network without a recipe."""
    return next(kind for kind in reversed(SPECS.values()) if kind.serves(model))


def _dataset(model, name):
    """Returns the `Dataset` of a network, or None for none."""
    if name is None:
        known = dataset_of(model)
        if known is None and not normalizes_pixels(model) and getattr(model, "weights_info", None) is None:
            raise UserError(
                f"dataset must name the images that the network {model.name!r} is for, one of {', '.join(DATASETS)}, "
                "or be 'none' for a network that takes pixels from 0 to 255"
            )
        return known
    if name != "none" and name not in DATASETS:
        raise UserError(f"dataset must be one of {', '.join(DATASETS)}, none. Received: dataset={name}")
    return DATASETS.get(name)


@functools.cache
def drawn_images(size: tuple[int, int], channels: int, count: int) -> np.ndarray:
    """Returns smooth pictures in random colours, uint8 (count, *size, channels), the same each time."""
    coarse = np.random.default_rng(0).uniform(0, 255, (count, 6, 6, channels))
    return np.asarray(tf.clip_by_value(tf.round(tf.image.resize(coarse, size, "bicubic")), 0, 255)).astype(np.uint8)
