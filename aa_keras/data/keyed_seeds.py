"""Augmentation layers of Keras, drawn by a key instead of by a state."""

import keras
import tensorflow as tf


class KeyedSeeds(keras.random.SeedGenerator):
    """The seeds of one call of a layer: a `seed` for layers whose draws must depend on a key alone.

    The seeds of Keras are a state: draws would depend on the progress of a run, and on its threads.

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
    """Returns a function of images and a key that applies a Keras layer to images, within `tf.data`.

    Args:
        layer: an augmentation layer, such as `keras.layers.RandomRotation`, which nothing else may use.
    """
    layer.backend.set_backend("tensorflow")  # the backend of `tf.data`, whatever the backend of training

    def transform(images, key):
        transformation = layer.get_random_transformation(images, training=True, seed=KeyedSeeds(key))
        return layer.transform_images(images, transformation, training=True)

    return transform
