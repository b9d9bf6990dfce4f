"""Image operations for `tf.data`: pure functions of an image and a seed."""

import numpy as np
import tensorflow as tf

# Evaluation looks at the central 224 of 256 pixels, whatever the size of the network's input.
CENTRAL_FRACTION = 224 / 256
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}
_WHOLE_IMAGE = np.array([[[0, 0, 1, 1]]], np.float32)


def normalize(image, mean, std):
    """Returns (image - mean) / std in float32, channel by channel, for pixels in [0, 255]."""
    mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    if image.shape[-3:].is_fully_defined():
        # TensorFlow takes five times as long for the same result if it must broadcast three numbers over all pixels.
        mean, std = (np.broadcast_to(values, image.shape[-3:]) for values in (mean, std))
    return (tf.cast(image, tf.float32) - mean) / std


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


def random_box(shape, seed, smallest_area=0.08):
    """Draws the part of an image to train on: the Inception crop.

    Szegedy et al., arXiv:1409.4842, as TensorFlow draws it: the ratio of width to height is uniform between 3/4 and
    4/3; then the height is uniform between what an area of `smallest_area` and the whole image allow. An image too
    long or too narrow for that is taken whole.

    Args:
        shape: int32 tensor (height, width, channels), the image's.
        seed: integer tensor of shape (2,); the same seed gives the same result.
        smallest_area: float above 0 and up to 1, the least share of the image.

    Returns:
        Int32 tensors (top, left, 0) and (height, width, -1): where it begins and its size, as `tf.slice` takes them.
    """
    # The function in `tf.image` does the same but takes three times as long.
    begin, size, _ = tf.raw_ops.StatelessSampleDistortedBoundingBox(
        image_size=shape,
        bounding_boxes=_WHOLE_IMAGE,
        min_object_covered=0.0,
        seed=seed,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(smallest_area, 1.0),
        max_attempts=10,
    )
    return begin, size


def random_resized_crop(image, size, seed, smallest_area=0.08):
    """Cuts the Inception crop (see `random_box`) out of an image and resizes it to `size` x `size`, in float32."""
    return resize(tf.slice(image, *random_box(tf.shape(image), seed, smallest_area)), size, antialias=True)


def resize(image, size, antialias=False):
    """Resizes an image to `size` x `size` bilinearly, in float32.

    Antialiasing takes longer than decoding a photograph. An image of less than twice the size needs none: nearly all
    of its pixels contribute to the result.
    """
    resized = tf.image.resize(image, (size, size), antialias=antialias)
    return tf.ensure_shape(resized, (*image.shape[:-3], size, size, image.shape[-1]))


def resize_and_centre_crop(image, size, central_fraction=CENTRAL_FRACTION, interpolation="bilinear"):
    """Resizes an image so that the centre, `central_fraction` of its shorter side, fills `size`, and cuts that out.

    Both are one step, so that only the result is computed, with antialiasing as in Pillow. The centre of the image is
    the centre of the result, to a fraction of a pixel.

    Args:
        image: tensor of shape (height, width, channels) or (batch, height, width, channels), of any height and width.
        size: height and width of the result, an integer or a pair.
        central_fraction: float above 0 and up to 1.
        interpolation: "bilinear" or "bicubic".

    Returns:
        A float32 tensor of shape (*size, channels), or (batch, *size, channels).
    """
    image = tf.convert_to_tensor(image)
    images = image if image.shape.rank == 4 else image[None]
    shape = tf.cast(tf.shape(images)[1:3], tf.float32)
    size = np.broadcast_to(size, 2)
    scale = tf.reduce_max(np.round(size / central_fraction).astype(np.float32) / shape)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=size,
        scale=tf.fill((2,), scale),
        translation=(size - scale * shape) / 2,
        kernel_type=_KERNELS[interpolation],
        antialias=True,
    )
    resized = tf.ensure_shape(resized, (images.shape[0], *size, images.shape[-1]))
    return resized if image.shape.rank == 4 else resized[0]
