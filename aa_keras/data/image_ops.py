"""Image operations for `tf.data`: pure functions of an image and a seed."""

import tensorflow as tf

# Evaluation looks at the central 224 of 256 pixels, whatever the size of the network's input.
CENTRAL_FRACTION = 224 / 256


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


def random_box(height, width, seed, smallest_area=0.08):
    """Draws the part of an image to train on: the crop of Inception, of any area from `smallest_area` up.

    Szegedy et al., arXiv:1409.4842: the area uniform between `smallest_area` and 1 of the image's, the ratio of width
    to height between 3/4 and 4/3. An image too long or too narrow for that is taken whole.

    Args:
        height: height of the image, an integer or a tensor.
        width: width of the image.
        seed: integer tensor of shape (2,); the same seed gives the same result.
        smallest_area: float above 0 and up to 1.

    Returns:
        An int32 tensor of (top, left, height, width).
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        (height, width, 3),
        bounding_boxes=[[[0.0, 0.0, 1.0, 1.0]]],
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(smallest_area, 1.0),
        max_attempts=10,
    )
    return tf.concat([begin[:2], size[:2]], axis=0)


def resize(image, size):
    """Resizes an image to `size` x `size` bilinearly, in float32.

    Without antialiasing, which costs more than decoding: it is for images that were decoded at less than twice `size`
    (see `aa_keras.data.decoding`), of which bilinear interpolation leaves out few pixels.
    """
    resized = tf.image.resize(image, (size, size))
    return tf.ensure_shape(resized, (*image.shape[:-3], size, size, image.shape[-1]))


def resize_and_centre_crop(image, size, shorter_side=None):
    """Resizes an image so that its shorter side is `size` * 256 / 224 pixels, and cuts out the centre.

    Both in one step, so that only what remains is computed: bilinear with antialiasing, as Pillow does it. The centre
    of the image is the centre of the result, to a fraction of a pixel.

    Args:
        image: tensor of shape (height, width, channels) or (batch, height, width, channels), of any height and width.
        size: height and width of the result.
        shorter_side: shorter side of the whole image, where `image` is only the part of it that `central_box` names.

    Returns:
        A float32 tensor of shape (size, size, channels), or (batch, size, size, channels).
    """
    images = image if image.shape.rank == 4 else image[None]
    shape = tf.cast(tf.shape(images)[1:3], tf.float32)
    if shorter_side is None:
        shorter_side = tf.reduce_min(shape)
    scale = _resized_shorter_side(size) / tf.cast(shorter_side, tf.float32)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=(size, size),
        scale=tf.fill((2,), scale),
        translation=(size - scale * shape) / 2,
        kernel_type="triangle",
        antialias=True,
    )
    resized = tf.ensure_shape(resized, (*images.shape[:1], size, size, images.shape[-1]))
    return resized if image.shape.rank == 4 else resized[0]


def central_box(height, width, size):
    """Returns the part of an image that decides what `resize_and_centre_crop` returns: the rest need not be decoded.

    Args:
        height: height of the image, an integer.
        width: width of the image, an integer.
        size: height and width of the result of `resize_and_centre_crop`.

    Returns:
        Integers (top, left, height, width), of a box around the image's centre.
    """
    pixels_of_source = min(height, width) / _resized_shorter_side(size)  # to a pixel of the result
    # Interpolation reaches beyond the crop, by a pixel of whichever image has the larger ones; and the decoder
    # interpolates the colours of a JPEG between neighbours at distance 2.
    half = size / 2 * pixels_of_source + max(1.0, pixels_of_source) + 4
    top, left = (max(0, int(side / 2 - half)) for side in (height, width))
    return top, left, height - 2 * top, width - 2 * left


def _resized_shorter_side(size):
    return round(size / CENTRAL_FRACTION)
