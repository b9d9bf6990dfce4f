"""Networks for the page, with files of images."""

import functools

import numpy as np
from PIL import Image

from aa_keras.data import DetectionPreprocessing, Preprocessing
from aa_keras.export import ClassificationSpec, DetectionSpec, Predictor, Servable

from .explain import shifting_network

NAMES = ("cat", "dog", "Ölbaum")
# The box that `box_predictor` finds in each image of 64x128 pixels: top, left, bottom, right; and one of a low score.
BOXES = np.float32([[16, 32, 48, 96], [4, 4, 12, 12]])


@functools.cache
def shifting_predictor(names=NAMES):
    """Of the network of 8x12 pixels whose second head looks `SHIFT` away; the same at each call."""
    preprocessing = Preprocessing((0.0,) * 3, (255.0,) * 3, image_size=(8, 12), central_fraction=1.0)
    return Servable(shifting_network(), ClassificationSpec(names, (8, 12, 3), preprocessing)).predictor()


def box_predictor():
    """A detector of two classes, as an export is."""
    spec = DetectionSpec(NAMES[:2], (64, 128, 3), DetectionPreprocessing((0.0,) * 3, (1.0,) * 3, (64, 128)))

    def run(images):
        shape = (len(images), 1)
        return {
            "boxes": np.tile(BOXES, (*shape, 1)),
            "confidence": np.tile(np.float32([0.9, 0.2]), shape),
            "labels": np.tile([1, 0], shape),
            "num_detections": np.full(len(images), 2),
        }

    return Predictor(spec, run)


def write_image(path, height=8, width=12, seed=0):
    """Writes noise as a PNG file, and returns its path as text."""
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return str(path)
