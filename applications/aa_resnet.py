"""Attention-augmented ResNets for ImageNet (Bello et al., ICCV 2019, section 4.2) and their plain twins.

ResNets are those of He et al., *Deep Residual Learning for Image Recognition* (CVPR 2016), with the stride of a block
on its 3x3 convolution (as in Goyal et al., 2017; often called v1.5), which the paper's FLOPs say it used. The augmented
ones have attention in the 3x3 convolution of every block of the last three stages, average-pooled once more in the
first of these.
"""

from keras import layers

from aa_keras.applications import _building as building
from aa_keras.applications import _labels, _preprocessing
from aa_keras.applications.specs import IMAGENET_MEAN, IMAGENET_STD

DEFAULT_SHAPE = (224, 224, 3)
STAGES = 4


def AAResNet50(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="aa_resnet50",
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(2, 3, 4),
    attention_pooling=2,
    implementation="auto",
):
    """Builds the attention-augmented ResNet-50 of the paper's Table 2."""
    attention = building.AttentionOptions(
        num_heads, key_ratio, value_ratio, position_encoding, attention_stages, attention_pooling, implementation
    )
    image = building.image_input(input_tensor, input_shape, DEFAULT_SHAPE, include_top)
    features = _resnet_features(image, (3, 4, 6, 3), attention)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


def ResNet50(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet50",
):
    """Builds the ResNet-50 that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, DEFAULT_SHAPE, include_top)
    features = _resnet_features(image, (3, 4, 6, 3), building.NO_ATTENTION)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


building.document(
    (AAResNet50, ResNet50),
    default_shape=DEFAULT_SHAPE,
    stages=STAGES,
    output_shape="(batch, ceil(height / 32), ceil(width / 32), 2048)",
    pyramid='"P2" to "P5"',
    more_arguments="",
)


def preprocess_input(x, data_format=None):
    """Normalises images by the mean and standard deviation of ImageNet, as the models expect them.

    Args:
        x: array or tensor of RGB images with values in [0, 255], of shape (..., 3) and any type. It is not changed.
        data_format: "channels_last" or None.

    Returns:
        A floating-point array, or tensor where `x` is one, of the same shape.

    Raises:
        ValueError: if the last axis does not hold 3 channels, or for another `data_format`.
    """
    return _preprocessing.normalize(x, IMAGENET_MEAN, IMAGENET_STD, data_format)


def decode_predictions(preds, top=5):
    """Names the most probable classes of ImageNet.

    Args:
        preds: array of shape (batch, 1000), probabilities or logits of a model for ImageNet.
        top: how many classes to name for each image.

    Returns:
        For each image a list of `top` triples (WordNet identifier, class name, score), the highest score first.

    Raises:
        ValueError: if `preds` has another shape, or `top` is not between 1 and 1000.
    """
    classes = [tuple(line.split(" ", 1)) for line in _labels.lines("imagenet2012")]
    return _labels.decode_predictions(preds, top, classes)


def _resnet_features(image, blocks, attention):
    """Applies the stem and the four stages of a ResNet of bottleneck blocks."""
    attention.check(STAGES)
    size = building.known_size(image, DEFAULT_SHAPE)
    x = building.convolution(image, 64, 7, 2, name="stem_conv")
    x = building.batch_normalization(x, name="stem_bn")
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    size = building.strided(building.strided(size, 2), 2)
    for stage, number_of_blocks in enumerate(blocks, start=1):
        filters = 64 * 2 ** (stage - 1)
        for block in range(1, number_of_blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            output_name = f"P{stage + 1}" if block == number_of_blocks else f"{name}_out"
            x = _bottleneck(x, filters, strides, block == 1, attention, stage, size, name, output_name)
            size = building.strided(size, strides)
    return x


def _bottleneck(inputs, filters, strides, projects, attention, stage, size, name, output_name):
    """Applies a bottleneck block; `size` is the (height, width) that position tables are made for."""
    residual = inputs
    if projects:
        residual = building.convolution(inputs, 4 * filters, 1, strides, name=f"{name}_shortcut_conv")
        residual = building.batch_normalization(residual, name=f"{name}_shortcut_bn")
    x = building.convolution(inputs, filters, 1, 1, name=f"{name}_conv1")
    x = building.batch_normalization(x, name=f"{name}_bn1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = attention.convolution(x, filters, 3, strides, stage, max_size=size, name=f"{name}_conv2")
    x = building.batch_normalization(x, name=f"{name}_bn2")
    x = layers.ReLU(name=f"{name}_relu2")(x)
    x = building.convolution(x, 4 * filters, 1, 1, name=f"{name}_conv3")
    x = building.batch_normalization(x, name=f"{name}_bn3")
    x = layers.Add(name=f"{name}_add")([x, residual])
    return layers.ReLU(name=output_name)(x)
