"""Position encodings for attention: relative embeddings, sinusoids, coordinates."""

import math
from typing import Any

import keras
from keras import ops

from aa_keras import attention
from aa_keras.attention.shapes import shape_of
from aa_keras.layers import _arguments
from aa_keras.layers._arguments import IntegerPair


@keras.saving.register_keras_serializable("aa_keras")
class RelativePositionEmbedding2D(keras.layers.Layer):
    """Learned embeddings of the vertical and horizontal offsets between two pixels (section 3.2 of the paper).

    Two tables are learned, of shape (2 * height - 1, dim) and (2 * width - 1, dim), row 0 for the offset
    -(height - 1) or -(width - 1), with a normal initializer of standard deviation dim ** -0.5. They belong to the
    size that the layer was built for. A smaller map uses their centre; on a larger one, offsets beyond the furthest
    learned one share its embedding.

    Args:
        dim: positive integer, the length of an embedding: `key_dim` of the attention that uses it.
        max_size: integer or pair (height, width) in pixels, the size that the tables are made for; None takes that
            of the input that the layer is built with.
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, the feature map that attention runs over. Only its height and width matter.

    Input shape:
        (batch, height, width, channels)

    Returns:
        A pair of tensors of shape (height, height, dim) and (width, width, dim): entry [query, key] is the embedding
        of the offset key - query.

    Raises:
        ValueError: if the height or width is unknown when the layer is built and there is no `max_size`.

    Example:

    >>> feature_map = keras.ops.zeros((1, 8, 10, 64))
    >>> relative_height, relative_width = RelativePositionEmbedding2D(dim=20)(feature_map)
    >>> relative_height.shape, relative_width.shape
    ((8, 8, 20), (10, 10, 20))
    """

    def __init__(self, dim: int, max_size: IntegerPair | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim = _arguments.positive_integer("dim", dim)
        self.max_size = None if max_size is None else _arguments.integer_pair("max_size", max_size)

    def build(self, input_shape):
        height, width = _arguments.table_size(self, input_shape)
        self.height_table = self._add_table("height_table", height)
        self.width_table = self._add_table("width_table", width)

    def _add_table(self, name, size):
        initializer = keras.initializers.RandomNormal(stddev=self.dim**-0.5)
        return self.add_weight(name=name, shape=(2 * size - 1, self.dim), initializer=initializer)

    def call(self, inputs):
        _, height, width, _ = shape_of(inputs)
        return (
            attention.relative_embeddings(ops.convert_to_tensor(self.height_table), height),
            attention.relative_embeddings(ops.convert_to_tensor(self.width_table), width),
        )

    def compute_output_shape(self, input_shape):
        _, height, width, _ = input_shape
        return (height, height, self.dim), (width, width, self.dim)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "max_size": self.max_size}


@keras.saving.register_keras_serializable("aa_keras")
class SinusoidalPositionEncoding2D(keras.layers.Layer):
    """Adds sines and cosines of the row and of the column to a feature map.

    The encoding of Parmar et al., *Image Transformer* (ICML 2018), section 3.1: half of the channels encode the row
    and half the column, each as sines and then cosines of wavelengths in a geometric progression from 2 pi to
    20000 pi pixels. Channels that are left over when their number is not a multiple of 4 stay as they are.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, a feature map.

    Input shape:
        (batch, height, width, channels), with at least 4 channels

    Output shape:
        The same as the input shape.

    Raises:
        ValueError: if there are fewer than 4 channels.

    Example:

    >>> SinusoidalPositionEncoding2D()(keras.ops.zeros((1, 8, 10, 64))).shape
    (1, 8, 10, 64)
    """

    def build(self, input_shape):
        channels = _arguments.feature_map_shape(self, input_shape)[-1]
        if channels < 4:
            raise ValueError(
                "Sinusoidal position encoding needs at least 4 channels, a sine and a cosine for each axis. "
                f"Received: input_shape={tuple(input_shape)}"
            )

    def call(self, inputs):
        _, height, width, channels = shape_of(inputs)
        wavelengths = channels // 4
        rows = ops.broadcast_to(self._signal(height, wavelengths)[:, None, :], (height, width, 2 * wavelengths))
        columns = ops.broadcast_to(self._signal(width, wavelengths)[None, :, :], (height, width, 2 * wavelengths))
        rest = ops.zeros((height, width, channels - 4 * wavelengths), dtype="float32")
        encoding = ops.concatenate([rows, columns, rest], axis=-1)
        return inputs + ops.cast(encoding, inputs.dtype)

    def _signal(self, size, wavelengths):
        # In float32 whatever the layer's precision: bfloat16 cannot represent all positions beyond 256.
        step = math.log(10000.0) / max(wavelengths - 1, 1)
        frequencies = ops.exp(-step * ops.arange(wavelengths, dtype="float32"))
        angles = ops.arange(size, dtype="float32")[:, None] * frequencies[None, :]
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("aa_keras")
class CoordinateChannels2D(keras.layers.Layer):
    """Appends the row and the column of each pixel to its channels, scaled to [-1, 1].

    The coordinates of Liu et al., *An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution*
    (NeurIPS 2018), section 3. An axis of a single pixel has the coordinate 0.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, a feature map.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        (batch, height, width, channels + 2): the channels, then the row, then the column.

    Example:

    >>> CoordinateChannels2D()(keras.ops.zeros((1, 8, 10, 64))).shape
    (1, 8, 10, 66)
    """

    def build(self, input_shape):
        _arguments.feature_map_shape(self, input_shape)

    def call(self, inputs):
        batch, height, width, _ = shape_of(inputs)
        rows = ops.broadcast_to(self._coordinates(height)[None, :, None, None], (batch, height, width, 1))
        columns = ops.broadcast_to(self._coordinates(width)[None, None, :, None], (batch, height, width, 1))
        return ops.concatenate([inputs, ops.cast(rows, inputs.dtype), ops.cast(columns, inputs.dtype)], axis=-1)

    def _coordinates(self, size):
        furthest = ops.cast(size - 1, "float32")
        return (2 * ops.arange(size, dtype="float32") - furthest) / ops.maximum(furthest, 1.0)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 2)
