"""Trained weights, with their source and the preprocessing of the images that they were trained with."""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from aa_keras.files import checksum, read_json, write_json
from aa_keras.layers import _arguments

from ..datasets import IMAGENET, normalize
from .architecture import Architecture, plain_arguments, with_tuples
from .files import read_content

MODEL, INFO, CARD = "model.keras", "weights.json", "README.md"
INTERPOLATIONS = ("bilinear", "bicubic")


@dataclasses.dataclass(frozen=True)
class WeightsInfo:
    """The source of weights, the call that builds their network, and the preprocessing of its images.

    Attributes:
        builder: name of their builder in `aa_keras.applications`.
        source: their source: "timm/resnet50.a1h_in1k", the name of a file, a recipe.
        licence: their licence, by its SPDX name; "" if it is not known.
        scores: percentages by name, such as "top1".
        reported: who measured the scores, and how; "" without scores.
        mean: mean of each channel, for pixels in [0, 255].
        std: standard deviation of each channel, likewise.
        central_fraction: share of an image's shorter side that evaluation uses.
        interpolation: how images are resized, "bilinear" or "bicubic".
        class_names: names of the classes in the order of their indices; () for those of the family's data set.
        arguments: the builder's arguments that are not its defaults, by name; None if they are not known.
    """

    builder: str
    source: str
    licence: str = ""
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    reported: str = ""
    mean: tuple[float, ...] = IMAGENET.mean
    std: tuple[float, ...] = IMAGENET.std
    central_fraction: float = 0.875
    interpolation: str = "bilinear"
    class_names: tuple[str, ...] = ()
    arguments: dict[str, Any] | None = None

    def __post_init__(self):
        for name, is_valid in (
            ("builder", isinstance(self.builder, str)),
            ("source", isinstance(self.source, str)),
            ("licence", isinstance(self.licence, str)),
            ("reported", isinstance(self.reported, str)),
            ("scores", isinstance(self.scores, dict) and all(map(_arguments.is_number, self.scores.values()))),
            ("mean", _are_numbers(self.mean)),
            ("std", _are_numbers(self.std) and len(self.std) == len(self.mean) and min(self.std, default=0) > 0),
            ("central_fraction", _arguments.is_number(self.central_fraction) and 0 < self.central_fraction <= 1),
            ("interpolation", self.interpolation in INTERPOLATIONS),
            ("class_names", isinstance(self.class_names, tuple) and all(isinstance(n, str) for n in self.class_names)),
            ("arguments", self.arguments is None or _can_be_written(self.arguments)),
        ):
            if not is_valid:
                raise ValueError(f"`{name}` of weights is invalid. Received: {name}={getattr(self, name)!r:.100}")

    @property
    def architecture(self):
        """The `Architecture` of the network."""
        return Architecture(self.builder, self.arguments)

    def preprocess_input(self, x, data_format=None):
        """Normalizes images as in the training of the weights: see `Dataset.preprocess_input`."""
        return normalize(x, self.mean, self.std, data_format)


def _are_numbers(values):
    return isinstance(values, tuple) and len(values) > 0 and all(map(_arguments.is_number, values))


def _can_be_written(arguments):
    return isinstance(arguments, dict) and plain_arguments(arguments) is not None


@dataclasses.dataclass(frozen=True)
class Weights:
    """Trained weights in a file.

    Attributes:
        path: the file, `.weights.h5` or `.keras`.
        info: `WeightsInfo`, or None if nothing is known of them.
        source: their source, for messages; None takes the path.
        is_exact: whether the network must have all of them, also the classifier: those that are named by a path.
    """

    path: str | os.PathLike
    info: WeightsInfo | None = None
    source: str | None = None
    is_exact: bool = False

    def __str__(self):
        return str(self.path) if self.source is None else self.source

    @property
    def folder(self):
        """The folder that the file is in."""
        return pathlib.Path(self.path).parent

    @functools.cached_property
    def content(self):
        """The `FileContent` of the file, which is read once."""
        return read_content(self.path)

    @property
    def statistics(self):
        """The mean and the standard deviation of the images that they were trained with, or None."""
        return None if self.info is None else (self.info.mean, self.info.std)


def read_folder(folder):
    """Returns the `Weights` in a folder, with the metadata that `write_info` wrote.

    Raises:
        ValueError: if it is not such a folder, or damaged.
    """
    folder = pathlib.Path(folder)
    try:
        content = read_json(folder / INFO)
        sha256 = content.pop("sha256")
        info = WeightsInfo(**{name: with_tuples(value) for name, value in content.items()})
        whole = checksum(folder / MODEL) == sha256
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder / INFO} was not written by aa_keras.save_pretrained: {error}") from None
    if not whole:
        raise ValueError(f"{folder / MODEL} is damaged: its SHA-256 should be {sha256}")
    return Weights(folder / MODEL, info, info.source)


def write_info(folder, info):
    """Writes the metadata of the model in a folder next to it, with its checksum."""
    content = {**dataclasses.asdict(info), "sha256": checksum(pathlib.Path(folder) / MODEL)}
    write_json(pathlib.Path(folder) / INFO, content)
