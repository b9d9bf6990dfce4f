"""The earlier name of `aa_keras.applications.mnasnet`."""

from .mnasnet import *  # noqa: F403
