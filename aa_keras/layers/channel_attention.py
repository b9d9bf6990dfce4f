"""Attention over channels, with which the paper compares its attention over positions."""

import math
from typing import Any

import keras
from keras import layers, ops

from aa_keras.layers import _arguments


@keras.saving.register_keras_serializable("aa_keras")
class SqueezeExcite(layers.Layer):
    """Weighs each channel of a map by a number in (0, 1) computed from the means of all channels.

    Hu et al., *Squeeze-and-Excitation Networks* (CVPR 2018), section 3: global average pooling, a bottleneck of two
    dense layers with a ReLU between, a sigmoid, and a product with the map.

    Args:
        units: positive integer, the channels of the bottleneck; None takes those of the input divided by `ratio`.
        ratio: positive integer, the channels of the input over those of the bottleneck if `units` is None; the
            bottleneck has at least one channel.
        use_bias: boolean, whether the two dense layers have biases.
        kernel_initializer: initializer of the two kernels.
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, a feature map of any height and width.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        The same as the input shape.

    Raises:
        ValueError: for an argument out of its range, and for an input of another shape.

    Example:

    >>> SqueezeExcite(ratio=4)(keras.random.normal((2, 14, 14, 32))).shape
    (2, 14, 14, 32)
    """

    def __init__(
        self,
        units: int | None = None,
        ratio: int = 16,
        use_bias: bool = True,
        kernel_initializer: Any = "he_normal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = None if units is None else _arguments.positive_integer("units", units)
        self.ratio = _arguments.positive_integer("ratio", ratio)
        self.use_bias = _arguments.boolean("use_bias", use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        channels = _arguments.feature_map_shape(self, input_shape)[-1]
        units = self.units or max(1, channels // self.ratio)
        self.squeeze = self._dense(units, "relu", "squeeze")
        self.squeeze.build((input_shape[0], 1, 1, channels))
        self.excite = self._dense(channels, "sigmoid", "excite")
        self.excite.build((input_shape[0], 1, 1, units))

    def _dense(self, units, activation, name):
        initializer = self.kernel_initializer
        return layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            # An initializer draws the same numbers each time it is called: two kernels need two.
            kernel_initializer=initializer.clone() if hasattr(initializer, "clone") else initializer,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=name,
        )

    def call(self, inputs):
        means = ops.mean(inputs, axis=(1, 2), keepdims=True)
        return inputs * self.excite(self.squeeze(means))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "ratio": self.ratio,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("aa_keras")
class GatherExcite(layers.Layer):
    """Weighs each channel of a map by the sigmoid of its own mean: gather-excite without parameters.

    Hu et al., *Gather-Excite: Exploiting Feature Context in Convolutional Neural Networks* (NeurIPS 2018), section
    3.1, with global extent.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, a feature map of any height and width.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        The same as the input shape.

    Raises:
        ValueError: for an input of another shape.

    Example:

    >>> GatherExcite()(keras.random.normal((2, 14, 14, 32))).shape
    (2, 14, 14, 32)
    """

    def build(self, input_shape):
        _arguments.feature_map_shape(self, input_shape)

    def call(self, inputs):
        return inputs * ops.sigmoid(ops.mean(inputs, axis=(1, 2), keepdims=True))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@keras.saving.register_keras_serializable("aa_keras")
class EfficientChannelAttention(layers.Layer):
    """Weighs each channel of a map by a number in (0, 1) computed from the means of its neighbours among the channels.

    Wang et al., *ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks* (CVPR 2020), section 3:
    global average pooling, a convolution along the channels, a sigmoid, and a product with the map.

    Args:
        kernel_size: odd positive integer, the channels in a window; None takes the paper's: the whole part of
            (log2(channels) + 1) / 2, made odd, and at least 3.
        kernel_initializer: initializer of the kernel.
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, a feature map of any height and width.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        The same as the input shape.

    Raises:
        ValueError: for an argument out of its range, and for an input of another shape.

    Example:

    >>> EfficientChannelAttention()(keras.random.normal((2, 14, 14, 32))).shape
    (2, 14, 14, 32)
    """

    def __init__(self, kernel_size: int | None = None, kernel_initializer: Any = "glorot_uniform", **kwargs: Any):
        super().__init__(**kwargs)
        self.kernel_size = None if kernel_size is None else _arguments.positive_integer("kernel_size", kernel_size)
        if self.kernel_size is not None and self.kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd, or None. Received: kernel_size={kernel_size}")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        channels = _arguments.feature_map_shape(self, input_shape)[-1]
        self.convolution = layers.Conv2D(
            1,
            (1, self.kernel_size or max(3, int((math.log2(channels) + 1) / 2) // 2 * 2 + 1)),
            padding="same",
            activation="sigmoid",
            use_bias=False,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="convolution",
        )
        self.convolution.build((input_shape[0], 1, channels, 1))

    def call(self, inputs):
        means = ops.mean(inputs, axis=(1, 2), keepdims=True)
        weights = self.convolution(ops.transpose(means, (0, 1, 3, 2)))  # channels become an axis of positions
        return inputs * ops.transpose(weights, (0, 1, 3, 2))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
