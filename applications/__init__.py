"""Builders of the paper's networks, used as those of `keras.applications`."""

from aa_keras.applications.aa_resnet import AAResNet50, ResNet50
from aa_keras.applications.aa_wide_resnet import AAWideResNet, AAWideResNet28_10, WideResNet, WideResNet28_10

# Every builder, and nothing else: a config names one of these.
__all__ = ["AAResNet50", "AAWideResNet", "AAWideResNet28_10", "ResNet50", "WideResNet", "WideResNet28_10"]
