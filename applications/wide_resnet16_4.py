"""Small Wide-ResNets for CIFAR-100, which two CPU cores can train: augmented, with trained weights, and plain.

The paper does not have them. Images are normalised and classes named as by `aa_keras.applications.aa_wide_resnet`.
"""

from aa_keras.applications import _building as building
from aa_keras.applications._augmentation import AttentionOptions
from aa_keras.applications._wide_resnet import DOCUMENTATION, wide_resnet_features
from aa_keras.applications.specs import CIFAR100


@building.builder
def AAWideResNet16_4(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="aa_wide_resnet16_4",
    include_preprocessing=False,
    shortcut="pad",
    num_heads=4,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(2, 3),
    attention_pooling=1,
    implementation="auto",
    attention_budget=None,
):
    """Builds a small attention-augmented Wide-ResNet, with attention where the maps are small; not in the paper."""
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
    features = wide_resnet_features(image, 16, 4, shortcut, attention, weights=weights)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


@building.builder
def WideResNet16_4(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=100,
    classifier_activation="softmax",
    name="wide_resnet16_4",
    include_preprocessing=False,
    shortcut="pad",
):
    """Builds a small Wide-ResNet, the plain twin of `AAWideResNet16_4`; not in the paper."""
    image = building.image_input(input_tensor, input_shape, CIFAR100, include_top, include_preprocessing)
    features = wide_resnet_features(image, 16, 4, shortcut)
    return building.classification_model(
        image, features, include_top, weights, pooling, classes, classifier_activation, name
    )


building.document((AAWideResNet16_4, WideResNet16_4), **DOCUMENTATION)
