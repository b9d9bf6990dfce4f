"""Attention-augmented Wide-ResNets (Bello et al., ICCV 2019, section 4.1) and their plain twins.

Wide-ResNets are those of Zagoruyko and Komodakis, *Wide Residual Networks* (BMVC 2016): pre-activation blocks of two
3x3 convolutions in three stages. The augmented ones have attention in the first convolution of every block.
"""

import keras
from keras import layers, ops

from aa_keras.applications import _building as building
from aa_keras.applications import _labels, _preprocessing
from aa_keras.applications.specs import CIFAR100_MEAN, CIFAR100_STD

DEFAULT_SHAPE = (32, 32, 3)
STAGES = 3


def AAWideResNet28_10(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="aa_wide_resnet28_10",
    shortcut="pad",
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(1, 2, 3),
    attention_pooling=1,
    implementation="auto",
):
    """Builds the attention-augmented Wide-ResNet-28-10 of the paper's Table 1."""
    attention = building.AttentionOptions(
        num_heads, key_ratio, value_ratio, position_encoding, attention_stages, attention_pooling, implementation
    )
    image = building.image_input(input_tensor, input_shape, DEFAULT_SHAPE, include_top)
    features = _wide_resnet_features(image, 28, 10, shortcut, attention)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


def WideResNet28_10(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="wide_resnet28_10",
    shortcut="pad",
):
    """Builds the Wide-ResNet-28-10 that the paper's Table 1 compares with."""
    image = building.image_input(input_tensor, input_shape, DEFAULT_SHAPE, include_top)
    features = _wide_resnet_features(image, 28, 10, shortcut)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


def AAWideResNet(  # noqa: N802
    depth,
    width,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="aa_wide_resnet",
    shortcut="pad",
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(1, 2, 3),
    attention_pooling=1,
    implementation="auto",
):
    """Builds an attention-augmented Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    attention = building.AttentionOptions(
        num_heads, key_ratio, value_ratio, position_encoding, attention_stages, attention_pooling, implementation
    )
    image = building.image_input(input_tensor, input_shape, DEFAULT_SHAPE, include_top)
    features = _wide_resnet_features(image, depth, width, shortcut, attention)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


def WideResNet(  # noqa: N802
    depth,
    width,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="wide_resnet",
    shortcut="pad",
):
    """Builds a Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    image = building.image_input(input_tensor, input_shape, DEFAULT_SHAPE, include_top)
    features = _wide_resnet_features(image, depth, width, shortcut)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


building.document(
    (AAWideResNet28_10, WideResNet28_10, AAWideResNet, WideResNet),
    default_shape=DEFAULT_SHAPE,
    stages=STAGES,
    output_shape="(batch, ceil(height / 4), ceil(width / 4), 64 * width of the network)",
    pyramid='"P0" to "P2"',
    more_arguments="""\
        shortcut: what a block that changes the shape adds its output to: "pad" for its input average-pooled and
            padded with channels of zeros, without parameters, as in the paper; "projection" for a 1x1 convolution.
""",
)


def preprocess_input(x, data_format=None):
    """Normalises images by the mean and standard deviation of CIFAR-100, as the models expect them.

    Args:
        x: array or tensor of RGB images with values in [0, 255], of shape (..., 3) and any type. It is not changed.
        data_format: "channels_last" or None.

    Returns:
        A floating-point array, or tensor where `x` is one, of the same shape.

    Raises:
        ValueError: if the last axis does not hold 3 channels, or for another `data_format`.
    """
    return _preprocessing.normalize(x, CIFAR100_MEAN, CIFAR100_STD, data_format)


def decode_predictions(preds, top=5):
    """Names the most probable classes of CIFAR-100.

    Args:
        preds: array of shape (batch, 100), probabilities or logits of a model for CIFAR-100.
        top: how many classes to name for each image.

    Returns:
        For each image a list of `top` triples (class index, class name, score), the highest score first.

    Raises:
        ValueError: if `preds` has another shape, or `top` is not between 1 and 100.
    """
    names = _labels.lines("cifar100")
    return _labels.decode_predictions(preds, top, list(enumerate(names)))


def _wide_resnet_features(image, depth, width, shortcut, attention=None):
    """Applies the stem and the three stages of a Wide-ResNet, the final activation included."""
    for argument, value in (("depth", depth), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{argument}` must be a positive integer. Received: {argument}={value!r}")
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"`depth` must be 6 n + 4: 10, 16, 22, 28, 34, 40 and so on. Received: depth={depth}")
    if shortcut not in ("pad", "projection"):
        raise ValueError(f"`shortcut` must be 'pad' or 'projection'. Received: shortcut={shortcut!r}")
    attention = attention or building.NO_ATTENTION
    attention.check(STAGES)

    blocks = (depth - 4) // 6
    size = building.known_size(image, DEFAULT_SHAPE)
    x = building.convolution(image, 16, 3, 1, name="stem_conv")
    for stage in range(1, STAGES + 1):
        filters = 16 * width * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            # The last stage ends behind the final activation.
            output_name = f"P{stage - 1}" if block == blocks and stage < STAGES else f"{name}_add"
            x = _residual_block(x, filters, strides, shortcut, attention, stage, size, name, output_name)
            size = building.strided(size, strides)
    x = building.batch_normalization(x, name="final_bn")
    return layers.ReLU(name="P2")(x)


def _residual_block(inputs, filters, strides, shortcut, attention, stage, size, name, output_name):
    """Applies a pre-activation block; `size` is the (height, width) that position tables are made for."""
    x = building.batch_normalization(inputs, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    residual = inputs
    if strides > 1 or inputs.shape[-1] != filters:
        # Where the shape changes, the shortcut starts behind the activation, as Zagoruyko and Komodakis have it.
        residual = _shortcut(x, filters, strides, shortcut, name)
    x = attention.convolution(x, filters, 3, strides, stage, max_size=size, name=f"{name}_conv1")
    x = building.batch_normalization(x, name=f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_relu2")(x)
    x = building.convolution(x, filters, 3, 1, name=f"{name}_conv2")
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
