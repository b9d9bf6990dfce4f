"""The assembler of Wide-ResNets: stem, three stages of pre-activation blocks, and whatever attends in them."""

import keras
from keras import layers, ops

from aa_keras.applications import _building as building
from aa_keras.applications._augmentation import NO_ATTENTION, Place
from aa_keras.layers import GatherExcite, SqueezeExcite, _arguments

DEFAULT_SHAPE = (32, 32, 3)
# What the docstrings of all Wide-ResNets have in common.
DOCUMENTATION = {
    "default_shape": DEFAULT_SHAPE,
    "stages": "1 to 3",
    "output_shape": "(batch, ceil(height / 4), ceil(width / 4), 64 * width of the network)",
    "pyramid": '"P0" to "P2"',
    "more_arguments": """\
        shortcut: what a block that changes the shape adds its output to: "pad" for its input average-pooled and
            padded with channels of zeros, without parameters, as in the paper; "projection" for a 1x1 convolution.
""",
}
STAGES = 3
# More than any network has.
MOST_LAYERS, MOST_WIDTH = 1204, 1000


def wide_resnet_features(image, depth, width, shortcut, attention=NO_ATTENTION, channels=None, weights=None):
    """Applies the stem and the three stages of a Wide-ResNet, the final activation included.

    `channels` says what weighs the channels of a block: "squeeze" and excitation, "gather" and excite, or None;
    `weights` is the builders' argument.
    """
    depth = _arguments.positive_integer("depth", depth, most=MOST_LAYERS)
    width = _arguments.positive_integer("width", width, most=MOST_WIDTH)
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"`depth` must be 6 n + 4: 10, 16, 22, 28, 34, 40 and so on. Received: depth={depth}")
    if shortcut not in ("pad", "projection"):
        raise ValueError(f"`shortcut` must be 'pad' or 'projection'. Received: shortcut={shortcut!r}")

    blocks = (depth - 4) // 6
    places = _places(blocks, width, building.known_size(image, DEFAULT_SHAPE))
    attention = attention.for_network(places)
    places = attention.sized_as_in(weights, places, image)
    x = building.convolution(image, 16, 3, 1, name="stem_conv")
    for index, place in enumerate(places):
        block = index % blocks + 1
        name = f"stage{place.stage}_block{block}"
        # The last stage ends behind the final activation.
        output_name = f"P{place.stage - 1}" if block == blocks and place.stage < STAGES else f"{name}_add"
        x = _residual_block(x, place, shortcut, attention, channels, name, output_name)
    x = building.batch_normalization(x, name="final_bn")
    return layers.ReLU(name="P2")(x)


def _places(blocks, width, size):
    """Returns the first convolution of each block, the one that strides and may be augmented."""
    places = []
    for stage in range(1, STAGES + 1):
        for block in range(blocks):
            strides = 2 if stage > 1 and block == 0 else 1
            places.append(Place(stage, 16 * width * 2 ** (stage - 1), kernel_size=3, strides=strides, size=size))
            size = building.strided(size, strides)
    return places


def _residual_block(inputs, place, shortcut, attention, channels, name, output_name):
    """Applies a pre-activation block of two convolutions."""
    x = building.batch_normalization(inputs, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    residual = inputs
    if place.strides > 1 or inputs.shape[-1] != place.filters:
        # Where the shape changes, the shortcut starts behind the activation, as Zagoruyko and Komodakis have it.
        residual = _shortcut(x, place.filters, place.strides, shortcut, name)
    x = attention.convolution(x, place, name=f"{name}_conv1")
    x = building.batch_normalization(x, name=f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_relu2")(x)
    x = building.convolution(x, place.filters, 3, 1, name=f"{name}_conv2")
    if channels == "squeeze":
        x = SqueezeExcite(ratio=16, use_bias=False, name=f"{name}_se")(x)
    elif channels == "gather":
        x = GatherExcite(name=f"{name}_ge")(x)
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
        channels: integer of at least 0, how many channels to add.
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        (batch, height, width, channels + those added)
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
