"""The attention-augmented convolution."""

import math
from typing import Any

import keras
from keras import ops

from aa_keras import attention
from aa_keras.attention.shapes import shape_of
from aa_keras.layers import _arguments
from aa_keras.layers._arguments import IntegerPair
from aa_keras.layers._convolutional import ConvolutionalLayer
from aa_keras.layers._resampling import average_pool, resize_bilinear, strided
from aa_keras.layers.self_attention import POSITION_ENCODINGS, SelfAttention2D

# Limits beyond any network: 100 times as many channels of keys as filters, and maps of 1024 pixels pooled to one.
MOST_KEYS = 100
MOST_POOLING = 1024
PADDINGS = ("same", "symmetric")


@keras.saving.register_keras_serializable("aa_keras")
class AttentionAugmentedConv2D(ConvolutionalLayer):
    """A convolution that shares its output channels with self-attention over the whole feature map.

    *Attention Augmented Convolutional Networks* (Bello et al., ICCV 2019), section 3.3: the convolution computes
    `filters` - dv channels, multi-head attention with two-dimensional relative positions dv, and the two are
    concatenated in this order. It can replace any `keras.layers.Conv2D` with `padding="same"`.

    The depths of keys and values over all heads follow the paper's ratios kappa and upsilon, rounded down to a
    multiple of the heads and, for keys, at least `min_key_dim` for each head:

        dk = max(min_key_dim * num_heads, floor(key_ratio * filters / num_heads) * num_heads)
        dv = max(num_heads, floor(value_ratio * filters / num_heads) * num_heads)

    Args:
        filters: positive integer, the number of output channels, those of attention included.
        kernel_size: integer or pair of integers, the size of the convolution's window.
        strides: integer or pair of integers. The convolution strides; the attention branch first average-pools its
            input by the same strides (3x3 windows).
        padding: "same"; or "symmetric", with the same output size, which pads both sides of an axis equally as PyTorch
            does, for weights from PyTorch. The two differ where windows stride over an even number of pixels. Attention
            covers the whole map, which allows no other padding, and pools as with "same" in both cases.
        data_format: "channels_last" or None.
        dilation_rate: integer or pair of integers, of the convolution alone.
        num_heads: positive integer, the number of attention heads.
        key_ratio: number above 0, the paper's kappa: the depth of keys over `filters`. At most 100.
        value_ratio: number in (0, 1], the paper's upsilon: the depth of values over `filters`. 1 leaves no
            convolution.
        min_key_dim: positive integer, the least depth of keys in each head (section 4 of the paper).
        position_encoding: "relative", "sinusoidal", "coordinates" or None, as in `SelfAttention2D`.
        attention_pooling: integer from 1 to 1024. Above 1, attention runs on a map that is average-pooled again (3x3
            windows) by this stride, and its output is resized back bilinearly: for maps too large to attend to in full.
            A stride that is not prime is taken in steps, 4 as twice 2, so that 3x3 windows miss no pixels.
        max_size: integer or pair (height, width) in pixels of this layer's input, the size that the tables of
            relative positions are made for. None takes the size that the layer is built with.
        implementation: how attention is computed, as in `SelfAttention2D`.
        activation: activation of the concatenated output, or None.
        use_bias: boolean, whether the convolution and the attention's projections have biases.
        kernel_initializer: initializer of every kernel.
        bias_initializer: initializer of every bias.
        kernel_regularizer: regularizer of every kernel.
        bias_regularizer: regularizer of every bias.
        activity_regularizer: regularizer of the output.
        kernel_constraint: constraint on every kernel.
        bias_constraint: constraint on every bias.
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, a feature map of any height and width.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        (batch, ceil(height / strides[0]), ceil(width / strides[1]), filters)

    Raises:
        ValueError: for an argument out of its range; for relative positions if the height or width is unknown when the
            layer is built and there is no `max_size`; and for a kernel that there is not, when the layer is built, or
            called if the size is unknown.

    Example:

    >>> layer = AttentionAugmentedConv2D(filters=64, kernel_size=3, num_heads=4)
    >>> layer(keras.random.normal((2, 14, 14, 32))).shape
    (2, 14, 14, 64)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: IntegerPair,
        strides: IntegerPair = (1, 1),
        padding: str = "same",
        data_format: str | None = None,
        dilation_rate: IntegerPair = (1, 1),
        num_heads: int = 8,
        key_ratio: float = 0.2,
        value_ratio: float = 0.1,
        min_key_dim: int = 20,
        position_encoding: str | None = "relative",
        attention_pooling: int = 1,
        max_size: IntegerPair | None = None,
        implementation: str = "auto",
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            data_format=data_format,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        self.filters = _arguments.positive_integer("filters", filters)
        self.kernel_size = _arguments.integer_pair("kernel_size", kernel_size)
        self.strides = _arguments.integer_pair("strides", strides)
        self.padding = _arguments.one_of("padding", padding.lower() if isinstance(padding, str) else padding, PADDINGS)
        self.dilation_rate = _arguments.integer_pair("dilation_rate", dilation_rate)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                "`strides` and `dilation_rate` cannot both be above 1. "
                f"Received: strides={strides}, dilation_rate={dilation_rate}"
            )
        if self.padding == "symmetric" and 0 in (window % 2 for window in self.kernel_size):
            raise ValueError(
                "`kernel_size` must be odd with padding='symmetric'. "
                f"Received: kernel_size={kernel_size}, padding={padding!r}"
            )
        self.num_heads = _arguments.positive_integer("num_heads", num_heads)
        self.key_ratio = _arguments.ratio("key_ratio", key_ratio, most=MOST_KEYS)
        self.value_ratio = _arguments.ratio("value_ratio", value_ratio, most=1)
        self.min_key_dim = _arguments.positive_integer("min_key_dim", min_key_dim)
        if self.num_heads > self.filters:
            raise ValueError(
                "`num_heads` must be at most `filters`: attention takes at least one output channel for each head. "
                f"Received: num_heads={num_heads}, filters={filters}"
            )
        self.position_encoding = _arguments.one_of("position_encoding", position_encoding, POSITION_ENCODINGS)
        self.attention_pooling = _arguments.positive_integer("attention_pooling", attention_pooling, most=MOST_POOLING)
        self.max_size = None if max_size is None else _arguments.integer_pair("max_size", max_size)
        self.implementation = _arguments.one_of("implementation", implementation, attention.IMPLEMENTATIONS)
        self.activation = keras.activations.get(activation)

    @property
    def key_depth(self) -> int:
        """The paper's dk: the channels of the keys over all heads."""
        return self.num_heads * max(self.min_key_dim, self._channels_per_head(self.key_ratio))

    @property
    def value_depth(self) -> int:
        """The paper's dv: the channels of the values over all heads, which are attention's share of the output."""
        return self.num_heads * max(1, self._channels_per_head(self.value_ratio))

    def _channels_per_head(self, ratio):
        # The small addend keeps products such as 0.29 * 100 = 28.999999999999996 from being rounded down.
        return math.floor(ratio * self.filters / self.num_heads + 1e-9)

    def attention_size(self, size: tuple) -> tuple:
        """Returns the (height, width) at which attention runs for an input of `size` (height, width); None stays."""
        for strides in self._poolings():
            size = strided(size, strides)
        return size

    def attention_spec(self, size: tuple) -> attention.AttentionSpec:
        """Returns the `aa_keras.attention.AttentionSpec` for an input of `size` (height, width); None stays."""
        height, width = self.attention_size(size)
        return attention.AttentionSpec(
            self.num_heads,
            height,
            width,
            key_dim=self.key_depth // self.num_heads,
            value_dim=self.value_depth // self.num_heads,
            relative=self.position_encoding == "relative",
            dtype=self.compute_dtype,
        )

    def _margins(self):
        """Returns the padding of each side of the two axes before the convolution, or None if Keras pads equally."""
        if self.padding == "same" or max(self.strides) == 1:
            return None
        return [((window - 1) // 2, (window - 1) // 2) for window in self.kernel_size]

    def _poolings(self):
        """Returns the strides of the average poolings before attention, pairs (vertical, horizontal)."""
        steps = ((factor, factor) for factor in _prime_factors(self.attention_pooling))
        return [strides for strides in (self.strides, *steps) if max(strides) > 1]

    def build(self, input_shape):
        batch, height, width, channels = _arguments.feature_map_shape(self, input_shape)
        if self.position_encoding == "relative":
            _arguments.table_size(self, input_shape)
        self.convolution = None
        if self.filters > self.value_depth:
            self.convolution = keras.layers.Conv2D(
                self.filters - self.value_depth,
                self.kernel_size,
                strides=self.strides,
                padding="same" if self._margins() is None else "valid",
                dilation_rate=self.dilation_rate,
                name="convolution",
                **self.child_arguments(),
            )
            self.convolution.build((batch, height, width, channels))
        self.self_attention = SelfAttention2D(
            self.num_heads,
            self.key_depth // self.num_heads,
            self.value_depth // self.num_heads,
            position_encoding=self.position_encoding,
            max_size=self.max_size and self.attention_size(self.max_size),
            implementation=self.implementation,
            name="self_attention",
            **self.child_arguments(),
        )
        self.self_attention.build((batch, *self.attention_size((height, width)), channels))

    def call(self, inputs):
        attended = inputs
        for strides in self._poolings():
            attended = average_pool(attended, strides)
        attended = self.self_attention(attended)
        if self.attention_pooling > 1:
            size = strided(shape_of(inputs)[1:3], self.strides)
            attended = resize_bilinear(attended, size)
        outputs = attended
        if self.convolution is not None:
            margins = self._margins()
            padded = inputs if margins is None else ops.pad(inputs, ((0, 0), *margins, (0, 0)))
            outputs = ops.concatenate([self.convolution(padded), attended], axis=-1)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, *strided((height, width), self.strides), self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "num_heads": self.num_heads,
            "key_ratio": self.key_ratio,
            "value_ratio": self.value_ratio,
            "min_key_dim": self.min_key_dim,
            "position_encoding": self.position_encoding,
            "attention_pooling": self.attention_pooling,
            "max_size": self.max_size,
            "implementation": self.implementation,
            "activation": keras.activations.serialize(self.activation),
        }


def _prime_factors(number):
    """Returns the prime factors of a positive integer in ascending order, with multiplicity."""
    for factor in range(2, number + 1):
        if number % factor == 0:
            return [factor, *_prime_factors(number // factor)]
    return []
