"""Attention-augmented ResNets for ImageNet (Bello et al., ICCV 2019, section 4.2) and what they are compared with.

ResNets are those of He et al., *Deep Residual Learning for Image Recognition* (CVPR 2016), with the stride of a block
on its 3x3 convolution (as in Goyal et al., 2017; often called v1.5), which the paper's FLOPs say it used. The augmented
ones have attention in the 3x3 convolution of every block of the last three stages (the first one of ResNet-34's two),
average-pooled once more in the first of these. Those with squeeze-and-excitation (Hu et al., CVPR 2018) weigh the
channels of every block before the shortcut is added, by dense layers without biases around a sixteenth of the channels.
"""

from aa_keras.applications import _building as building
from aa_keras.applications._augmentation import AttentionOptions
from aa_keras.applications._imagenet import decode_predictions, preprocess_input  # noqa: F401
from aa_keras.applications._resnet import DEFAULT_SHAPE, resnet
from aa_keras.applications.specs import IMAGENET


@building.builder
def AAResNet34(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="aa_resnet34",
    include_preprocessing=False,
    num_heads=8,
    key_ratio=0.25,
    value_ratio=0.25,
    position_encoding="relative",
    attention_stages=(2, 3, 4),
    attention_pooling=2,
    implementation="auto",
    attention_budget=None,
):
    """Builds the attention-augmented ResNet-34 of the paper's Table 2."""
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
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 34, attention, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def AAResNet50(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="aa_resnet50",
    include_preprocessing=False,
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(2, 3, 4),
    attention_pooling=2,
    implementation="auto",
    attention_budget=None,
):
    """Builds the attention-augmented ResNet-50 of the paper's Table 2."""
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
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 50, attention, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def AAResNet101(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="aa_resnet101",
    include_preprocessing=False,
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(2, 3, 4),
    attention_pooling=2,
    implementation="auto",
    attention_budget=None,
):
    """Builds the attention-augmented ResNet-101 of the paper's Table 2."""
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
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 101, attention, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def AAResNet152(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="aa_resnet152",
    include_preprocessing=False,
    num_heads=8,
    key_ratio=0.2,
    value_ratio=0.1,
    position_encoding="relative",
    attention_stages=(2, 3, 4),
    attention_pooling=2,
    implementation="auto",
    attention_budget=None,
):
    """Builds the attention-augmented ResNet-152 of the paper's Table 2."""
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
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 152, attention, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def ResNet34(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet34",
    include_preprocessing=False,
):
    """Builds the ResNet-34 that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 34, None, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def ResNet50(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet50",
    include_preprocessing=False,
):
    """Builds the ResNet-50 that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 50, None, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def ResNet101(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet101",
    include_preprocessing=False,
):
    """Builds the ResNet-101 that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 101, None, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def ResNet152(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet152",
    include_preprocessing=False,
):
    """Builds the ResNet-152 that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 152, None, include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def SEResNet34(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="se_resnet34",
    include_preprocessing=False,
):
    """Builds the ResNet-34 with squeeze-and-excitation that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 34, "channels", include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def SEResNet50(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="se_resnet50",
    include_preprocessing=False,
):
    """Builds the ResNet-50 with squeeze-and-excitation that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 50, "channels", include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def SEResNet101(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="se_resnet101",
    include_preprocessing=False,
):
    """Builds the ResNet-101 with squeeze-and-excitation that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 101, "channels", include_top, weights, pooling, classes, classifier_activation, name)


@building.builder
def SEResNet152(  # noqa: N802
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="se_resnet152",
    include_preprocessing=False,
):
    """Builds the ResNet-152 with squeeze-and-excitation that the paper's Table 2 compares with."""
    image = building.image_input(input_tensor, input_shape, IMAGENET, include_top, include_preprocessing)
    return resnet(image, 152, "channels", include_top, weights, pooling, classes, classifier_activation, name)


building.document(
    (
        AAResNet34,
        AAResNet50,
        AAResNet101,
        AAResNet152,
        ResNet34,
        ResNet50,
        ResNet101,
        ResNet152,
        SEResNet34,
        SEResNet50,
        SEResNet101,
        SEResNet152,
    ),
    default_shape=DEFAULT_SHAPE,
    stages="1 to 4",
    output_shape="(batch, ceil(height / 32), ceil(width / 32), 2048), 512 channels for ResNet-34,",
    pyramid='"P2" to "P5"',
    more_arguments="",
)
