"""Attention for existing networks."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.layers._transfer import kept_channels, normalizations_after, take_kept_channels, take_kept_statistics

LARGEST_MAP = 28 * 28


def augment(
    model: keras.Model,
    select: Callable[[keras.layers.Conv2D], bool | dict] | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    min_key_dim: int = 20,
    position_encoding: str | None = "relative",
    attention_pooling: int = 1,
    implementation: str = "auto",
) -> keras.Model:
    """Returns a copy of a network in which some convolutions are augmented with attention.

    Each `Conv2D` that is selected becomes an `AttentionAugmentedConv2D` of the same name, window, strides, filters and
    activation. The weights of everything else are copied, and so are those of the channels that remain the
    convolution's, in the layer and in a batch normalization after it; attention's are new. A batch normalization starts
    with the scale 0 for attention's channels, so that the network first does without them instead of seeing noise. The
    new weights are trainable, also where the rest is frozen. The given model is not changed.

    Args:
        model: a functional or `Sequential` Keras model, which may hold others.
        select: function of a `Conv2D` that returns whether to augment it; or, to augment it in a way of its own, a
            dictionary of arguments of `AttentionAugmentedConv2D`. None selects each one of a window larger than 1x1
            whose output has at most 28x28 positions, and that can be augmented.
        num_heads: number of attention heads.
        key_ratio: the paper's kappa, the depth of keys over the filters of a convolution.
        value_ratio: the paper's upsilon, the share of attention among its filters; 1 leaves no convolution.
        min_key_dim: the least depth of keys in each head.
        position_encoding: "relative", "sinusoidal", "coordinates" or None.
        attention_pooling: stride of an average pooling before attention.
        implementation: how attention is computed, "auto", "dense", "blockwise" or "fused": see `SelfAttention2D`.

    Returns:
        A Keras model of the same kind, not compiled.

    Raises:
        ValueError: for another kind of model, if nothing is selected, and for a selected layer that cannot be augmented
            (with groups, channels-first maps, padding that changes the size, or fewer filters than heads), or not with
            these options. The error names the layer.

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
    pairs = []

    def counterpart(layer):
        chosen = _choice(layer, select, num_heads)
        if chosen is False:
            new = type(layer).from_config(layer.get_config())
        else:
            new = _augmented(layer, {**options, **chosen})
        pairs.append((layer, new))
        return new

    inputs = None if isinstance(model, keras.Sequential) else _inputs_like(model)
    augmented = keras.models.clone_model(model, inputs, clone_function=counterpart, recursive=True)
    if not any(isinstance(new, AttentionAugmentedConv2D) and type(old) is layers.Conv2D for old, new in pairs):
        raise ValueError(
            "`select` must choose at least one Conv2D of the model; without it, those of windows larger than 1x1 and "
            f"of at most 28x28 positions are chosen, with as many filters as `num_heads` or more, and {model.name!r} "
            f"has none. Received: select={select!r}, num_heads={num_heads}"
        )
    augmented.trainable = True  # otherwise the copy of a frozen model would freeze what is new in it
    converted = [new for old, new in pairs if type(old) is not type(new)]
    followers = normalizations_after([new for _, new in pairs], of=converted)
    for old, new in pairs:
        if new in converted:
            take_kept_channels(new, old.get_weights())
        elif new in followers:
            take_kept_statistics(new, old.get_weights(), kept_channels(followers[new]))
        elif isinstance(old, layers.Layer):  # not an operation such as the sum of two tensors
            new.set_weights(old.get_weights())
        if isinstance(new, layers.Layer) and type(old) is type(new):
            # A frozen normalization would keep the attention before it at the scale 0.
            new.trainable = old.trainable or new in followers
    return augmented


def _inputs_like(model):
    """Returns inputs of the same structure, shapes, types and names, which Keras would otherwise make up."""
    names = {id(layer.output): layer.name for layer in model.layers if isinstance(layer, layers.InputLayer)}
    return keras.tree.map_structure(
        lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=names.get(id(tensor))),
        model.input,
    )


def _choice(layer, select, num_heads):
    """Returns the layer's own options to augment it with, or False to leave it as it is."""
    if type(layer) is not layers.Conv2D:
        return False
    if select is None:
        _, height, width, _ = layer.compute_output_shape(_input_shape(layer))
        small = height is not None and width is not None and height * width <= LARGEST_MAP
        windowed = max(layer.kernel_size) > 1 and layer.filters >= num_heads
        return {} if small and windowed and _obstacle(layer) is None else False
    chosen = select(layer)
    if not chosen and not isinstance(chosen, dict):
        return False
    return chosen if isinstance(chosen, dict) else {}


def _input_shape(layer):
    if not layer.built:
        raise ValueError(f"`model` must be built: its layer {layer.name!r} has not been called yet")
    return tuple(layer.get_build_config()["input_shape"])


def _augmented(layer, options):
    obstacle = _obstacle(layer)
    if obstacle is not None:
        raise ValueError(f"The layer {layer.name!r}, which `select` chooses, cannot be augmented: {obstacle}")
    config = {**layer.get_config(), "trainable": True}
    for argument in ("groups", "padding", "data_format"):
        del config[argument]
    _, height, width, _ = _input_shape(layer)
    if height is not None and width is not None:
        options = {"max_size": (height, width), **options}
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
