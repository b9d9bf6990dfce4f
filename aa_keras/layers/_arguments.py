"""Checks of arguments that several layers take."""

import operator

import keras
import numpy as np

from aa_keras.errors import is_integer, is_number

# A whole number for both axes, or one for each: (height, width).
IntegerPair = int | tuple[int, int]
# The largest integer of backends.
LARGEST_INTEGER = 2**31 - 1


def positive_integer(name, value, most=LARGEST_INTEGER):
    """Returns `value` as an int, or raises ValueError unless it is a whole number from 1 to `most`."""
    if not is_integer(value) or not 1 <= operator.index(value) <= most:
        up_to = "" if most == LARGEST_INTEGER else f" of at most {most:,}"
        raise ValueError(f"`{name}` must be a positive integer{up_to}. Received: {name}={value!r}")
    return operator.index(value)


def boolean(name, value):
    """Returns `value` as a bool, or raises ValueError: in Python any string is true, also "False"."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return bool(value)


def integer_pair(name, value):
    """Returns `value`, a positive integer or a pair of them, as a pair (height, width)."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    try:
        height, width = (positive_integer(name, item) for item in pair)
    except ValueError:
        raise ValueError(
            f"`{name}` must be a positive integer or a pair of them (height, width). Received: {name}={value!r}"
        ) from None
    return height, width


def channels_last(data_format):
    """Returns "channels_last", or raises ValueError if `data_format` or the default of Keras is something else."""
    data_format = data_format or keras.config.image_data_format()
    if data_format != "channels_last":
        raise ValueError(
            '`data_format` must be "channels_last": transpose the input to (batch, height, width, channels), and if '
            'this is the default of Keras, call keras.config.set_image_data_format("channels_last"). '
            f"Received: data_format={data_format!r}"
        )
    return data_format


def feature_map_shape(layer, input_shape):
    """Returns `input_shape` as a tuple (batch, height, width, channels), or raises ValueError naming the layer."""
    shape = tuple(input_shape)
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"{layer.__class__.__name__} {layer.name!r} takes inputs of shape (batch, height, width, channels) with a "
            f"known number of channels. Received: input_shape={shape}"
        )
    return shape


def one_of(name, value, choices):
    """Returns `value`, or raises ValueError unless it is one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}")
    return value


def table_size(layer, input_shape):
    """Returns the (height, width) that a layer's tables of relative positions are made for.

    It is the layer's `max_size`, or the size of its input; raises ValueError if neither is known.
    """
    _, height, width, _ = feature_map_shape(layer, input_shape)
    size = layer.max_size or (height, width)
    if None in size:
        raise ValueError(
            f"{layer.__class__.__name__} {layer.name!r} is built with an unknown height or width and needs "
            "`max_size=(height, width)`, the size in pixels of its input that its tables of relative positions are "
            f"made for. Received: max_size=None, input_shape={tuple(input_shape)}"
        )
    return size


def ratio(name, value, most):
    """Returns `value` as a float, or raises ValueError unless it is a number above 0 and at most `most`."""
    if not is_number(value) or not 0 < value <= most:
        raise ValueError(f"`{name}` must be a number above 0 and at most {most}. Received: {name}={value!r}")
    return float(value)


def dropout(name, value):
    """Returns `value` as a float, or raises ValueError unless it is a number of at least 0 and below 1."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be a number of at least 0 and below 1. Received: {name}={value!r}")
    return float(value)
