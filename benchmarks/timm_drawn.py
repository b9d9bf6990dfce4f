"""Random weights and images to compare with timm's networks, the same with timm and without."""

import zlib

import numpy as np

# The image size of the logits in tests/applications/timm/.
FIXTURE_SIZE, FIXTURE_CLASSES = (64, 96), 10


def drawn_state(shapes):
    """Returns a tensor for each name and shape: kernels with He initialization, batch statistics other than 0 and 1."""
    state = {}
    for name, shape in shapes.items():
        generator = np.random.default_rng(zlib.crc32(name.encode()))
        if len(shape) > 1:
            values = generator.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
        elif name.endswith("running_var"):
            values = generator.uniform(2, 6, shape)
        elif name.endswith("weight"):
            values = generator.uniform(0.5, 1.5, shape)
        else:
            values = generator.uniform(-0.5, 0.5, shape)
        state[name] = values.astype(np.float32)
    return state


def drawn_images(height, width):
    """Returns two images, normalized."""
    return np.random.default_rng(0).normal(size=(2, height, width, 3)).astype(np.float32)
