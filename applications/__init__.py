"""Builders of the paper's networks, used as those of `keras.applications`."""

from aa_keras.applications._building import pyramid_outputs  # noqa: F401
from aa_keras.applications.aa_mnasnet import AAMnasNet, MnasNet
from aa_keras.applications.aa_resnet import (
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
)
from aa_keras.applications.aa_wide_resnet import (
    AAWideResNet,
    AAWideResNet28_10,
    GEWideResNet,
    GEWideResNet28_10,
    SEWideResNet,
    SEWideResNet28_10,
    WideResNet,
    WideResNet28_10,
)
from aa_keras.applications.wide_resnet16_4 import AAWideResNet16_4, WideResNet16_4

# Every builder, and nothing else: a config names one of these. There is the function `pyramid_outputs` beside them.
__all__ = [
    "AAMnasNet",
    "AAResNet34",
    "AAResNet50",
    "AAResNet101",
    "AAResNet152",
    "AAWideResNet",
    "AAWideResNet16_4",
    "AAWideResNet28_10",
    "GEWideResNet",
    "GEWideResNet28_10",
    "MnasNet",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "SEResNet34",
    "SEResNet50",
    "SEResNet101",
    "SEResNet152",
    "SEWideResNet",
    "SEWideResNet28_10",
    "WideResNet",
    "WideResNet16_4",
    "WideResNet28_10",
]
