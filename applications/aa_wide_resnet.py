"""The earlier name of `aa_keras.applications.wide_resnet`."""

from .wide_resnet import *  # noqa: F403
