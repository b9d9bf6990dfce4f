"""Image operations for `tf.data`: pure functions of an image and a seed."""

import tensorflow as tf


def normalize(image, mean, std):
    """Returns (image - mean) / std in float32, channel by channel, for pixels in [0, 255]."""
    return (tf.cast(image, tf.float32) - tf.constant(mean, tf.float32)) / tf.constant(std, tf.float32)


def random_horizontal_flip(image, seed):
    """Mirrors an image left to right in half of all cases.

    Args:
        image: tensor of shape (height, width, channels).
        seed: integer tensor of shape (2,); the same seed gives the same result.
    """
    return tf.image.stateless_random_flip_left_right(image, seed)


def random_crop_from_padded(image, padding, seed):
    """Shifts an image by up to `padding` pixels in each direction, zeros moving in.

    The paper's augmentation for CIFAR-100 (section 4.1): a crop of the image's own size, anywhere in the image padded
    with zeros on all sides.

    Args:
        image: tensor of shape (height, width, channels).
        padding: integer, pixels on each side.
        seed: integer tensor of shape (2,); the same seed gives the same result.
    """
    padded = tf.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    cropped = tf.image.stateless_random_crop(padded, tf.shape(image), seed)
    return tf.ensure_shape(cropped, image.shape)
