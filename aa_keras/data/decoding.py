"""Decoding of images as they occur in the wild, with TensorFlow's kernels and, for what those refuse, with Pillow."""

import io

import numpy as np
import tensorflow as tf

JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


class CorruptImageError(Exception):
    """Bytes that are no image, or not a whole one; its message says what is wrong with them."""


def decode_image(encoded, box_of=None, side=None):
    """Decodes an image, or a part of it.

    What the bytes are decides, not the name of a file: JPEG (grey, RGB or CMYK), PNG (1 to 16 bits, palette), WebP, GIF
    (its first frame), BMP, and whatever else Pillow reads. Transparency is dropped and the orientation in a
    photograph's EXIF data ignored, as `keras.utils.load_img` and torchvision's `ImageFolder` have it.

    It runs eagerly, in Python, so that errors can be caught image by image; the kernels, where the time is spent, run
    without Python's lock.

    Args:
        encoded: bytes.
        box_of: function of the image's shape (height, width, channels) that returns where the part to decode begins,
            (top, left, 0), and its size, (height, width, -1), as `tf.slice` takes them; None for the whole image.
        side: height and width that the part will be resized to: one that is larger by a factor of 2, 4 or 8 or more
            is reduced by that factor, which in a JPEG saves most of the work. None for no reduction.

    Returns:
        A uint8 array of shape (height, width, 3).

    Raises:
        CorruptImageError: if the bytes are no image, or not a whole one.
    """
    if not encoded:
        raise CorruptImageError("it is empty")
    # Where only a part is decoded, nothing tells whether the rest is there: a JPEG without its end is decoded whole.
    if box_of is not None and encoded.startswith(JPEG_START) and encoded.endswith(JPEG_END):
        try:
            return _part_of_jpeg(encoded, box_of, side)
        except tf.errors.InvalidArgumentError:
            pass  # Pillow decides
    image = _whole_image(encoded)
    if box_of is None:
        return image
    (top, left, _), (height, width, _) = (np.asarray(part) for part in box_of(np.array(image.shape, np.int32)))
    return _reduced(image[top : top + height, left : left + width], _reduction(height, width, side))


def _part_of_jpeg(encoded, box_of, side):
    encoded = tf.constant(encoded)
    begin, size = (np.asarray(part)[:2] for part in box_of(tf.io.extract_jpeg_shape(encoded)))
    ratio = _reduction(*size, side)
    # `ratio` scales the image before it is cropped.
    box = np.concatenate((begin, size)) // ratio
    return np.asarray(tf.io.decode_and_crop_jpeg(encoded, box, channels=3, ratio=ratio))


def _reduction(height, width, side):
    """Returns the largest of 8, 4, 2 and 1 by which both lengths can be divided and still be `side` or longer."""
    possible = (ratio for ratio in (8, 4, 2) if side is not None and min(height, width) >= ratio * side)
    return next(possible, 1)


def _reduced(image, ratio):
    """Returns the means of blocks of ratio x ratio pixels, which is what a JPEG decoder's `ratio` comes to."""
    if ratio == 1:
        return image
    height, width = (length // ratio for length in image.shape[:2])
    blocks = image[: height * ratio, : width * ratio].reshape(height, ratio, width, ratio, 3)
    return np.round(blocks.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)


def _whole_image(encoded):
    if not encoded.startswith(b"BM"):  # TensorFlow mistakes the palette of a BMP for grey
        try:
            return np.asarray(tf.io.decode_image(encoded, channels=3, expand_animations=False))
        except tf.errors.OpError:
            pass
    return _with_pillow(encoded)


def _with_pillow(encoded):
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode.startswith(("I", "F")):  # conversion would clip these to 255 instead of scaling them
                raise CorruptImageError(f"its pixels, of Pillow's mode {image.mode}, are not of 8 bits")
            return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError:
        raise CorruptImageError("it is no image of a known format") from None
    except CorruptImageError:
        raise
    except Exception as error:  # Pillow's plugins raise errors of many kinds for damaged files
        raise CorruptImageError(" ".join(str(error).split()) or type(error).__name__) from None
