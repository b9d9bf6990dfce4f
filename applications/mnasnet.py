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

from . import _building as building
from ._augmentation import NO_ATTENTION, AttentionOptions, Place
from ._builders import Family, builder, variant
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
            "The paper has 0.75, 1.0, 1.25 and 1.4.",
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
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing, weights)
    alpha = _arguments.ratio("alpha", alpha, most=100)
    places = _places(alpha, building.known_size(image, IMAGENET.input_shape))
    attention = attention.for_network(places)
    places = attention.sized_as_in(weights, places, image)

    x = building.convolution(image, _rounded(32 * alpha), 3, 2, name="stem_conv")
    x = _activation(x, "stem")
    for number, stage in enumerate(STAGES, start=1):
        for block in range(1, stage.blocks + 1):
            place = places.pop(0) if stage.expansion > 1 else None
            strides = stage.strides if block == 1 else 1
            output_name = LEVELS.get(number) if block == stage.blocks else None
            block_name = f"stage{number}_block{block}"
            x = _inverted_bottleneck(x, stage, strides, alpha, place, attention, block_name, output_name)
    x = building.convolution(x, 1280, 1, 1, name="head_conv")
    x = _activation(x, "head")
    return building.classification_model(
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


def _places(alpha, size):
    """Returns the expansions, with attention at the resolution of the block's depthwise convolution."""
    size = building.strided(size, 2)
    channels, places = None, []
    for number, stage in enumerate(STAGES, start=1):
        for block in range(stage.blocks):
            strides = stage.strides if block == 0 else 1
            if stage.expansion > 1:
                places.append(Place(number, stage.expansion * channels, 1, strides=1, size=size, pooling=strides))
            size = building.strided(size, strides)
            channels = _rounded(stage.filters * alpha)
    return places


def _inverted_bottleneck(inputs, stage, strides, alpha, place, attention, name, output_name):
    """Applies a block; `place` is its expansion, or None."""
    x = inputs
    if place is not None:
        x = attention.convolution(x, place, name=f"{name}_expand_conv")
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
    x = building.convolution(x, _rounded(stage.filters * alpha), 1, 1, name=f"{name}_project_conv")
    has_shortcut = place is not None and strides == 1 and x.shape[-1] == inputs.shape[-1]
    bn_name = f"{name}_project_bn" if has_shortcut or output_name is None else output_name
    x = _batch_normalization(x, bn_name)
    return layers.Add(name=output_name or f"{name}_add")([x, inputs]) if has_shortcut else x


def _batch_normalization(x, name):
    return building.batch_normalization(x, name, momentum=0.99, epsilon=1e-3)


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
