"""Helpers for tests of exports."""

import importlib.util

import keras
import numpy as np
import pytest

from aa_keras.applications import AAWideResNet
from aa_keras.data import Preprocessing
from aa_keras.export import ClassificationSpec, Servable, saved_model

# The spec of networks for 8x6 pixels and four classes.
PREPROCESSING = Preprocessing((130.0, 120.0, 5.0), (70.0, 60.0, 110.0), image_size=(8, 6), central_fraction=1.0)
NAMES = ("apple", "maple tree", "Ölbaum", "worm")
OUTPUTS = {"saved_model": "exported", "onnx": "exported.onnx", "litert": "exported.tflite"}


def servable(model, preprocessing, class_names, image_shape=None):
    """The `Servable` of a classifier."""
    if image_shape is None:
        image_shape = tuple(model.input_shape[1:]) if preprocessing.image_size is None else (None, None, 3)
    return Servable(model, ClassificationSpec(tuple(class_names), image_shape, preprocessing))


def write_saved_model(model, preprocessing, class_names, path):
    """Writes one as a SavedModel."""
    saved_model.write(servable(model, preprocessing, class_names), path)


def randomized(model, scale=0.02):
    """The same network with weights that make a difference."""
    noise = np.random.default_rng(0)
    model.set_weights([weight + noise.normal(scale=scale, size=weight.shape) for weight in model.get_weights()])
    return model


def small_network(size=(8, 6), classes=4, **arguments):
    """A small network, augmented in its first stage, whose weights, relative positions included, make a difference."""
    arguments = {"attention_stages": (1,), **arguments}
    return randomized(AAWideResNet(10, 1, input_shape=(*size, 3), classes=classes, **arguments))


def blank_classifier(image_shape=(8, 6, 3), classes=4):
    """The smallest classifier there is."""
    pooled = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input(image_shape), pooled, keras.layers.Dense(classes, activation="softmax")])


# The formats, and what has to be installed for each.
NEEDED = {"saved_model": (), "onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}


def marked(name):
    """A format, skipped with a reason if its extra is not installed."""
    missing = [package for package in NEEDED[name] if importlib.util.find_spec(package) is None]
    skipped = pytest.mark.skipif(bool(missing), reason=f"the extra `{name}` is not installed: {', '.join(missing)}")
    return pytest.param(name, marks=skipped)


_, ONNX, LITERT = FORMATS = [marked(name) for name in NEEDED]


def load(export_format, path):
    return importlib.import_module(f"aa_keras.export.{export_format}").load(str(path))
