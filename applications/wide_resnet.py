"""Wide-ResNets (Bello et al., ICCV 2019, section 4.1): plain, attention-augmented, with channel attention.

Wide-ResNets are those of Zagoruyko and Komodakis, *Wide Residual Networks* (BMVC 2016): pre-activation blocks of two
3x3 convolutions in three stages. The augmented ones have attention in the first convolution of every block. Those with
squeeze-and-excitation (Hu et al., CVPR 2018; two dense layers without biases around a sixteenth of the channels) or
gather-excite (Hu et al., NeurIPS 2018; without parameters, with global extent) weight the channels of every block
before the shortcut is added.
"""

import os

import keras
from keras import layers, ops

from aa_keras.layers import _arguments

from .attention_options import NO_ATTENTION, AttentionOptions, residual_specs
from .blocks import (
    batch_normalization,
    classification_model,
    convolution,
    drop_path,
    drop_path_rates,
    image_input,
    known_size,
    weighted_channels,
)
from .builders import Family, builder, variant
from .datasets import CIFAR100

preprocess_input = CIFAR100.preprocess_input
decode_predictions = CIFAR100.decode_predictions

STAGES = 3
# More than any network has.
MOST_LAYERS, MOST_WIDTH = 1204, 1000


@builder(
    Family(
        dataset=CIFAR100,
        stages="1 to 3",
        output_shape="(batch, ceil(height / 4), ceil(width / 4), 64 * width of the network)",
        pyramid='"P0" to "P2"',
        arguments={
            "depth": "integer, 6 n + 4: the layers of the network, 10, 16, 22, 28, 34, 40 and so on.",
            "width": "positive integer, the width of the network over that of a ResNet.",
            "shortcut": 'the shortcut of a block that changes the shape: "pad" for its input average-pooled '
            'and padded with channels of zeros, without parameters, as in the paper; "projection" for a 1x1 '
            "convolution.",
        },
        hidden=("depth", "width", "channel_attention"),
        example={"depth": 16, "width": 4},
    )
)
def AAWideResNet(  # noqa: N802
    depth: int,
    width: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "aa_wide_resnet",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (1, 2, 3),
    attention_pooling: int = 1,
    implementation: str = "auto",
    attention_budget: int | None = None,
    channel_attention: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds an attention-augmented Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    image = image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing, weights)
    depth = _arguments.positive_integer("depth", depth, most=MOST_LAYERS)
    width = _arguments.positive_integer("width", width, most=MOST_WIDTH)
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"`depth` must be 6 n + 4: 10, 16, 22, 28, 34, 40 and so on. Received: depth={depth}")
    if shortcut not in ("pad", "projection"):
        raise ValueError(f"`shortcut` must be 'pad' or 'projection'. Received: shortcut={shortcut!r}")
    attention = AttentionOptions(
        num_heads=num_heads,
        key_ratio=key_ratio,
        value_ratio=value_ratio,
        position_encoding=position_encoding,
        stages=attention_stages,
        pooling=attention_pooling,
        implementation=implementation,
        budget=attention_budget,
    )
    blocks = (depth - 4) // 6
    specs = residual_specs((blocks,) * STAGES, 16 * width, known_size(image, CIFAR100.input_shape))
    attention = attention.for_network(specs)

    x = convolution(image, 16, 3, 1, name="stem_conv")
    rates = drop_path_rates(drop_path_rate, len(specs))
    for spec, rate in zip(attention.sized_as_in(weights, specs, image), rates, strict=True):
        # The last stage ends after the final activation.
        is_level = spec.block == blocks and spec.stage < STAGES
        output_name = f"P{spec.stage - 1}" if is_level else f"{spec.block_name}_add"
        x = _block(x, spec, shortcut, attention, channel_attention, rate, output_name)
    x = batch_normalization(x, name="final_bn")
    x = layers.ReLU(name="P2")(x)
    return classification_model(
        image,
        x,
        include_top=include_top,
        weights=weights,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        dropout_rate=dropout_rate,
    )


def _block(inputs, spec, shortcut, attention, channel_attention, rate, output_name):
    """Applies a pre-activation block of two convolutions, of which `spec` is the first."""
    name = spec.block_name
    x = batch_normalization(inputs, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    residual = inputs
    if spec.strides > 1 or inputs.shape[-1] != spec.filters:
        # Where the shape changes, the shortcut starts after the activation, as in Zagoruyko and Komodakis.
        residual = _shortcut(x, spec.filters, spec.strides, shortcut, name)
    x = attention.convolution(x, spec, name=f"{name}_conv1")
    x = batch_normalization(x, name=f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_relu2")(x)
    x = convolution(x, spec.filters, 3, 1, name=f"{name}_conv2")
    x = drop_path(weighted_channels(x, channel_attention, name), rate, name)
    return layers.Add(name=output_name)([x, residual])


def _shortcut(inputs, filters, strides, shortcut, name):
    if shortcut == "projection":
        return convolution(inputs, filters, 1, strides, name=f"{name}_shortcut_conv")
    x = inputs
    if strides > 1:
        x = layers.AveragePooling2D(strides, padding="same", name=f"{name}_shortcut_pool")(x)
    return ChannelPadding(filters - inputs.shape[-1], name=f"{name}_shortcut_pad")(x)


@keras.saving.register_keras_serializable("aa_keras")
class ChannelPadding(layers.Layer):
    """Pads a feature map with channels of zeros, half of them on either side.

    Args:
        channels: integer of at least 0, number of channels to add.
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        (batch, height, width, channels + added channels)
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels

    def call(self, inputs):
        before = self.channels // 2
        return ops.pad(inputs, ((0, 0), (0, 0), (0, 0), (before, self.channels - before)))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.channels)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


WideResNet = variant(
    AAWideResNet,
    "WideResNet",
    "Builds a Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet.",
    fixed={**NO_ATTENTION, "channel_attention": None},
    name="wide_resnet",
)
SEWideResNet = variant(
    AAWideResNet,
    "SEWideResNet",
    "Builds a Wide-ResNet with squeeze-and-excitation of `depth` 6 n + 4 layers, `width` times as wide as a ResNet.",
    fixed={**NO_ATTENTION, "channel_attention": "squeeze_excite"},
    name="se_wide_resnet",
)
GEWideResNet = variant(
    AAWideResNet,
    "GEWideResNet",
    "Builds a Wide-ResNet with gather-excite of `depth` 6 n + 4 layers, `width` times as wide as a ResNet.",
    fixed={**NO_ATTENTION, "channel_attention": "gather_excite"},
    name="ge_wide_resnet",
)


AAWideResNet28_10 = variant(
    AAWideResNet,
    "AAWideResNet28_10",
    "Builds the attention-augmented Wide-ResNet-28-10 of the paper's Table 1.",
    depth=28,
    width=10,
)
WideResNet28_10 = variant(
    WideResNet,
    "WideResNet28_10",
    "Builds the Wide-ResNet-28-10 that the paper's Table 1 compares with.",
    depth=28,
    width=10,
)
SEWideResNet28_10 = variant(
    SEWideResNet,
    "SEWideResNet28_10",
    "Builds the Wide-ResNet-28-10 with squeeze-and-excitation that Table 1 compares with.",
    depth=28,
    width=10,
)
GEWideResNet28_10 = variant(
    GEWideResNet,
    "GEWideResNet28_10",
    "Builds the Wide-ResNet-28-10 with gather-excite that the paper's Table 1 compares with.",
    depth=28,
    width=10,
)

# Small ones that two CPU cores can train, the first with trained weights.
AAWideResNet16_4 = variant(
    AAWideResNet,
    "AAWideResNet16_4",
    "Builds a small attention-augmented Wide-ResNet, with attention where the maps are small; not in the paper.",
    depth=16,
    width=4,
    num_heads=4,
    attention_stages=(2, 3),
)
WideResNet16_4 = variant(
    WideResNet,
    "WideResNet16_4",
    "Builds a small Wide-ResNet, the plain twin of `AAWideResNet16_4`; not in the paper.",
    depth=16,
    width=4,
)
