"""Wide-ResNets (Bello et al., ICCV 2019, section 4.1): plain, attention-augmented, with channel attention.

Wide-ResNets are those of Zagoruyko and Komodakis, *Wide Residual Networks* (BMVC 2016): pre-activation blocks of two
3x3 convolutions in three stages. The augmented ones have attention in the first convolution of every block. Those with
squeeze-and-excitation (Hu et al., CVPR 2018; two dense layers without biases around a sixteenth of the channels) or
gather-excite (Hu et al., NeurIPS 2018; without parameters, with global extent) weight the channels of every block
before the shortcut is added.
"""

import os
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from aa_keras.layers import _arguments

from . import _building as building
from ._augmentation import NO_ATTENTION, AttentionOptions, Place
from ._builders import Family, builder, sized, variant
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
) -> keras.Model:
    """Builds an attention-augmented Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing, weights)
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
    places = _places(blocks, width, building.known_size(image, CIFAR100.input_shape))
    attention = attention.for_network(places)
    places = attention.sized_as_in(weights, places, image)

    x = building.convolution(image, 16, 3, 1, name="stem_conv")
    for index, place in enumerate(places):
        block = index % blocks + 1
        block_name = f"stage{place.stage}_block{block}"
        # The last stage ends after the final activation.
        output_name = f"P{place.stage - 1}" if block == blocks and place.stage < STAGES else f"{block_name}_add"
        x = _block(x, place, shortcut, attention, channel_attention, block_name, output_name)
    x = building.batch_normalization(x, name="final_bn")
    x = layers.ReLU(name="P2")(x)
    return building.classification_model(
        image,
        x,
        include_top=include_top,
        weights=weights,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
    )


def _places(blocks, width, size):
    """Returns the first convolution of each block, which strides and may be augmented."""
    places = []
    for stage in range(1, STAGES + 1):
        for block in range(blocks):
            strides = 2 if stage > 1 and block == 0 else 1
            places.append(Place(stage, 16 * width * 2 ** (stage - 1), kernel_size=3, strides=strides, size=size))
            size = building.strided(size, strides)
    return places


def _block(inputs, place, shortcut, attention, channel_attention, name, output_name):
    """Applies a pre-activation block of two convolutions."""
    x = building.batch_normalization(inputs, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    residual = inputs
    if place.strides > 1 or inputs.shape[-1] != place.filters:
        # Where the shape changes, the shortcut starts after the activation, as in Zagoruyko and Komodakis.
        residual = _shortcut(x, place.filters, place.strides, shortcut, name)
    x = attention.convolution(x, place, name=f"{name}_conv1")
    x = building.batch_normalization(x, name=f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_relu2")(x)
    x = building.convolution(x, place.filters, 3, 1, name=f"{name}_conv2")
    x = building.channel_attention(x, channel_attention, name)
    return layers.Add(name=output_name)([x, residual])


def _shortcut(inputs, filters, strides, shortcut, name):
    if shortcut == "projection":
        return building.convolution(inputs, filters, 1, strides, name=f"{name}_shortcut_conv")
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


def _named(of: Any, depth: int, width: int, summary: str, **defaults) -> Callable[..., keras.Model]:
    """Returns the variant of a builder for one depth and width."""
    decided = {"depth": depth, "width": width, "channel_attention": None}
    return sized(of, f"{depth}_{width}", summary, decided, **defaults)


AAWideResNet28_10 = _named(
    AAWideResNet, 28, 10, "Builds the attention-augmented Wide-ResNet-28-10 of the paper's Table 1."
)
WideResNet28_10 = _named(WideResNet, 28, 10, "Builds the Wide-ResNet-28-10 that the paper's Table 1 compares with.")
SEWideResNet28_10 = _named(
    SEWideResNet, 28, 10, "Builds the Wide-ResNet-28-10 with squeeze-and-excitation that Table 1 compares with."
)
GEWideResNet28_10 = _named(
    GEWideResNet, 28, 10, "Builds the Wide-ResNet-28-10 with gather-excite that the paper's Table 1 compares with."
)

# Small ones that two CPU cores can train, the first with trained weights.
AAWideResNet16_4 = _named(
    AAWideResNet,
    16,
    4,
    "Builds a small attention-augmented Wide-ResNet, with attention where the maps are small; not in the paper.",
    num_heads=4,
    attention_stages=(2, 3),
)
WideResNet16_4 = _named(
    WideResNet, 16, 4, "Builds a small Wide-ResNet, the plain twin of `AAWideResNet16_4`; not in the paper."
)
