"""Attention Augmented Convolutional Networks (Bello et al., ICCV 2019) for Keras 3.

Importing this package imports Keras and nothing else: it works with any of Keras's backends.
"""

import os

from aa_keras._startup import is_program, prepare_program, quiet_import

__version__ = "0.2.0"
__all__ = ["applications", "augment", "layers", "push_to_hub", "save_pretrained"]

# In a checkout, applications/ is next to this folder, with a link to it in here. This finds it where there are no
# links (on Windows, in a source distribution).
if not os.path.isdir(os.path.join(os.path.dirname(__file__), "applications")):
    __path__.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

if is_program():
    prepare_program()  # which imports Keras once it has read its flags
else:
    with quiet_import():
        import keras  # noqa: F401

    from aa_keras import applications, layers
    from aa_keras.applications.weights.sharing import push_to_hub, save_pretrained
    from aa_keras.conversion import augment
