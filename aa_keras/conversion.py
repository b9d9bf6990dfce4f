"""Attention for existing networks."""

import collections
import difflib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from aa_keras._keras_compat import all_layers, calls_of_output
from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.layers._arguments import IntegerPair, integer_pair
from aa_keras.layers._graph import has_graph, symbolic_calls
from aa_keras.layers._transfer import (
    normalizations_after,
    quiet_attention,
    take_weights,
)

LARGEST_MAP = 28 * 28
_LOGGER = logging.getLogger("aa_keras")


def augment(
    model: keras.Model,
    select: Callable[[keras.layers.Conv2D], bool | dict] | Sequence[str] | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    min_key_dim: int = 20,
    position_encoding: str | None = "relative",
    attention_pooling: int = 1,
    implementation: str = "auto",
    max_size: IntegerPair | None = None,
) -> keras.Model:
    """Returns a copy of a network in which some convolutions are augmented with attention.

    Each `Conv2D` that is selected becomes an `AttentionAugmentedConv2D` of the same name, window, strides, filters
    and activation. The weights of everything else are copied, and so are those of the channels that remain the
    convolution's, in the layer and in a batch normalization after it; attention's are new. They start at 0, so that
    the next layers see no noise: a batch normalization right after the convolution starts with the scale 0 for
    attention's channels, and with the mean of those that they replace; without one, the kernel of attention's
    output projection starts at 1/1000 of its usual size, and its bias with that of the convolution where that is
    above 0. What the replaced channels knew of single pixels is lost. A line of the log says how many layers start
    in which way. The new weights are trainable, also where the rest is frozen. The given model is not changed.

    Args:
        model: a functional or `Sequential` Keras model, which may hold others.
        select: function of a `Conv2D` that returns whether to augment it; or, to augment it in a way of its own, a
            dictionary of arguments of `AttentionAugmentedConv2D`. Or a list of names of `Conv2D`s. None selects each
            one of a window larger than 1x1 whose output has at most 28x28 positions, and that can be augmented.
        num_heads: number of attention heads.
        key_ratio: the paper's kappa, the depth of keys over the filters of a convolution.
        value_ratio: the paper's upsilon, the share of attention among its filters; 1 leaves no convolution.
        min_key_dim: the least depth of keys in each head.
        position_encoding: "relative", "sinusoidal", "coordinates" or None.
        attention_pooling: stride of an average pooling before attention.
        implementation: how attention is computed, "auto" or another implementation of `SelfAttention2D`.
        max_size: integer or pair (height, width), for a model of images of unknown size: the largest that you expect,
            in pixels. The tables of relative positions are made for it; a larger image clips distances to the furthest.

    Returns:
        A Keras model of the same kind, not compiled.

    Raises:
        ValueError: for another kind of model, if nothing is selected, without `max_size` where it is needed, and for a
            selected layer that cannot be augmented (with groups, channels-first maps, padding that changes the size, or
            fewer filters than heads), or not with these options. The error names the layer.

    Example:

    >>> mobile = keras.applications.MobileNetV2(weights=None)
    >>> augmented = augment(mobile, lambda layer: layer.name.endswith("_expand") and layer.filters >= 384, num_heads=4)
    """
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise ValueError(f"`model` must be a functional or Sequential Keras model. Received: model={model!r}")
    options: dict[str, Any] = {
        "num_heads": num_heads,
        "key_ratio": key_ratio,
        "value_ratio": value_ratio,
        "min_key_dim": min_key_dim,
        "position_encoding": position_encoding,
        "attention_pooling": attention_pooling,
        "implementation": implementation,
    }
    AttentionAugmentedConv2D(10**9, 1, **options)  # raises ValueError for an option that no layer would take
    sizes = {} if max_size is None else _sizes_at(model, max_size)
    chooses = _chooser(model, select, num_heads, sizes)
    pairs = []

    def counterpart(layer):
        chosen = chooses(layer) if type(layer) is layers.Conv2D else False
        if chosen is False:
            new = type(layer).from_config(layer.get_config())
        else:
            new = _augmented(layer, {**options, **chosen}, _size_of(layer, sizes))
        pairs.append((layer, new))
        return new

    inputs = None if isinstance(model, keras.Sequential) else _inputs_like(model)
    augmented = keras.models.clone_model(model, inputs, clone_function=counterpart, recursive=True)
    if not any(isinstance(new, AttentionAugmentedConv2D) and type(old) is layers.Conv2D for old, new in pairs):
        raise ValueError(
            "`select` must choose at least one Conv2D of the model; without it, those of windows larger than 1x1 and "
            f"of at most 28x28 positions are chosen, with as many filters as `num_heads` or more, and {model.name!r} "
            f"has none.{_never_offered(old for old, _ in pairs)} Received: select={select!r}, num_heads={num_heads}"
        )
    augmented.trainable = True  # otherwise the copy of a frozen model would freeze what is new in it
    converted = [new for old, new in pairs if type(old) is not type(new)]
    followers = normalizations_after([new for _, new in pairs], of=converted)
    # Not where something else also takes the convolution's output, or where the normalization has no scale.
    normalized = {id(layer) for after, layer in followers.items() if after.scale and len(calls_of_output(layer)) == 1}
    for old, new in pairs:
        if not isinstance(old, layers.Layer):  # an operation such as the sum of two tensors
            continue
        take_weights(new, old.get_weights(), converted, followers)
        if new in converted and id(new) not in normalized:
            quiet_attention(new, old.get_weights())
        if type(old) is type(new):
            # A frozen normalization would keep the attention before it at the scale 0.
            new.trainable = old.trainable or new in followers
    _LOGGER.warning("%s", _account(model.name, converted, len(normalized)))
    return augmented


def _account(name, converted, normalized):
    """Returns a line about the layers that were augmented, of which `normalized` ones precede a batch normalization."""
    new, channels = sum(layer.value_depth for layer in converted), sum(layer.filters for layer in converted)
    ways = {"by the scale of batch normalization": normalized, "by a small projection": len(converted) - normalized}
    starts = ", ".join(f"{number} {way}" for way, number in ways.items() if number)
    return (
        f"{name}: {len(converted)} convolutions are augmented. {new / channels:.1%} of their channels are new, "
        f"attention's, and start at 0: {starts}"
    )


def _never_offered(operations):
    """Returns a sentence about the convolutions of other kinds, or ""."""
    kinds = collections.Counter(
        type(layer).__name__
        for layer in operations
        if isinstance(layer, layers.Layer) and "Conv" in type(layer).__name__ and type(layer) is not layers.Conv2D
    )
    kinds.pop(AttentionAugmentedConv2D.__name__, None)
    if not kinds:
        return ""
    counted = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return f" Only a Conv2D can be augmented, and it also has {counted}, which `select` is never asked about."


def _sizes_at(model, max_size):
    """Returns a dictionary from the ids of layers to (height, width) of their inputs, for images of a size."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs] if has_graph(model) else []
    if not any(len(shape) == 4 and None in shape[1:3] for shape in shapes):
        raise ValueError(
            "`max_size` is for models of images of unknown height or width. "
            f"Received: max_size={max_size}, and a model that takes {shapes}"
        )
    size = integer_pair("max_size", max_size)
    at_size = [
        (shape[0], *(length or most for length, most in zip(shape[1:3], size, strict=True)), shape[3])
        if len(shape) == 4
        else shape
        for shape in shapes
    ]
    sizes = {}
    for call in symbolic_calls(model, at_size):
        if type(call.layer) is layers.Conv2D:  # the largest, if it is called several times
            here = call.args[0].shape[1:3]
            there = sizes.get(id(call.layer), here)
            sizes[id(call.layer)] = tuple(map(max, zip(here, there, strict=True)))
    return sizes


def _inputs_like(model):
    """Returns inputs of the same structure, shapes, types and names, which Keras would otherwise make up."""
    names = {id(layer.output): layer.name for layer in model.layers if isinstance(layer, layers.InputLayer)}
    return keras.tree.map_structure(
        lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=names.get(id(tensor))),
        model.input,
    )


def _chooser(model, select, num_heads, sizes):
    """Returns a function of a `Conv2D` that returns its own options to augment it with, or False to leave it as is."""
    if select is None:
        return lambda layer: {} if _is_suitable(layer, num_heads, _size_of(layer, sizes)) else False
    if callable(select):

        def chosen_by(layer):
            chosen = select(layer)
            return chosen if isinstance(chosen, dict) else {} if chosen else False

        return chosen_by
    if not isinstance(select, (list, tuple, set)) or not all(isinstance(name, str) for name in select):
        raise ValueError(
            f"`select` must be a function of a Conv2D, a list of names of Conv2Ds, or None. Received: select={select!r}"
        )
    kinds = {layer.name: type(layer).__name__ for layer in all_layers(model)}
    names = [name for name, kind in kinds.items() if kind == "Conv2D"]
    for name in select:
        if name not in names:
            similar = difflib.get_close_matches(name, names, n=1)
            found = f"which is a {kinds[name]}" if name in kinds else f"which {model.name!r} does not have"
            hint = f". Did you mean {similar[0]!r}?" if similar else ""
            raise ValueError(f"`select` must have names of Conv2Ds of the model. Received: {name!r}, {found}{hint}")
    return lambda layer: {} if layer.name in select else False


def _is_suitable(layer, num_heads, size):
    """Whether a `Conv2D` is augmented where the caller does not choose."""
    batch, *_, channels = _input_shape(layer)
    if None in size or _obstacle(layer) is not None:
        return False
    _, height, width, _ = layer.compute_output_shape((batch, *size, channels))
    return height * width <= LARGEST_MAP and max(layer.kernel_size) > 1 and layer.filters >= num_heads


def _size_of(layer, sizes):
    """Returns (height, width) of a layer's input, None for unknown."""
    return sizes.get(id(layer), _input_shape(layer)[1:3])


def _input_shape(layer):
    if not layer.built:
        raise ValueError(f"`model` must be built: its layer {layer.name!r} has not been called yet")
    return tuple(layer.get_build_config()["input_shape"])


def _augmented(layer, options, size):
    obstacle = _obstacle(layer)
    if obstacle is not None:
        raise ValueError(f"The layer {layer.name!r}, which `select` chooses, cannot be augmented: {obstacle}")
    config = {**layer.get_config(), "trainable": True}
    for argument in ("groups", "padding", "data_format"):
        del config[argument]
    if None not in size:
        options = {"max_size": size, **options}
    elif options["position_encoding"] == "relative" and options.get("max_size") is None:
        raise ValueError(
            "`max_size` must be the (height, width) of the largest images that you expect: the model takes images of "
            "unknown size, and tables of relative positions need one. "
            f"Received: max_size=None, and {layer.name!r}, whose inputs are {_input_shape(layer)}"
        )
    try:
        return AttentionAugmentedConv2D(**{**config, **options})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The layer {layer.name!r}, which `select` chooses, cannot be augmented with {options}: {error}"
        ) from None


def _obstacle(layer):
    """Returns why a `Conv2D` cannot be augmented, or None."""
    if layer.groups > 1:
        return f"it has {layer.groups} groups"
    if layer.data_format != "channels_last":
        return f"its maps are {layer.data_format}"
    if layer.padding != "same" and not _pads_nothing(layer):
        return f'its padding, "{layer.padding}", is not "same" for inputs of shape {_input_shape(layer)}'
    return None


def _pads_nothing(layer):
    """Whether padding "same" adds no pixels, as for patches that tile the map."""
    if layer.padding != "valid":
        return False
    windows = zip(_input_shape(layer)[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    return all(
        ((window - 1) * dilation + 1 == 1 and stride == 1)  # 1x1, at any size
        or (length is not None and length % stride == 0 and (window - 1) * dilation + 1 == stride)
        for length, window, stride, dilation in windows
    )
