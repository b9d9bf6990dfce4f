"""BoTNets: ResNets whose last blocks have self-attention in place of the 3x3 convolution.

Srinivas et al., *Bottleneck Transformers for Visual Recognition* (CVPR 2021). Their layer is the paper's attention over
a whole map, `SelfAttention2D`, without its output projection. `BoTNet50` is their ResNet-50; `BoTNet26t`,
`ECABoTNeXt26ts` and `SEBoTNet33ts` are the smaller networks that timm designed and trained (`botnet26t_256`,
`eca_botnext26ts_256`, `sebotnet33ts_256`), with a stem of three 3x3 convolutions: their weights are converted by name.
"""

import dataclasses
import os
from typing import Any

import keras
from keras import layers

from aa_keras.layers import EfficientChannelAttention, SelfAttention2D, SqueezeExcite, _arguments
from aa_keras.layers._resampling import strided

from .attention_options import residual_specs
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
)
from .builders import Family, builder, variant
from .converters.timm_families import botnet_rules
from .datasets import IMAGENET, IMAGENET_256

preprocess_input = IMAGENET.preprocess_input
decode_predictions = IMAGENET.decode_predictions

STEMS = ("7x7", "3x3", "3x3 strided")
ACTIVATIONS = ("relu", "silu")
CHANNEL_ATTENTION = (None, "squeeze_excite", "efficient")
# Channels of the 3x3 convolutions of the stem, and within the blocks of the first stage, which double from stage to
# stage.
STEM_CHANNELS = (24, 32, 64)
WIDTH = 64
# The channels of a block's output over those within it.
EXPANSION = 4
# The networks, with their arguments of `BoTNet` that are not its defaults.
STRUCTURES: dict[str, dict[str, Any]] = {
    "BoTNet50": {"stages": ("ccc", "cccc", "cccccc", "aaa")},
    "BoTNet26t": {"stages": ("cc", "cc", "ca", "aa"), "stem": "3x3"},
    "ECABoTNeXt26ts": {
        "stages": ("cc", "cc", "ca", "aa"),
        "stem": "3x3",
        "activation": "silu",
        "group_size": 16,
        "channel_attention": "efficient",
        "key_dim": 16,
    },
    "SEBoTNet33ts": {
        "stages": ("cc", "cca", "cca", "aa"),
        "stem": "3x3 strided",
        "activation": "silu",
        "channel_attention": "squeeze_excite",
        "last_channels": 1536,
        "head_channels": 1280,
    },
}


@builder(
    Family(
        dataset=IMAGENET_256,
        stages="1 to 4",
        output_shape="(batch, ceil(height / 32), ceil(width / 32), channels)",
        pyramid='"P2" to "P5"',
        arguments={
            "stages": 'tuple of four strings, a letter for each block: "c" for a 3x3 convolution, "a" for attention.',
            "stem": '"7x7" for the stem of ResNets, a convolution and a pooling; "3x3" for three convolutions and a '
            'pooling; "3x3 strided" for three convolutions, of which the last one strides instead.',
            "activation": '"relu" or "silu".',
            "group_size": "None, or the channels in each group of the 3x3 convolutions, as in ResNeXts; it divides 64.",
            "channel_attention": 'attention over channels after each 3x3 convolution: "squeeze_excite", "efficient" '
            "(ECA) or None.",
            "last_channels": "None, or the channels of the last stage's output if they are not four times those "
            "within its blocks.",
            "head_channels": "None, or the channels of a 1x1 convolution before the classifier.",
            "num_heads": "positive integer, the heads of each attention; it divides 64.",
            "key_dim": "positive integer, the channels of a key in each head; None takes as many as a value has.",
        },
        hidden=(
            *("stages", "stem", "activation", "group_size", "channel_attention"),
            *("last_channels", "head_channels", "num_heads", "key_dim"),
        ),
        example={"stages": STRUCTURES["BoTNet50"]["stages"]},
        timm=botnet_rules({name: structure for name, structure in STRUCTURES.items() if name != "BoTNet50"}),
    )
)
def BoTNet(  # noqa: N802
    stages: tuple[str, str, str, str],
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "botnet",
    include_preprocessing: bool = False,
    stem: str = "7x7",
    activation: str = "relu",
    group_size: int | None = None,
    channel_attention: str | None = None,
    last_channels: int | None = None,
    head_channels: int | None = None,
    num_heads: int = 4,
    key_dim: int | None = None,
    position_encoding: str | None = "relative",
    implementation: str = "auto",
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a bottleneck transformer of any depth."""
    network = _Network(
        activation=_arguments.one_of("activation", activation, ACTIVATIONS),
        group_size=None if group_size is None else _divisor_of_the_width("group_size", group_size),
        channel_attention=_arguments.one_of("channel_attention", channel_attention, CHANNEL_ATTENTION),
        num_heads=_divisor_of_the_width("num_heads", num_heads),
        key_dim=None if key_dim is None else _arguments.positive_integer("key_dim", key_dim),
        position_encoding=position_encoding,
        implementation=implementation,
        padding=checked_padding(padding),
    )
    stages = _checked_stages(stages)
    for argument, channels in (("last_channels", last_channels), ("head_channels", head_channels)):
        if channels is not None:
            _arguments.positive_integer(argument, channels)
    image = image_input(input_tensor, input_shape, IMAGENET_256, include_top, include_preprocessing, weights)
    x = network.stem(image, _arguments.one_of("stem", stem, STEMS))
    size = strided(known_size(image, IMAGENET_256.input_shape), 4)
    rates = drop_path_rates(drop_path_rate, sum(map(len, stages)))
    for spec, rate in zip(residual_specs(map(len, stages), WIDTH, size), rates, strict=True):
        blocks, is_last_stage = stages[spec.stage - 1], spec.stage == len(stages)
        outputs = last_channels if is_last_stage and last_channels else EXPANSION * spec.filters
        is_level = spec.block == len(blocks) and not (head_channels and is_last_stage)
        output_name = f"P{spec.stage + 1}" if is_level else f"{spec.block_name}_out"
        x = network.block(x, spec, blocks[spec.block - 1], outputs, rate, output_name)
    if head_channels:
        x = network.normalized(convolution(x, head_channels, 1, 1, "head_conv"), "head_bn", "P5")
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


def _divisor_of_the_width(name, value):
    value = _arguments.positive_integer(name, value)
    if WIDTH % value:
        raise ValueError(
            f"`{name}` must divide {WIDTH}, the channels within the blocks of the first stage. Received: {name}={value}"
        )
    return value


def _checked_stages(stages):
    is_valid = (
        isinstance(stages, (tuple, list))
        and len(stages) == 4
        and all(isinstance(blocks, str) and blocks and set(blocks) <= set("ac") for blocks in stages)
    )
    if not is_valid:
        raise ValueError(
            "`stages` must be a tuple of four strings of the letters 'c' and 'a', one for each block. "
            f"Received: stages={stages!r}"
        )
    return tuple(stages)


@dataclasses.dataclass(frozen=True)
class _Network:
    """The arguments of the builder that all blocks of a network have in common."""

    activation: str
    group_size: int | None
    channel_attention: str | None
    num_heads: int
    key_dim: int | None
    position_encoding: str | None
    implementation: str
    padding: str

    def stem(self, image, kind):
        """Applies the layers before the first stage."""
        if kind == "7x7":
            x = convolution(image, WIDTH, 7, 2, "stem_conv", self.padding)
            x = self.normalized(x, "stem_bn", "stem_act")
        else:
            x = image
            for number, channels in enumerate(STEM_CHANNELS, start=1):
                strides = 2 if number == 1 or (number == len(STEM_CHANNELS) and kind == "3x3 strided") else 1
                x = convolution(x, channels, 3, strides, f"stem_conv{number}", self.padding)
                x = self.normalized(x, f"stem_bn{number}", f"stem_act{number}")
        return x if kind == "3x3 strided" else max_pooling(x, "stem_pool", self.padding)

    def block(self, inputs, spec, kind, outputs, rate, output_name):
        """Applies a bottleneck around a 3x3 convolution, `spec`, or attention in its place, and adds its input."""
        name, channels, strides = spec.block_name, spec.filters, spec.strides
        x = self.normalized(convolution(inputs, channels, 1, 1, f"{name}_conv1"), f"{name}_bn1", f"{name}_act1")
        if kind == "a":
            x = self._attention(x, spec)
        else:
            groups = 1 if self.group_size is None else max(1, channels // self.group_size)
            x = convolution(x, channels, 3, strides, f"{name}_conv2", self.padding, groups)
        # The name of a layer says what is in the block.
        x = self.normalized(x, f"{name}_attention_bn" if kind == "a" else f"{name}_bn2", f"{name}_act2")
        if kind == "c" and self.channel_attention == "squeeze_excite":
            x = SqueezeExcite(max(8, channels // 16), name=f"{name}_se")(x)
        elif kind == "c" and self.channel_attention == "efficient":
            x = EfficientChannelAttention(name=f"{name}_eca")(x)
        x = batch_normalization(convolution(x, outputs, 1, 1, f"{name}_conv3"), f"{name}_bn3")
        shortcut = projected_shortcut(inputs, x, strides, name)
        x = layers.Add(name=f"{name}_add")([drop_path(x, rate, name), shortcut])
        return layers.Activation(self.activation, name=output_name)(x)

    def _attention(self, x, spec):
        """Applies attention over the whole map, and after it, if the block strides, average-pools 2x2 pixels."""
        x = SelfAttention2D(
            self.num_heads,
            self.key_dim or spec.filters // self.num_heads,
            spec.filters // self.num_heads,
            position_encoding=self.position_encoding,
            max_size=spec.size,
            implementation=self.implementation,
            use_output_projection=False,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{spec.block_name}_attention",
        )(x)
        if spec.strides == 1:
            return x
        return layers.AveragePooling2D(2, padding="same", name=f"{spec.block_name}_attention_pool")(x)

    def normalized(self, x, normalization_name, name):
        """Applies batch normalization and the activation."""
        return layers.Activation(self.activation, name=name)(batch_normalization(x, normalization_name))


BoTNet50 = variant(
    BoTNet,
    "BoTNet50",
    "Builds the BoTNet-50 of Srinivas et al.: a ResNet-50 with attention in its last stage.",
    **STRUCTURES["BoTNet50"],
)
BoTNet26t = variant(
    BoTNet,
    "BoTNet26t",
    "Builds timm's `botnet26t_256`: 26 layers, attention in half of the third stage and in the fourth.",
    **STRUCTURES["BoTNet26t"],
)
ECABoTNeXt26ts = variant(
    BoTNet,
    "ECABoTNeXt26ts",
    "Builds timm's `eca_botnext26ts_256`: the same with groups of 16 channels, ECA and SiLU.",
    **STRUCTURES["ECABoTNeXt26ts"],
    name="ecabotnext26ts",
)
SEBoTNet33ts = variant(
    BoTNet,
    "SEBoTNet33ts",
    "Builds timm's `sebotnet33ts_256`: 33 layers, attention in three stages, squeeze-and-excitation and SiLU.",
    **STRUCTURES["SEBoTNet33ts"],
    name="sebotnet33ts",
)
