"""Keras's layers of augmentation, drawn by a key instead of by a state."""

import keras
import tensorflow as tf


class KeyedSeeds(keras.random.SeedGenerator):
    """The seeds of one call of a layer: its `seed` where a key alone shall decide what it draws.

    Those of Keras are a state, so that what is drawn would depend on how far a run has come, and on its threads.

    Args:
        key: integer tensor of shape (2,).
    """

    def __init__(self, key):
        self._key = key
        self._drawn = 0

    def next(self, ordered=True):
        """Returns the seed of the next draw, a tensor of shape (2,)."""
        self._drawn += 1
        return tf.random.fold_in(self._key, self._drawn)


def keyed(layer):
    """Returns a function of images and a key that does what a layer of Keras's does to images, within `tf.data`.

    Args:
        layer: a layer of augmentation, such as `keras.layers.RandomRotation`; for this alone from now on.
    """
    layer.backend.set_backend("tensorflow")  # that of `tf.data`, whatever trains

    def transform(images, key):
        transformation = layer.get_random_transformation(images, training=True, seed=KeyedSeeds(key))
        return layer.transform_images(images, transformation, training=True)

    return transform
