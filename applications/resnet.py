"""ResNets for ImageNet (Bello et al., ICCV 2019, section 4.2): plain, attention-augmented, with squeeze-and-excitation.

ResNets are those of He et al., *Deep Residual Learning for Image Recognition* (CVPR 2016), with the stride of a block
on its 3x3 convolution (as in Goyal et al., 2017; often called v1.5), which the paper's FLOPs say it used. The augmented
ones have attention in the 3x3 convolution of every block of the last three stages (the first one of ResNet-34's two),
average-pooled again in the first of these. Those with squeeze-and-excitation (Hu et al., CVPR 2018) weight the
channels of every block before the shortcut is added, by dense layers without biases around a sixteenth of the channels.
"""

import os

import keras
from keras import layers

from aa_keras.layers import _arguments
from aa_keras.layers._resampling import strided

from .attention_options import NO_ATTENTION, AttentionOptions, residual_specs
from .blocks import (
    batch_normalization,
    checked_padding,
    classification_model,
    convolution,
    drop_path,
    drop_path_rates,
    image_input,
    known_size,
    max_pooling,
    projected_shortcut,
    weighted_channels,
)
from .builders import Family, builder, variant
from .converters.timm_families import resnet_rules
from .datasets import IMAGENET

preprocess_input = IMAGENET.preprocess_input
decode_predictions = IMAGENET.decode_predictions

# Blocks in each stage (He et al., 2016, table 1). Those of ResNet-18 and 34 have two 3x3 convolutions, the others are
# bottlenecks, with four times as many output channels.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
WITHOUT_BOTTLENECK = (18, 34)
# The depths of the paper, which have their own builders.
NAMED = (34, 50, 101, 152)
# More than any network has.
MOST_BLOCKS, MOST_WIDTH = 200, 4096


@builder(
    Family(
        dataset=IMAGENET,
        stages="1 to 4",
        output_shape="(batch, ceil(height / 32), ceil(width / 32), 2048), 512 channels for ResNet-18 and 34",
        pyramid='"P2" to "P5"',
        arguments={
            "depth": "integer, 18, 34, 50, 101 or 152: the layers of the network. Up to 34 its blocks have two 3x3 "
            "convolutions, beyond that they are bottlenecks.",
            "width": "positive integer, the channels of the stem and of the 3x3 convolutions of the first stage; every "
            "further stage has twice as many.",
            "blocks": "tuple of the blocks in each of the four stages, or None for those of `depth`.",
        },
        hidden=("depth", "width", "blocks", "channel_attention"),
        example={"depth": 50},
        timm=resnet_rules(BLOCKS, WITHOUT_BOTTLENECK, NAMED),
    )
)
def AAResNet(  # noqa: N802
    depth: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_resnet",
    include_preprocessing: bool = False,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    channel_attention: str | None = None,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds an attention-augmented ResNet of any depth and width."""
    if depth not in BLOCKS or not _arguments.is_integer(depth):
        raise ValueError(f"`depth` must be one of {', '.join(map(str, BLOCKS))}. Received: depth={depth!r}")
    width = _arguments.positive_integer("width", width, most=MOST_WIDTH)
    blocks = _checked_blocks(BLOCKS[depth] if blocks is None else blocks)
    padding = checked_padding(padding)
    use_bias = _arguments.boolean("channel_attention_bias", channel_attention_bias or False)
    attention = AttentionOptions(
        num_heads=num_heads,
        key_ratio=key_ratio,
        value_ratio=value_ratio,
        position_encoding=position_encoding,
        stages=attention_stages,
        pooling=attention_pooling,
        implementation=implementation,
        budget=attention_budget,
        padding=padding,
    )
    image = image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing, weights)
    specs = residual_specs(blocks, width, strided(known_size(image, IMAGENET.input_shape), 4))
    attention = attention.for_network(specs)
    residual = _basic_residual if depth in WITHOUT_BOTTLENECK else _bottleneck_residual

    x = convolution(image, width, 7, 2, "stem_conv", padding)
    x = batch_normalization(x, name="stem_bn")
    x = layers.ReLU(name="stem_relu")(x)
    x = max_pooling(x, "stem_pool", padding)
    rates = drop_path_rates(drop_path_rate, len(specs))
    for spec, rate in zip(attention.sized_as_in(weights, specs, image), rates, strict=True):
        inputs, block_name = x, spec.block_name
        x = residual(x, spec, attention, block_name)
        x = weighted_channels(x, channel_attention, block_name, use_bias)
        x = drop_path(x, rate, block_name)
        shortcut = projected_shortcut(inputs, x, spec.strides, block_name)
        x = layers.Add(name=f"{block_name}_add")([x, shortcut])
        is_last = spec.block == blocks[spec.stage - 1]
        x = layers.ReLU(name=f"P{spec.stage + 1}" if is_last else f"{block_name}_out")(x)
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


def _checked_blocks(blocks):
    try:
        if not isinstance(blocks, (tuple, list)) or len(blocks) != 4:
            raise ValueError
        return tuple(_arguments.positive_integer("blocks", number, most=MOST_BLOCKS) for number in blocks)
    except ValueError:
        raise ValueError(
            f"`blocks` must be a tuple of four positive integers of at most {MOST_BLOCKS}, or None. "
            f"Received: blocks={blocks!r}"
        ) from None


def _basic_residual(x, spec, attention, name):
    """Applies two 3x3 convolutions; attention is in the first."""
    x = attention.convolution(x, spec, name=f"{name}_conv1")
    x = batch_normalization(x, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = convolution(x, spec.filters, 3, 1, name=f"{name}_conv2")
    return batch_normalization(x, name=f"{name}_bn2")


def _bottleneck_residual(x, spec, attention, name):
    """Applies a 3x3 convolution between two 1x1 ones; attention is in the 3x3."""
    x = convolution(x, spec.filters, 1, 1, name=f"{name}_conv1")
    x = batch_normalization(x, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = attention.convolution(x, spec, name=f"{name}_conv2")
    x = batch_normalization(x, name=f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_relu2")(x)
    x = convolution(x, 4 * spec.filters, 1, 1, name=f"{name}_conv3")
    return batch_normalization(x, name=f"{name}_bn3")


ResNet = variant(
    AAResNet,
    "ResNet",
    "Builds a ResNet of any depth and width.",
    fixed={**NO_ATTENTION, "channel_attention": None},
    name="resnet",
)
SEResNet = variant(
    AAResNet,
    "SEResNet",
    "Builds a ResNet with squeeze-and-excitation of any depth and width.",
    fixed={**NO_ATTENTION, "channel_attention": "squeeze_excite"},
    name="se_resnet",
)

AAResNet34 = variant(
    AAResNet,
    "AAResNet34",
    "Builds the attention-augmented ResNet-34 of the paper's Table 2.",
    depth=34,
    key_ratio=0.25,
    value_ratio=0.25,
)
AAResNet50 = variant(
    AAResNet, "AAResNet50", "Builds the attention-augmented ResNet-50 of the paper's Table 2.", depth=50
)
AAResNet101 = variant(
    AAResNet, "AAResNet101", "Builds the attention-augmented ResNet-101 of the paper's Table 2.", depth=101
)
AAResNet152 = variant(
    AAResNet, "AAResNet152", "Builds the attention-augmented ResNet-152 of the paper's Table 2.", depth=152
)

ResNet34 = variant(ResNet, "ResNet34", "Builds the ResNet-34 that the paper's Table 2 compares with.", depth=34)
ResNet50 = variant(ResNet, "ResNet50", "Builds the ResNet-50 that the paper's Table 2 compares with.", depth=50)
ResNet101 = variant(ResNet, "ResNet101", "Builds the ResNet-101 that the paper's Table 2 compares with.", depth=101)
ResNet152 = variant(ResNet, "ResNet152", "Builds the ResNet-152 that the paper's Table 2 compares with.", depth=152)

_SE = "Builds the ResNet-{} with squeeze-and-excitation that Table 2 compares with."
SEResNet34 = variant(SEResNet, "SEResNet34", _SE.format(34), depth=34)
SEResNet50 = variant(SEResNet, "SEResNet50", _SE.format(50), depth=50)
SEResNet101 = variant(SEResNet, "SEResNet101", _SE.format(101), depth=101)
SEResNet152 = variant(SEResNet, "SEResNet152", _SE.format(152), depth=152)
