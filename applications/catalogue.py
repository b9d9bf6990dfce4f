"""The networks by name: which there are, how one is built, and how one was built."""

import difflib
import fnmatch
import os
import re

import keras

from aa_keras.files import read_json
from aa_keras.layers import _arguments

from . import pretrained
from .blocks import is_level, pyramid_outputs
from .builders import BUILDERS, NOT_RECORDED, backbone_of, found_weights
from .converters.timm_hub import ARCHITECTURES
from .weights import Architecture, Weights
from .weights.architecture import recorded_on, with_tuples
from .weights.finding import HUB, find


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
        _arguments.one_of("task", task, tasks())
    pattern = filter.lower() if set(filter) & set("*?[") else f"*{filter.lower()}*"
    with_weights = builders_with_weights()
    return [
        name
        for name in sorted(BUILDERS, key=_in_order)
        if fnmatch.fnmatchcase(name.lower(), pattern)
        and (not pretrained or name in with_weights)
        and task in (None, BUILDERS[name].definition.family.task)
    ]


def tasks() -> list[str]:
    """Returns the tasks that the library's networks are made for."""
    return sorted({builder.definition.family.task for builder in BUILDERS.values()})


def builders_with_weights() -> set[str]:
    """Returns the names of the builders with trained weights of this library or of timm."""
    return {entry.builder for entry in pretrained.PRETRAINED} | set(ARCHITECTURES)


def create_model(name: str | os.PathLike, **arguments) -> keras.Model:
    """Returns a network by the name of its builder, or a trained one as it was saved.

    Args:
        name: name of a builder, such as "AAResNet50", or of its networks, such as "aa_resnet50"; or trained weights
            that record their builder and its arguments: the path of a folder that `aa_keras.save_pretrained` wrote,
            'hf://USER/REPOSITORY' for such a folder on the Hugging Face Hub, or the path of a file `.keras` of a
            builder's network, such as that of a run.
        **arguments: arguments of the builder. Those of a trained network are the recorded ones except for these, such
            as `classes=10` for a new classifier, or `input_shape`.

    Raises:
        ValueError: if there is no such builder or file, if a file does not record how its network was built, and as the
            builder does.

    Example:

    >>> model = create_model("AAWideResNet16_4", weights="cifar100")
    >>> aa_keras.save_pretrained(model, "mine")
    >>> create_model("mine", classes=10)
    """
    builders = {_bare(builder): builder for builder in BUILDERS}
    if isinstance(name, str) and _bare(name) in builders:
        return BUILDERS[builders[_bare(name)]](**arguments)
    if isinstance(name, os.PathLike) or (isinstance(name, str) and (name.startswith(HUB) or os.path.exists(name))):
        return _rebuilt(name, arguments)
    similar = difflib.get_close_matches(_bare(str(name)), builders, n=3)
    hint = f", such as {', '.join(builders[match] for match in similar)}" if similar else ""
    raise ValueError(
        f"`name` must be one of `list_models()`{hint}, the path of a trained network, or '{HUB}USER/REPOSITORY'. "
        f"Received: name={name!r}"
    )


def _rebuilt(name, arguments):
    """Returns the network of trained weights."""
    weights = find("", name, "name", is_exact=False)
    architecture = architecture_of(weights)
    if architecture is None or architecture.arguments is None:
        known = "" if architecture is None else f"; their builder is {architecture.builder}"
        raise ValueError(
            "`name` must be of weights that record the arguments of their builder. Call the builder of the network "
            f"with `weights=`. Received: name={os.fspath(name)!r}, which do not{known}"
        )
    builder = BUILDERS[architecture.builder]
    known = set(builder.definition.signature.parameters) - set(NOT_RECORDED)
    unknown = sorted(set(architecture.arguments) - known)
    if unknown:
        raise ValueError(
            f"`name` must be of weights whose recorded arguments {architecture.builder} has. "
            f"Received: name={os.fspath(name)!r}, with {', '.join(unknown)}"
        )
    return builder(**{"weights": weights, **architecture.arguments, **arguments})


def architecture_of(source: keras.Model | Weights | str | os.PathLike) -> Architecture | None:
    """Returns how a network of this library was built, or None for any other.

    It is what was recorded: on a model by its builder, in the file of a whole model, in the `weights.json` or the run
    that the file belongs to. The last resort is the name of a whole network, such as "aa_resnet50_1", which says
    nothing about the arguments.

    Args:
        source: a model, `Weights`, or what `create_model` takes for a trained network.

    Raises:
        ValueError: if there are no such weights.
    """
    if isinstance(source, keras.Model):
        return recorded_on(source) or _guessed(source.name, any(pyramid_outputs(source)))
    weights = source if isinstance(source, Weights) else find("", source, "source")
    if weights is None:
        return None
    content = weights.content
    found = [
        weights.info.architecture if weights.info else None,
        content.architecture,
        _of_run(weights),
        _guessed(content.config.get("name", ""), any(map(is_level, content.layers))),
    ]
    known = [architecture for architecture in found if architecture is not None and architecture.builder in BUILDERS]
    return next((each for each in known if each.arguments is not None), known[0] if known else None)


def _of_run(weights):
    """Returns the architecture of a file of whole weights in a run directory, or None."""
    try:
        config = read_json(weights.folder / "config.json")
        builder, arguments = config["builder"], config["builder_arguments"]
    except (OSError, ValueError, KeyError, TypeError):  # another file of this name, or none
        return None
    if not isinstance(builder, str) or not isinstance(arguments, dict) or not weights.content.config:
        return None
    return Architecture(builder, {**with_tuples(arguments), **weights.content.images_and_classes})


def _guessed(name, has_levels):
    """Returns the architecture of a network by its name; None for a name that no network of this library starts with.

    Args:
        name: the name of a network.
        has_levels: whether it has layers called "P2" and so on, which the ResNet50 of `keras.applications` has not.
    """
    defaults = {builder.definition.signature.parameters["name"].default: known for known, builder in BUILDERS.items()}
    fitting = [default for default in defaults if name.startswith(default)]
    return Architecture(defaults[max(fitting, key=len)], None) if fitting and has_levels else None


def weights_of(builder: str, weights: str | os.PathLike, backbone: str | None = None) -> tuple[Weights, dict]:
    """Finds the `weights` of a builder, and the arguments of the builder that they decide.

    For a detector's builder, they are those of its backbone.

    Args:
        builder: name of the builder.
        weights: its argument.
        backbone: the argument of a detector's builder with this name, if it is another builder's name.

    Returns:
        The `Weights`, and a dictionary; with `backbone`, of arguments of that builder.
    """
    definition, argument = BUILDERS[builder].definition, "weights"
    known = definition.signature.parameters
    if definition.family.backbone is not None:
        definition, builder, argument = backbone_of(definition, backbone), backbone or "", "backbone_weights"
        known = known if backbone is None else definition.signature.parameters
    found = found_weights(builder, weights, argument, definition)
    return found, {name: value for name, value in found.content.settings.items() if name in known}


def dataset_of(model: keras.Model):
    """Returns the `Dataset` that a network of this library was designed for, or None for any other."""
    architecture = architecture_of(model)
    return None if architecture is None else BUILDERS[architecture.builder].definition.family.dataset


def _in_order(name):
    """Returns a key that sorts numbers in names as numbers."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _bare(name):
    return name.lower().replace("_", "")
