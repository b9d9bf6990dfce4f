"""How a network was built: the name of its builder and its arguments, recorded on models and in their files."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

from aa_keras.layers import _arguments

FILE = "architecture.json"
# Its name within a `.keras` file, where Keras puts what a model's `save_assets` writes.
IN_ARCHIVE = f"assets/{FILE}"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The call that builds a network.

    Attributes:
        builder: name of its builder in `aa_keras.applications`.
        arguments: the builder's arguments that are not its defaults, by name; None if they are not known.
    """

    builder: str
    arguments: dict[str, Any] | None

    def as_json(self):
        """Returns the architecture as a JSON object."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text):
        """Returns the architecture that `as_json` wrote; raises ValueError for anything else."""
        content = json.loads(text)
        if not isinstance(content, dict) or not isinstance(content.get("builder"), str):
            raise ValueError(f"{FILE} names no builder: {content!r:.100}")
        arguments = content.get("arguments")
        return cls(content["builder"], with_tuples(arguments) if isinstance(arguments, dict) else None)


def encoder_of(config):
    """Returns the config of the network of the library within the Keras config of a detector."""
    return config["backbone"]["config"]["image_encoder"]["config"]


def of_detector(config):
    """Returns the architecture of a detector from its Keras config, which has all that its builder was called with."""
    pyramid, encoder = config["backbone"]["config"], encoder_of(config)
    backbone = dict(encoder["arguments"])
    if encoder["builder"] != "AAResNet":  # the arguments of other builders are not those of the detector's own
        normalizes = backbone.pop("include_preprocessing", False)
        backbone = {
            "backbone": encoder["builder"],
            "backbone_arguments": backbone,
            "include_preprocessing": normalizes,
        }
    arguments = {
        **backbone,
        **{name: pyramid[name] for name in ("min_level", "max_level")},
        **{name: config[name] for name in ("head_convolutions", "anchor_size", "name")},
        "classes": config["num_classes"],
        "input_shape": encoder["image_shape"],
    }
    return Architecture("AARetinaNet", None if encoder["builder"] is None else with_tuples(arguments))


def recorded(model, architecture):
    """Returns a model with its architecture, which its `.keras` files will also have.

    Keras calls a model's `save_assets` when it saves the whole model. The model itself and its config stay those of any
    functional Keras model, which loads without this library's classes of models.
    """
    model.architecture = architecture
    model.save_assets = functools.partial(_write, architecture)
    return model


def recorded_on(model):
    """Returns the architecture that is recorded on a model, or None."""
    architecture = getattr(model, "architecture", None)  # others may mean something else by it
    return architecture if isinstance(architecture, Architecture) else None


def _write(architecture, folder):
    pathlib.Path(folder, FILE).write_text(architecture.as_json(), encoding="utf-8")


def plain_arguments(arguments):
    """Returns arguments of a builder as JSON can hold them, or None if it cannot: a function, for instance."""
    try:
        return {name: _plain(value) for name, value in arguments.items()}
    except TypeError:
        return None


def _plain(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if _arguments.is_integer(value):
        return int(value)
    if _arguments.is_number(value):
        return float(value)
    raise TypeError(f"JSON has no {type(value).__name__}")


def with_tuples(value):
    """Returns a value with tuples for lists, at any depth: JSON has lists alone, and builders take tuples."""
    if isinstance(value, dict):
        return {name: with_tuples(item) for name, item in value.items()}
    return tuple(map(with_tuples, value)) if isinstance(value, (list, tuple)) else value
