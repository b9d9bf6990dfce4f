"""The builders by name."""

import difflib
import fnmatch
import re

import keras

from aa_keras.layers import _arguments

from . import botnet, mnasnet, resnet, retinanet, wide_resnet
from ._builders import found_weights
from ._sources import structure_of
from .converters.timm_hub import ARCHITECTURES
from .datasets import Dataset
from .pretrained import PRETRAINED

BUILDERS = {
    name: value
    for family in (botnet, mnasnet, resnet, retinanet, wide_resnet)
    for name, value in vars(family).items()
    if hasattr(value, "definition")
}
# The tasks that the library's networks are made for.
TASKS = sorted({builder.definition.family.task for builder in BUILDERS.values()})


def list_models(
    filter: str = "*",  # noqa: A002  as timm calls it
    pretrained: bool = False,
    task: str | None = None,
) -> list[str]:
    """Returns the names of the builders, sorted, ResNet34 before ResNet101.

    Args:
        filter: pattern that names must match, in upper or lower case: with `*` and `?` as in a shell, or a part of the
            name.
        pretrained: whether to leave out those without trained weights of this library or of timm.
        task: "classification" or "detection", to leave out the builders for the other task; None for both.

    Raises:
        ValueError: for another `task`.

    Example:

    >>> list_models("aa*resnet50")
    ['AAResNet50']
    """
    if task is not None:
        _arguments.one_of("task", task, TASKS)
    pattern = filter.lower() if set(filter) & set("*?[") else f"*{filter.lower()}*"
    with_weights = {entry.builder for entry in PRETRAINED} | set(ARCHITECTURES)
    return [
        name
        for name in sorted(BUILDERS, key=_in_order)
        if fnmatch.fnmatchcase(name.lower(), pattern)
        and (not pretrained or name in with_weights)
        and task in (None, BUILDERS[name].definition.family.task)
    ]


def create_model(name: str, **arguments) -> keras.Model:
    """Returns the network of a builder by name.

    Args:
        name: name of a builder, such as "AAResNet50", or of its networks, such as "aa_resnet50".
        **arguments: arguments of the builder.

    Raises:
        ValueError: if there is no such builder, and as the builder does.
    """
    builders = {_bare(builder): builder for builder in BUILDERS}
    if not isinstance(name, str) or _bare(name) not in builders:
        similar = difflib.get_close_matches(_bare(str(name)), builders, n=3)
        hint = f", such as {', '.join(builders[match] for match in similar)}" if similar else ""
        raise ValueError(f"`name` must be one of `list_models()`{hint}. Received: name={name!r}")
    return BUILDERS[builders[_bare(name)]](**arguments)


def weights_of(builder: str, weights: str) -> tuple:
    """Finds the `weights` of a builder, and the arguments of the builder that they decide.

    For a detector's builder, they are those of its backbone.

    Args:
        builder: name of the builder.
        weights: its argument.

    Returns:
        The weights as `_sources.find` returns them, and a dictionary.
    """
    definition, argument = BUILDERS[builder].definition, "weights"
    known = definition.signature.parameters
    if definition.family.backbone is not None:
        definition, builder, argument = definition.family.backbone.definition, "", "backbone_weights"
    found = found_weights(definition, builder, weights, argument)
    return found, {name: value for name, value in structure_of(found).items() if name in known and value is not None}


def dataset_of(network: str) -> Dataset | None:
    """Returns the data set of a network by its name, such as "aa_resnet50"; None for an unknown name."""
    names = {
        builder.definition.signature.parameters["name"].default: builder.definition.family.dataset
        for builder in BUILDERS.values()
    }
    known = [name for name in names if network.startswith(name)]
    return names[max(known, key=len)] if known else None


def _in_order(name):
    """Returns a key that sorts numbers in names as numbers."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _bare(name):
    return name.lower().replace("_", "")
