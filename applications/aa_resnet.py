"""The earlier name of `aa_keras.applications.resnet`."""

from .resnet import *  # noqa: F403
