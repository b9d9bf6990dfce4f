"""Builders: functions that check their common arguments, and named variants of them."""

import dataclasses
import difflib
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from aa_keras.layers import _arguments

from . import _sources
from .converters import TimmRules
from .datasets import Dataset

Function = TypeVar("Function", bound=Callable)

POOLINGS = (None, "avg", "max")


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of networks, with the contents of its builders' docstrings.

    Attributes:
        dataset: the `Dataset` that its networks are for.
        stages: the stages that can be augmented, in words.
        output_shape: shape of the last feature map, in words.
        pyramid: the levels of `pyramid_outputs`, in words.
        arguments: the family's own arguments, from name to description.
        example: values of required arguments for an example call, by name.
        timm: `TimmRules` of the family's networks that timm has, or None.
        backbone: the builder whose weights a detector's `backbone_weights` are, or None.
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
class _Definition:
    """The definition of a builder: the function with all arguments of its family, and the fixed ones."""

    family: Family
    function: Callable
    fixed: dict[str, object]
    signature: inspect.Signature


def builder(family: Family) -> Callable[[Function], Function]:
    """Makes a builder of a function with all arguments of a family, and completes its docstring, a sentence.

    The builder checks the arguments that all families share before it calls the function, and finds named weights.
    """

    def decorate(function):
        definition = _Definition(family, function, {}, inspect.signature(function))
        return _build(definition, function.__name__, function.__doc__)

    return decorate


def variant(of: Any, function_name: str, summary: str, fixed: dict, **defaults) -> Callable[..., keras.Model]:
    """Returns a named variant of a builder.

    Args:
        of: the builder.
        function_name: the name of the new one.
        summary: the first sentence of its docstring.
        fixed: fixed arguments, from name to value, which the new builder does not have.
        **defaults: arguments that have another default, by name.
    """
    definition = of.definition
    parameters = definition.signature.parameters
    kept = [
        parameter.replace(default=defaults.get(name, parameter.default))
        for name, parameter in parameters.items()
        if name not in fixed
    ]
    assert {*fixed, *defaults} <= set(parameters), function_name
    signature = definition.signature.replace(parameters=kept)
    definition = dataclasses.replace(definition, fixed={**definition.fixed, **fixed}, signature=signature)
    return _build(definition, function_name, summary)


def sized(of: Any, size: str, summary: str, fixed: dict, **defaults) -> Callable[..., keras.Model]:
    """Returns the variant of a builder for one size, with which its name ends: `AAResNet50` of `AAResNet` and "50".

    The other arguments are those of `variant`; `fixed` may have arguments that the builder does not take.
    """
    parameters = of.definition.signature.parameters
    fixed = {name: value for name, value in fixed.items() if name in parameters}
    return variant(of, f"{of.__name__}{size}", summary, fixed, name=f"{parameters['name'].default}{size}", **defaults)


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
        given["weights"] = found_weights(definition, function_name, given["weights"])
        if definition.family.backbone is not None:
            backbone = definition.family.backbone.definition
            given["backbone_weights"] = found_weights(backbone, "", given["backbone_weights"], "backbone_weights")
        for weights in (given["weights"], given.get("backbone_weights")):
            for name, value in _sources.structure_of(weights).items():
                if name in given and given[name] is None:
                    given[name] = value
        if "pooling" in given:
            _check_pooling(given["pooling"], given["include_top"])
        model = definition.function(**given, **definition.fixed)
        # For saving: data that a file does not have.
        model.builder, model.dataset = function_name, definition.family.dataset
        return model

    del build.__wrapped__  # otherwise tools would show the arguments of the function
    build.__name__ = build.__qualname__ = function_name
    build.__signature__ = definition.signature
    build.definition = definition
    if summary:  # Python's option -OO removes docstrings
        build.__doc__ = f"{summary}\n{_documentation(definition, function_name)}"
    return build


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


def found_weights(definition, function_name, weights, argument="weights"):
    """Finds the weights of a builder's argument: see `_sources.find`."""
    return _sources.find(function_name, weights, argument, definition.family.timm, definition.function)


def _check_pooling(pooling, include_top):
    """Raises ValueError as `keras.applications` does, and for a `pooling` that would have no effect."""
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be None, 'avg' or 'max'. Received: pooling={pooling!r}")
    if include_top and pooling is not None:
        raise ValueError(
            "`pooling` is for models without a classifier: pass `include_top=False` or leave it out. "
            f"Received: pooling={pooling!r}, include_top={include_top}"
        )


def _documentation(definition, function_name):
    """Returns the rest of a builder's docstring after the first sentence."""
    family, parameters = definition.family, definition.signature.parameters
    words = {name: getattr(family, name) for name in ("stages", "output_shape", "pyramid")}
    words["default_shape"] = family.dataset.input_shape
    described = {**_ARGUMENTS, **family.arguments}
    arguments = "\n".join(
        textwrap.fill(f"{name}: {described[name].format(**words)}", 112, subsequent_indent="    ")
        for name in parameters
    )
    required = (name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty)
    call = "".join(f"{name}={family.example[name]}, " for name in required)
    text = _TEMPLATE.format(
        arguments=textwrap.indent(arguments, " " * 4),
        returns=textwrap.indent(textwrap.fill(family.returns.format(**words), 112), " " * 4),
        call=f"{function_name}({call}include_preprocessing=True)",
        batch_shape=(1, *family.dataset.input_shape),
        result=family.result,
        raises=family.raises,
        **words,
    )
    return textwrap.indent(text, " " * 4, predicate=str.strip)


_ARGUMENTS = {
    "include_top": "boolean, whether the model ends in a classifier.",
    "weights": "None for random weights; the name of trained ones that `aa_keras.applications.pretrained` lists for "
    "the builder; the path of a file of weights (`.weights.h5` or `.keras`) of the same network, or of a folder that "
    "`aa_keras.save_pretrained` wrote; 'hf://USER/REPOSITORY' for such a folder on the Hugging Face Hub; the URL of a "
    "file with its checksum, 'https://HOST/NAME.keras#sha256=...'; or, for ResNets and BoTNets, weights of timm, "
    "'timm/NAME' or a checkpoint (`.safetensors`, `.bin` or `.pth`), which are converted and kept in Keras's cache. "
    "An augmented network takes what fits from a plain one, unless the path of its file is given; a log line counts "
    "the weights. "
    "Tables of relative positions for another image size are resized, and a log line says so; if the "
    "size is unknown, they stay as they are. Without a top, the file's number of classes does not matter;"
    " named weights for other classes than `classes` leave the classifier new, and a log line says so.",
    "input_tensor": "Keras tensor to use as the image input, or None.",
    "input_shape": "(height, width, channels) of the images; height and width may be None. None takes {default_shape}, "
    "or (None, None, 3) without a top. Tables of relative positions are made for this size, or for "
    "{default_shape} if it is unknown; smaller inputs use their centre, larger ones share their ends.",
    "pooling": 'without a top, the global pooling of the last feature map: "avg", "max", or None for no pooling.',
    "classes": "number of classes.",
    "classifier_activation": "activation of the classifier; None returns logits.",
    "name": "name of the model.",
    "include_preprocessing": "boolean. True makes `preprocess_input` a layer of the model, which then takes "
    "pixels from 0 to 255.",
    "channel_attention": 'attention over the channels of each block before its shortcut is added: "squeeze_excite", '
    '"gather_excite" or None.',
    "channel_attention_bias": 'boolean, whether the dense layers of "squeeze_excite" have biases, as in timm; '
    "None takes that of `weights`, or False.",
    "padding": 'padding of strided windows: "same", as in TensorFlow, or "symmetric", as in PyTorch; None '
    'takes that of `weights`, or "same".',
    "num_heads": "number of attention heads.",
    "key_ratio": "the paper's kappa, the depth of keys over the filters of the convolution.",
    "value_ratio": "the paper's upsilon, the share of attention among the output channels; 1 leaves no convolution.",
    "position_encoding": '"relative", "sinusoidal", "coordinates" or None.',
    "attention_stages": 'tuple of the augmented stages, of {stages}; or "auto", for as many stages, from the last '
    "backwards, as fit into `attention_budget`.",
    "attention_pooling": "stride of an average pooling before attention in the first of these stages.",
    "implementation": 'how attention is computed, "auto", "dense", "blockwise" or "fused": see `SelfAttention2D`.',
    "attention_budget": 'with `attention_stages="auto"`, the bytes that attention may take in training, for each '
    "image of a batch, as `aa_keras.attention.attention_memory` estimates them; otherwise None.",
}

_TEMPLATE = """
Args:
{arguments}

Returns:
{returns}

Raises:
    ValueError: {raises}

Example:

>>> model = {call}
>>> images = np.zeros({batch_shape}, "uint8")  # RGB, pixels from 0 to 255
>>> {result} = model.predict(images)
"""
