"""Color jitter and random erasing, made of Keras layers."""

import keras
import tensorflow as tf

from aa_keras.data.keyed_seeds import keyed


class ColorJitter:
    """Changes brightness, contrast and, of color images, saturation, in this order.

    `keras.layers.RandomColorJitter` has the same layers, and draws from their states whatever its seed.

    Args:
        strength: largest change, up to 1: `strength` times the range is added to or subtracted from brightness, and
            contrast and saturation are multiplied by 1 - strength to 1 + strength.
        channels: 1 or 3.
    """

    def __init__(self, strength, channels):
        layers = [
            keras.layers.RandomBrightness(strength, (0, 1)),
            keras.layers.RandomContrast((strength, strength), (0, 1)),
        ]
        if channels == 3:
            # Its factor f means f / (1 - f) times the saturation.
            factors = [factor / (1 + factor) for factor in (1 - strength, 1 + strength)]
            layers.append(keras.layers.RandomSaturation(factors, (0, 1)))
        self._operations = [keyed(layer) for layer in layers]

    def __call__(self, image, key):
        """Returns the changed image, float32 from 0 to 255, of an image (height, width, channels) from 0 to 255.

        The key, an integer tensor of shape (2,), alone decides the draws.
        """
        images = tf.cast(image, tf.float32)[tf.newaxis] / 255
        for number, operation in enumerate(self._operations):
            images = tf.clip_by_value(operation(images, tf.random.fold_in(key, number)), 0.0, 1.0)
        return tf.ensure_shape(255 * images[0], image.shape)


class RandomErasing:
    """Sets a rectangle of an image to 0 (Zhong et al., AAAI 2020), in a share of all images.

    Args:
        share: the share, from 0 to 1.
    """

    def __init__(self, share):
        self._erase = keyed(keras.layers.RandomErasing((share, share), fill_value=0.0))

    def __call__(self, image, key):
        """Returns the image of shape (height, width, channels) in float32, erased as the key decides."""
        erased = self._erase(tf.cast(image, tf.float32)[tf.newaxis], key)
        return tf.ensure_shape(erased[0], image.shape)
