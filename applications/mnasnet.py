"""MnasNet-A1, plain and attention-augmented (Bello et al., ICCV 2019, section 4.3).

MnasNet-A1 is that of Tan et al., *MnasNet: Platform-Aware Neural Architecture Search for Mobile* (CVPR 2019): seven
stages of inverted bottlenecks (a 1x1 convolution that expands, a depthwise one, a 1x1 one that projects), some with
squeeze-and-excitation, scaled in width by `alpha`. The augmented one has attention in the expansion of the 13 blocks
whose output is 28x28 or smaller, at the resolution of the block's output, and at half of that in the 28x28 stage.
"""

import dataclasses
import os

import keras
from keras import layers

from aa_keras.layers import SqueezeExcite, _arguments
from aa_keras.layers._resampling import strided

from .attention_options import NO_ATTENTION, AttentionOptions, ConvSpec
from .blocks import batch_normalization, classification_model, convolution, image_input, known_size
from .builders import Family, builder, variant
from .datasets import IMAGENET

preprocess_input = IMAGENET.preprocess_input
decode_predictions = IMAGENET.decode_predictions


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of inverted bottlenecks: their number, depthwise window and first stride; their factor of expansion,
    their output channels at alpha 1, and the channels of squeeze-and-excitation over those of the input, if any."""

    blocks: int
    kernel_size: int
    strides: int
    expansion: int
    filters: int
    squeeze_ratio: float = 0.0


# Figure 7a of the MnasNet paper. Blocks of the first stage do not expand and have no shortcut.
STAGES = (
    Stage(blocks=1, kernel_size=3, strides=1, expansion=1, filters=16),
    Stage(blocks=2, kernel_size=3, strides=2, expansion=6, filters=24),
    Stage(blocks=3, kernel_size=5, strides=2, expansion=3, filters=40, squeeze_ratio=0.25),
    Stage(blocks=4, kernel_size=3, strides=2, expansion=6, filters=80),
    Stage(blocks=2, kernel_size=3, strides=1, expansion=6, filters=112, squeeze_ratio=0.25),
    Stage(blocks=3, kernel_size=5, strides=2, expansion=6, filters=160, squeeze_ratio=0.25),
    Stage(blocks=1, kernel_size=3, strides=1, expansion=6, filters=320),
)
# The last stage at each stride, by its level in a feature pyramid.
LEVELS = {1: "P1", 2: "P2", 3: "P3", 5: "P4", 7: "P5"}


@builder(
    Family(
        dataset=IMAGENET,
        stages="2 to 7",
        output_shape="(batch, ceil(height / 32), ceil(width / 32), 1280)",
        pyramid='"P1" to "P5"',
        arguments={
            "alpha": "factor of the channels of MnasNet-A1, which are then rounded to multiples of 8. "
            "The paper has 0.75, 1.0, 1.25 and 1.4."
        },
    )
)
def AAMnasNet(  # noqa: N802
    alpha: float = 1.0,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_mnasnet",
    include_preprocessing: bool = False,
    num_heads: int = 4,
    key_ratio: float = 0.1,
    value_ratio: float = 0.05,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (3, 4, 5, 6, 7),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
) -> keras.Model:
    """Builds the attention-augmented MnasNet of the paper's Table 3, `alpha` times as wide."""
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
    image = image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing, weights)
    alpha = _arguments.ratio("alpha", alpha, most=100)
    specs = _specs(alpha, known_size(image, IMAGENET.input_shape))
    attention = attention.for_network(specs)

    x = convolution(image, _rounded(32 * alpha), 3, 2, name="stem_conv")
    x = _activation(x, "stem")
    x = _inverted_bottleneck(x, None, attention, alpha)
    for spec in attention.sized_as_in(weights, specs, image):
        x = _inverted_bottleneck(x, spec, attention, alpha)
    x = convolution(x, 1280, 1, 1, name="head_conv")
    x = _activation(x, "head")
    return classification_model(
        image,
        x,
        include_top=include_top,
        weights=weights,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        dropout_rate=0.2,
    )


def _specs(alpha, size):
    """Returns the expansions, with attention at the resolution of the block's depthwise convolution.

    The block of the first stage has none.
    """
    size, channels, specs = strided(size, 2), _rounded(STAGES[0].filters * alpha), []
    for number, stage in enumerate(STAGES[1:], start=2):
        for block in range(1, stage.blocks + 1):
            strides = stage.strides if block == 1 else 1
            specs.append(ConvSpec(number, block, stage.expansion * channels, 1, 1, size, pooling=strides))
            size, channels = strided(size, strides), _rounded(stage.filters * alpha)
    return specs


def _inverted_bottleneck(inputs, spec, attention, alpha):
    """Applies a block; `spec` is its expansion, or None in the first stage, whose depthwise convolution starts."""
    number, block, strides = (spec.stage, spec.block, spec.pooling) if spec else (1, 1, 1)
    stage, name = STAGES[number - 1], f"stage{number}_block{block}"
    output_name = LEVELS.get(number) if block == stage.blocks else None
    x = inputs
    if spec is not None:
        x = attention.convolution(x, spec, name=f"{name}_expand_conv")
        x = _activation(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel_size,
        strides,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise_conv",
    )(x)
    x = _activation(x, f"{name}_depthwise")
    if stage.squeeze_ratio:
        units = max(1, int(inputs.shape[-1] * stage.squeeze_ratio))
        x = SqueezeExcite(units, name=f"{name}_se")(x)
    x = convolution(x, _rounded(stage.filters * alpha), 1, 1, name=f"{name}_project_conv")
    has_shortcut = spec is not None and strides == 1 and x.shape[-1] == inputs.shape[-1]
    bn_name = f"{name}_project_bn" if has_shortcut or output_name is None else output_name
    x = _batch_normalization(x, bn_name)
    return layers.Add(name=output_name or f"{name}_add")([x, inputs]) if has_shortcut else x


def _batch_normalization(x, name):
    return batch_normalization(x, name, momentum=0.99, epsilon=1e-3)


def _activation(x, name):
    return layers.ReLU(name=f"{name}_relu")(_batch_normalization(x, f"{name}_bn"))


def _rounded(filters):
    """Rounds a number of channels to a multiple of 8, and not down by more than a tenth."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


MnasNet = variant(
    AAMnasNet,
    "MnasNet",
    "Builds the MnasNet-A1 that the paper's Table 3 compares with, `alpha` times as wide.",
    fixed=NO_ATTENTION,
    name="mnasnet",
)
