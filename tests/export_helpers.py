"""What tests of exports share."""

import keras
import numpy as np

from aa_keras.applications import AAWideResNet
from aa_keras.export import Servable, ServingSpec, saved_model


def servable(model, preprocessing, class_names, image_shape=None):
    """A classifier with what it takes to be served."""
    if image_shape is None:
        image_shape = tuple(model.input_shape[1:]) if preprocessing.image_size is None else (None, None, 3)
    return Servable(model, ServingSpec("classification", tuple(class_names), image_shape, preprocessing))


def write_saved_model(model, preprocessing, class_names, path):
    """Writes one as a SavedModel."""
    saved_model.write(servable(model, preprocessing, class_names), path)


def randomized(model, scale=0.02):
    """The same network with weights that make a difference."""
    noise = np.random.default_rng(0)
    model.set_weights([weight + noise.normal(scale=scale, size=weight.shape) for weight in model.get_weights()])
    return model


def small_network(size=(8, 6), classes=4, **arguments):
    """A small augmented network whose weights, relative positions included, make a difference."""
    return randomized(AAWideResNet(10, 1, input_shape=(*size, 3), classes=classes, **arguments))


def blank_classifier(image_shape=(8, 6, 3), classes=4):
    """The smallest classifier there is."""
    pooled = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input(image_shape), pooled, keras.layers.Dense(classes, activation="softmax")])
