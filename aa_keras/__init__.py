"""Attention Augmented Convolutional Networks (Bello et al., ICCV 2019) for Keras 3.

Importing this package imports Keras and nothing else: it works with any of Keras's backends.
"""

from aa_keras._quiet import quiet_import

with quiet_import():
    import keras  # noqa: F401

from aa_keras import applications, layers
from aa_keras.conversion import augment

__version__ = "0.1.0"

__all__ = ["applications", "augment", "layers"]
