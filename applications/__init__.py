"""Builders of the paper's networks, used as those of `keras.applications`."""

from ._building import pyramid_outputs  # noqa: F401
from ._catalogue import create_model, list_models  # noqa: F401
from .mnasnet import AAMnasNet, MnasNet
from .resnet import (
    AAResNet,
    AAResNet34,
    AAResNet50,
    AAResNet101,
    AAResNet152,
    ResNet,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
    SEResNet,
    SEResNet34,
    SEResNet50,
    SEResNet101,
    SEResNet152,
)
from .wide_resnet import (
    AAWideResNet,
    AAWideResNet16_4,
    AAWideResNet28_10,
    GEWideResNet,
    GEWideResNet28_10,
    SEWideResNet,
    SEWideResNet28_10,
    WideResNet,
    WideResNet16_4,
    WideResNet28_10,
)

# Every builder, and nothing else: a config names one of these. Beside them there are the functions `list_models`,
# `create_model` and `pyramid_outputs`.
__all__ = [
    "AAMnasNet",
    "AAResNet",
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
    "ResNet",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "SEResNet",
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
