"""Attention-augmented Wide-ResNets (Bello et al., ICCV 2019, section 4.1) and what the paper compares them with.

Wide-ResNets are those of Zagoruyko and Komodakis, *Wide Residual Networks* (BMVC 2016): pre-activation blocks of two
3x3 convolutions in three stages. The augmented ones have attention in the first convolution of every block. Those with
squeeze-and-excitation (Hu et al., CVPR 2018; two dense layers without biases around a sixteenth of the channels) or
gather-excite (Hu et al., NeurIPS 2018; without parameters, of global extent) weigh the channels of every block before
the shortcut is added.
"""

from aa_keras.applications import _building as building
from aa_keras.applications import _labels, _preprocessing
from aa_keras.applications._augmentation import AttentionOptions
from aa_keras.applications._wide_resnet import DOCUMENTATION, wide_resnet_features
from aa_keras.applications.specs import CIFAR100


@building.builder
def AAWideResNet28_10(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="aa_wide_resnet28_10",
    include_preprocessing=False,
    shortcut="pad",
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(1, 2, 3),
    attention_pooling=1,
    implementation="auto",
    attention_budget=None,
):
    """Builds the attention-augmented Wide-ResNet-28-10 of the paper's Table 1."""
    attention = AttentionOptions(
        num_heads,
        key_ratio,
        value_ratio,
        position_encoding,
        attention_stages,
        attention_pooling,
        implementation,
        attention_budget,
    )
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, 28, 10, shortcut, attention, weights=weights)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
def WideResNet28_10(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="wide_resnet28_10",
    include_preprocessing=False,
    shortcut="pad",
):
    """Builds the Wide-ResNet-28-10 that the paper's Table 1 compares with."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, 28, 10, shortcut)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
def SEWideResNet28_10(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="se_wide_resnet28_10",
    include_preprocessing=False,
    shortcut="pad",
):
    """Builds the Wide-ResNet-28-10 with squeeze-and-excitation that the paper's Table 1 compares with."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, 28, 10, shortcut, channels="squeeze")
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
def GEWideResNet28_10(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="ge_wide_resnet28_10",
    include_preprocessing=False,
    shortcut="pad",
):
    """Builds the Wide-ResNet-28-10 with gather-excite that the paper's Table 1 compares with."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, 28, 10, shortcut, channels="gather")
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
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
    include_preprocessing=False,
    shortcut="pad",
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(1, 2, 3),
    attention_pooling=1,
    implementation="auto",
    attention_budget=None,
):
    """Builds an attention-augmented Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    attention = AttentionOptions(
        num_heads,
        key_ratio,
        value_ratio,
        position_encoding,
        attention_stages,
        attention_pooling,
        implementation,
        attention_budget,
    )
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, depth, width, shortcut, attention, weights=weights)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
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
    include_preprocessing=False,
    shortcut="pad",
):
    """Builds a Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, depth, width, shortcut)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
def SEWideResNet(  # noqa: N802
    depth,
    width,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="se_wide_resnet",
    include_preprocessing=False,
    shortcut="pad",
):
    """Builds a Wide-ResNet with squeeze-and-excitation of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, depth, width, shortcut, channels="squeeze")
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
def GEWideResNet(  # noqa: N802
    depth,
    width,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="ge_wide_resnet",
    include_preprocessing=False,
    shortcut="pad",
):
    """Builds a Wide-ResNet with gather-excite of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, depth, width, shortcut, channels="gather")
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


building.document(
    (
        AAWideResNet28_10,
        WideResNet28_10,
        SEWideResNet28_10,
        GEWideResNet28_10,
        AAWideResNet,
        WideResNet,
        SEWideResNet,
        GEWideResNet,
    ),
    **DOCUMENTATION,
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
    return _preprocessing.normalize(x, CIFAR100.mean, CIFAR100.std, data_format)


def decode_predictions(preds, top=5, class_names=None):
    """Names the most probable classes of CIFAR-100.

    Args:
        preds: array of shape (batch, 100), or (batch, number of `class_names`): probabilities or logits.
        top: how many classes to name for each image.
        class_names: list of the names of other classes, in their order, for a network that was trained on them.

    Returns:
        For each image a list of `top` triples (class index, class name, score), the highest score first.

    Raises:
        ValueError: if `preds` has another shape, or `top` is not between 1 and the number of classes.
    """
    names = _labels.lines("cifar100")
    return _labels.decode_predictions(preds, top, list(enumerate(names)), class_names)
