"""RandAugment, made of Keras layers for single operations."""

import functools

import keras
import tensorflow as tf

from aa_keras.data.keyed_seeds import keyed

_GREY = 128.0  # the value of pixels beyond an image


class RandAugment:
    """RandAugment (Cubuk et al., NeurIPS 2020): each image goes through some operations, drawn with replacement.

    The operations are Keras layers, drawn in both directions up to the range that they have in that paper at the
    magnitude 10 of 10. Only solarization has the range of its Keras layer, which takes no other.
    `keras.layers.RandAugment` has one factor for all operations, which turns images by up to that share of a full
    circle; it draws from a state whatever its seed, and computes every operation to keep a few.

    Args:
        operations: number of operations on an image, at least 1.
        magnitude: strength of the operations, from 0 to 1. At 1 images are turned by up to 30 degrees, sheared and
            shifted by up to 0.3 of their size, and posterized to 4 bits; contrast, colour and sharpness change by up
            to a factor of 0.9, brightness by 0.4 of the range.
    """

    def __init__(self, operations, magnitude):
        self.operations = operations
        self.magnitude = magnitude
        around = (-0.3 * magnitude, 0.3 * magnitude)
        filled = {"fill_mode": "constant", "fill_value": _GREY}
        bits = 8 - round(4 * magnitude)
        self._choices = [
            keyed(layer)
            for layer in (
                keras.layers.AutoContrast((0, 255)),
                keras.layers.Equalization((0, 255)),
                keras.layers.RandomRotation(30 / 360 * magnitude, **filled),
                keras.layers.RandomShear(0.3 * magnitude, 0.0, **filled),
                keras.layers.RandomShear(0.0, 0.3 * magnitude, **filled),
                keras.layers.RandomTranslation(around, 0.0, **filled),
                keras.layers.RandomTranslation(0.0, around, **filled),
                keras.layers.RandomPosterization((bits, bits), (0, 255)),
                keras.layers.RandomContrast((0.9 * magnitude, 0.9 * magnitude), (0, 255)),
                keras.layers.RandomColorDegeneration((0.0, 0.9 * magnitude), (0, 255)),
                keras.layers.RandomSharpness((0.5 - 0.45 * magnitude, 0.5 + 0.45 * magnitude), (0, 255)),
                keras.layers.RandomBrightness(0.4 * magnitude, (0, 255)),
            )
        ]
        self._choices.append(lambda images, _: images)

    def __call__(self, image, key):
        """Returns the augmented image.

        Args:
            image: tensor of shape (height, width, 3) with values in [0, 255].
            key: integer tensor of shape (2,), which alone decides the draws.

        Returns:
            A float32 tensor of the same shape, its values in the same range.
        """
        images = tf.cast(image, tf.float32)[tf.newaxis]
        for step in range(self.operations):
            choice_key, operation_key = tf.unstack(tf.random.split(tf.random.fold_in(key, step), 2))
            choice = tf.random.stateless_uniform((), choice_key, 0, len(self._choices), tf.int32)
            branches = [functools.partial(_applied, operation, images, operation_key) for operation in self._choices]
            images = tf.switch_case(choice, branches)
        return tf.ensure_shape(images[0], image.shape)


def _applied(operation, images, key):
    return tf.clip_by_value(tf.cast(operation(images, key), tf.float32), 0.0, 255.0)
