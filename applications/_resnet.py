"""The assembler of ResNets: stem, four stages of blocks, and whatever attends in them."""

from keras import layers

from aa_keras.applications import _building as building
from aa_keras.applications._augmentation import NO_ATTENTION, AttentionOptions, Place
from aa_keras.layers import SqueezeExcite

DEFAULT_SHAPE = (224, 224, 3)
# Blocks in each stage (He et al., 2016, table 1). Those of ResNet-34 have two 3x3 convolutions, the others' are
# bottlenecks, with four times as many output channels.
BLOCKS = {34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet(image, depth, attends, include_top, weights, pooling, classes, classifier_activation, name):
    """Returns a ResNet of a `depth` in `BLOCKS` on an input.

    `attends` says what attends in its blocks: None, `AttentionOptions` for attention over positions, or "channels" for
    squeeze-and-excitation. The other arguments are those of the builders.
    """
    places = _places(depth, building.known_size(image, DEFAULT_SHAPE))
    attention = (attends if isinstance(attends, AttentionOptions) else NO_ATTENTION).for_network(places)
    places = attention.sized_as_in(weights, places, image)
    apply_block = _basic_block if depth == 34 else _bottleneck_block

    x = building.convolution(image, 64, 7, 2, name="stem_conv")
    x = building.batch_normalization(x, name="stem_bn")
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, number_of_blocks in enumerate(BLOCKS[depth], start=1):
        for block in range(1, number_of_blocks + 1):
            block_name = f"stage{stage}_block{block}"
            place = places.pop(0)
            residual = x
            x = apply_block(x, place, attention, block_name)
            if attends == "channels":
                x = SqueezeExcite(ratio=16, use_bias=False, name=f"{block_name}_se")(x)
            if residual.shape[-1] != x.shape[-1] or place.strides > 1:
                residual = building.convolution(residual, x.shape[-1], 1, place.strides, f"{block_name}_shortcut_conv")
                residual = building.batch_normalization(residual, name=f"{block_name}_shortcut_bn")
            x = layers.Add(name=f"{block_name}_add")([x, residual])
            output_name = f"P{stage + 1}" if block == number_of_blocks else f"{block_name}_out"
            x = layers.ReLU(name=output_name)(x)
    return building.classification_model(image, x, include_top, weights, pooling, classes, classifier_activation, name)


def _places(depth, size):
    """Returns, block by block, the convolution that strides, which is the one that may be augmented."""
    size = building.strided(building.strided(size, 2), 2)
    places = []
    for stage, number_of_blocks in enumerate(BLOCKS[depth], start=1):
        for block in range(number_of_blocks):
            strides = 2 if stage > 1 and block == 0 else 1
            places.append(Place(stage, filters=64 * 2 ** (stage - 1), kernel_size=3, strides=strides, size=size))
            size = building.strided(size, strides)
    return places


def _basic_block(x, place, attention, name):
    """Applies two 3x3 convolutions; attention is in the first."""
    x = attention.convolution(x, place, name=f"{name}_conv1")
    x = building.batch_normalization(x, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = building.convolution(x, place.filters, 3, 1, name=f"{name}_conv2")
    return building.batch_normalization(x, name=f"{name}_bn2")


def _bottleneck_block(x, place, attention, name):
    """Applies a 3x3 convolution between two 1x1 ones; attention is in the 3x3."""
    x = building.convolution(x, place.filters, 1, 1, name=f"{name}_conv1")
    x = building.batch_normalization(x, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = attention.convolution(x, place, name=f"{name}_conv2")
    x = building.batch_normalization(x, name=f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_relu2")(x)
    x = building.convolution(x, 4 * place.filters, 1, 1, name=f"{name}_conv3")
    return building.batch_normalization(x, name=f"{name}_bn3")
