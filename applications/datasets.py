"""The data sets of the paper: the shape, the statistics and the classes of their images."""

import dataclasses
import functools
import importlib.resources

import keras
import numpy as np
from keras import ops

from aa_keras.layers import _arguments


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The images and classes of a data set.

    Attributes:
        name: name of the data set in TensorFlow Datasets.
        input_shape: (height, width, channels) for which the networks' numbers are given.
        classes: number of classes.
        mean: mean of each channel, for pixels in [0, 255].
        std: standard deviation of each channel.
        central_fraction: share of an image's shorter side that evaluation uses.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    central_fraction: float = 1.0

    @functools.cached_property
    def identified_classes(self):
        """A pair (identifier, name) for each class: WordNet's for ImageNet, COCO's numbers, otherwise the index."""
        file = importlib.resources.files("aa_keras.applications") / "labels" / f"{self.name}.txt"
        lines = file.read_text(encoding="utf-8").splitlines()
        return tuple(tuple(line.split(" ", 1)) if " " in line else (index, line) for index, line in enumerate(lines))

    @property
    def class_names(self):
        """The names of the classes, in the order of their indices."""
        return tuple(name for _, name in self.identified_classes)

    def preprocess_input(self, x, data_format=None):
        """Normalizes images with the mean and standard deviation of the data set, as the models expect.

        Args:
            x: array or tensor of RGB images with values in [0, 255], of shape (..., 3) and any type. It is not changed.
            data_format: "channels_last" or None.

        Returns:
            A floating-point array, or tensor if `x` is one, of the same shape.

        Raises:
            ValueError: if the last axis does not hold 3 channels, or for another `data_format`.
        """
        return normalize(x, self.mean, self.std, data_format)

    def decode_predictions(self, preds, top=5, class_names=None):
        """Names the most probable classes of the data set.

        Args:
            preds: array of shape (batch, classes), or (batch, number of `class_names`): probabilities or logits.
            top: number of classes to name for each image.
            class_names: list of the names of other classes, in their order, for a network that was trained on them.

        Returns:
            For each image a list of `top` triples (identifier, class name, score), the highest score first. The
            identifiers are WordNet's for ImageNet, and otherwise the indices of the classes.

        Raises:
            ValueError: if `preds` has another shape, or `top` is not between 1 and the number of classes.
        """
        return _most_probable(preds, top, self.identified_classes if class_names is None else _numbered(class_names))


CIFAR100 = Dataset("cifar100", (32, 32, 3), 100, mean=(129.3, 124.1, 112.4), std=(68.2, 65.4, 70.4))
# With the usual statistics of ImageNet.
IMAGENET = Dataset(
    "imagenet2012",
    (224, 224, 3),
    1000,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    central_fraction=0.875,
)
# As in timm's training of BoTNets.
IMAGENET_256 = dataclasses.replace(IMAGENET, input_shape=(256, 256, 3), central_fraction=1.0)
COCO = Dataset("coco", (640, 640, 3), 80, mean=IMAGENET.mean, std=IMAGENET.std)
# Blood cells (github.com/Shenggan/BCCD_Dataset), at the size of the recipe here.
BCCD = Dataset("bccd", (192, 256, 3), 3, mean=IMAGENET.mean, std=IMAGENET.std)


def normalize(images, mean, std, data_format=None):
    """Returns (images - mean) / std, channel by channel, without changing `images`.

    Args:
        images: array or tensor of shape (..., channels) and any type, values in [0, 255].
        mean: mean of each channel.
        std: standard deviation of each channel.
        data_format: "channels_last" or None.

    Returns:
        A NumPy array, or a tensor of the backend if `images` is one, of a floating-point type: that of `images` if it
        has one, otherwise Keras's default.

    Raises:
        ValueError: if the number of channels is not that of `mean`, or for another `data_format`.
    """
    data_format = data_format or keras.config.image_data_format()
    if data_format != "channels_last":
        raise ValueError(f'`data_format` must be "channels_last". Received: data_format={data_format!r}')
    if not ops.is_tensor(images) and not keras.backend.is_keras_tensor(images):
        try:
            images = np.asarray(images)
        except ValueError:  # lists of lists of different lengths
            images = np.asarray(None)
        if images.dtype.kind not in "biufV":  # bfloat16 has the last kind
            raise ValueError(f"`x` must be an array or tensor of numbers. Received: x={images!r:.80}")
    if not images.shape or images.shape[-1] != len(mean):
        raise ValueError(f"`x` must have {len(mean)} channels on its last axis. Received: x of shape {images.shape}")
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "float" not in dtype:
        dtype = keras.config.floatx()
    if isinstance(images, np.ndarray):
        return (images.astype(dtype) - np.asarray(mean, dtype)) / np.asarray(std, dtype)
    return (ops.cast(images, dtype) - ops.convert_to_tensor(mean, dtype)) / ops.convert_to_tensor(std, dtype)


def _numbered(class_names):
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise ValueError(f"`class_names` must be a list of strings. Received: class_names={class_names!r}")
    return list(enumerate(class_names))


def _most_probable(predictions, top, classes):
    """Returns for each image the `top` triples (identifier, name, score) of `classes`, the highest score first."""
    predictions = np.asarray(predictions)
    if predictions.ndim != 2 or predictions.shape[1] != len(classes):
        raise ValueError(
            f"`preds` must have the shape (batch, {len(classes)}). Received: preds of shape {predictions.shape}"
        )
    if not _arguments.is_integer(top) or not 1 <= top <= len(classes):
        raise ValueError(f"`top` must be an integer from 1 to {len(classes)}. Received: top={top!r}")
    # Stable, so that equal scores are in the order of their classes.
    best = np.argsort(-predictions, axis=1, kind="stable")[:, :top]
    return [
        [(*classes[index], float(row[index])) for index in indices]
        for row, indices in zip(predictions, best, strict=True)
    ]
