"""Builders: functions that check their common arguments, and named variants of them."""

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from aa_keras.layers import _arguments

from .converters import TimmRules
from .datasets import Dataset
from .docstrings import documentation
from .weights import Architecture
from .weights.architecture import plain_arguments, recorded
from .weights.finding import find

Function = TypeVar("Function", bound=Callable)

POOLINGS = (None, "avg", "max")
# All builders by their names; `builder` and `variant` add what they return.
BUILDERS: dict[str, Any] = {}
# Arguments that say where numbers come from, and nothing about the network.
NOT_RECORDED = ("weights", "backbone_weights", "input_tensor")
# Arguments that follow from the data, for a recipe or a detector.
OF_THE_DATA = {
    *("include_top", "weights", "input_tensor", "input_shape", "pooling", "classes", "classifier_activation"),
    "include_preprocessing",
}


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of networks, with the contents of its builders' docstrings.

    Attributes:
        dataset: the `Dataset` that its networks are for.
        stages: the stages that can be augmented, in words.
        output_shape: shape of the last feature map, in words.
        pyramid: the levels of `pyramid_outputs`, in words.
        arguments: the family's own arguments, from name to description.
        hidden: the arguments that a network of one size, such as ResNet-50, does not have.
        example: values of required arguments for an example call, by name.
        timm: `TimmRules` of the family's networks that timm has, or None.
        backbone: a detector's builder of backbones, unless its argument `backbone` names another; None for others.
        task: name of the networks' task in `aa_keras.tasks`.
        returns: the "Returns" section.
        raises: the "Raises" section for ValueError.
        result: name of the prediction in the example.
    """

    dataset: Dataset
    stages: str
    output_shape: str
    pyramid: str
    arguments: dict[str, str]
    hidden: tuple[str, ...] = ()
    example: dict[str, object] = dataclasses.field(default_factory=dict)
    timm: TimmRules | None = None
    backbone: Any = None
    task: str = "classification"
    returns: str = """A `keras.Model` of images that `preprocess_input` has normalized, or of pixels from 0 to 255 with
`include_preprocessing=True`. Its outputs have the shape (batch, classes), or without top and pooling {output_shape}.
Its `pyramid_outputs` are the outputs of the stages, {pyramid}."""
    raises: str = """for an argument out of its range, for `pooling` with a top, for an `input_shape` that is not that
        of `input_tensor`, and for weights of another network, naming the first difference."""
    result: str = "probabilities"


@dataclasses.dataclass(frozen=True)
class Definition:
    """The definition of a builder: the function with all arguments of its family, and the fixed ones."""

    family: Family
    function: Callable
    fixed: dict[str, object]
    signature: inspect.Signature

    def architecture(self, function_name, given):
        """Returns the `Architecture` of a call of the builder with these arguments, a dictionary."""
        parameters = self.signature.parameters
        given = {name: value for name, value in given.items() if name in parameters and name not in NOT_RECORDED}
        if callable(given.get("classifier_activation")):
            given["classifier_activation"] = keras.activations.serialize(given["classifier_activation"])
        plain = plain_arguments(given)
        if plain is not None:
            plain = {name: value for name, value in plain.items() if value != parameters[name].default}
        return Architecture(function_name, plain)


def builder(family: Family) -> Callable[[Function], Function]:
    """Makes a builder of a function with all arguments of a family, and completes its docstring, a sentence.

    The builder checks the arguments that all families share before it calls the function, and finds named weights.
    """

    def decorate(function):
        definition = Definition(family, function, {}, inspect.signature(function))
        BUILDERS[function.__name__] = _build(definition, function.__name__, function.__doc__)
        return BUILDERS[function.__name__]

    return decorate


def variant(
    of: Any, function_name: str, summary: str, fixed: dict[str, Any] | None = None, **settings
) -> Callable[..., keras.Model]:
    """Returns a named variant of a builder.

    Args:
        of: the builder.
        function_name: the name of the new one.
        summary: the first sentence of its docstring.
        fixed: arguments that the new builder does not have, from name to value.
        **settings: arguments that have another default. If one of them is a hidden argument of the family, the new
            builder has none of these: `depth=50` fixes the depth, and with it the width.
    """
    definition = of.definition
    parameters = definition.signature.parameters
    fixed = dict(fixed or {})
    hidden = [name for name in definition.family.hidden if name in parameters]
    if set(hidden) & set(settings):
        fixed |= {name: settings.pop(name, parameters[name].default) for name in hidden}
    if "channel_attention_bias" in parameters and fixed.get("channel_attention", "squeeze_excite") is None:
        fixed["channel_attention_bias"] = None  # an argument of what the network does not have
    if function_name.startswith(of.__name__):  # "aa_resnet50" of "aa_resnet"
        settings["name"] = parameters["name"].default + function_name.removeprefix(of.__name__)
    assert {*fixed, *settings} <= set(parameters), function_name
    kept = [
        parameter.replace(default=settings.get(name, parameter.default))
        for name, parameter in parameters.items()
        if name not in fixed
    ]
    signature = definition.signature.replace(parameters=kept)
    definition = dataclasses.replace(definition, fixed={**definition.fixed, **fixed}, signature=signature)
    BUILDERS[function_name] = _build(definition, function_name, summary)
    return BUILDERS[function_name]


def _build(definition, function_name, summary):
    """Returns the builder of a definition."""

    @functools.wraps(definition.function)
    def build(*arguments, **keywords):
        bound = _bound(definition, function_name, arguments, keywords)
        bound.apply_defaults()
        given = bound.arguments
        for name in {"include_top", "include_preprocessing"} & set(given):
            given[name] = _arguments.boolean(name, given[name])
        if given.get("include_top", True):  # detectors always have their heads
            given["classes"] = _arguments.positive_integer("classes", given["classes"])
        if "pooling" in given:
            _check_pooling(given["pooling"], given["include_top"])
        given["weights"] = found_weights(function_name, given["weights"], definition=definition)
        if "backbone_weights" in given:
            backbone = backbone_of(definition, given.get("backbone"))
            given["backbone_weights"] = found_weights("", given["backbone_weights"], "backbone_weights", backbone)
        _adopt_settings(definition, given)
        model = definition.function(**given, **definition.fixed)
        tensor = given.get("input_tensor")
        shape = {} if tensor is None else {"input_shape": tuple(tensor.shape[1:])}
        return recorded(model, definition.architecture(function_name, {**given, **shape}))

    del build.__wrapped__  # otherwise tools would show the arguments of the function
    build.__name__ = build.__qualname__ = function_name
    build.__signature__ = definition.signature
    build.definition = definition
    if summary:  # Python's option -OO removes docstrings
        build.__doc__ = f"{summary}\n{documentation(definition, function_name)}"
    return build


def _adopt_settings(definition, given):
    """Sets the arguments that are None and that weights decide: those of the builder, or of a detector's backbone."""
    target, parameters = given, definition.signature.parameters
    if given.get("backbone") is not None:
        arguments = given["backbone_arguments"]
        if not isinstance(arguments, (dict, type(None))):
            raise ValueError(f"`backbone_arguments` must be a dictionary. Received: backbone_arguments={arguments!r}")
        target = given["backbone_arguments"] = dict(arguments or {})
        parameters = backbone_of(definition, given["backbone"]).signature.parameters
    for weights in (given["weights"], given.get("backbone_weights")):
        for name, value in weights.content.settings.items() if weights else ():
            if name in parameters and target.get(name) is None:
                target[name] = value


def backbone_of(definition, backbone=None):
    """Returns the `Definition` of the builder of a detector's backbone.

    Args:
        definition: that of the detector's builder.
        backbone: its argument, a builder's name or a network; None for the family's own.
    """
    name = backbone if isinstance(backbone, str) else None
    return BUILDERS.get(name, definition.family.backbone).definition


def _bound(definition, function_name, arguments, keywords):
    """Returns the arguments of a call, or raises TypeError that names the function and an argument that was meant."""
    parameters = definition.signature.parameters
    for name in keywords:
        if name not in parameters:
            similar = difflib.get_close_matches(name, parameters, n=1)
            hint = f"Did you mean {similar[0]!r}?" if similar else f"The arguments are {', '.join(parameters)}"
            raise TypeError(f"{function_name}() got an unexpected keyword argument {name!r}. {hint}")
    try:
        return definition.signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise TypeError(f"{function_name}() is called wrongly: {error}") from None


def found_weights(function_name, weights, argument="weights", definition=None):
    """Finds the weights of a builder's argument: see `weights.finding.find`.

    Args:
        function_name: name of the builder, "" for any of its family.
        weights: the argument.
        argument: the name of the argument.
        definition: the `Definition` of the builder; None for that of its name.
    """
    definition = definition or BUILDERS[function_name].definition

    def build(name, arguments):
        model = definition.function(**arguments)
        return recorded(model, BUILDERS[name].definition.architecture(name, arguments))

    return find(function_name, weights, argument, definition.family.timm, build)


def _check_pooling(pooling, include_top):
    """Raises ValueError as `keras.applications` does, and for a `pooling` that would have no effect."""
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be None, 'avg' or 'max'. Received: pooling={pooling!r}")
    if include_top and pooling is not None:
        raise ValueError(
            "`pooling` is for models without a classifier: pass `include_top=False` or leave it out. "
            f"Received: pooling={pooling!r}, include_top={include_top}"
        )
