"""Decoding: of JPEGs in TensorFlow's graphs, as fast as can be, and of whatever else occurs in the wild in Python."""

import io

import numpy as np
import tensorflow as tf


class CorruptImageError(Exception):
    """Bytes that are no image, or not a whole one; its message says what is wrong with them."""


def is_whole_jpeg(encoded):
    """Returns whether bytes, a string tensor, begin and end as those of a JPEG do."""
    last = tf.minimum(2, tf.strings.length(encoded))
    return tf.io.is_jpeg(encoded) & (tf.strings.substr(encoded, -last, 2) == b"\xff\xd9")


def decode_part_of_jpeg(encoded, box_of, size):
    """Decodes as much of a JPEG as is needed for a part of it at some size.

    What lies beside the part is not decoded; and a part that is larger than `size` by a factor of 2, 4 or 8 or more is
    decoded at that fraction of its size, which costs a fraction of the time, and averages pixels as resizing should.

    Args:
        encoded: string tensor, for which `is_whole_jpeg`: nothing here would tell that what lies below the part is
            missing.
        box_of: function of an image's shape that returns a box, as `image_ops.random_box` does.
        size: height and width that the part is to be resized to.

    Returns:
        A uint8 tensor of shape (height, width, 3).

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if TensorFlow cannot decode it.
    """
    begin, extent = box_of(tf.io.extract_jpeg_shape(encoded))
    box = tf.concat((begin[:2], extent[:2]), axis=0)

    def decode(ratio):  # which scales the image before it is cropped
        return tf.io.decode_and_crop_jpeg(encoded, box // ratio, channels=3, ratio=ratio)

    larger = tf.reduce_min(extent[:2]) >= size * tf.constant((2, 4, 8))
    branches = [lambda ratio=ratio: decode(ratio) for ratio in (1, 2, 4, 8)]
    return tf.switch_case(tf.reduce_sum(tf.cast(larger, tf.int32)), branches)


def decode_image(encoded):
    """Decodes an image of any format that is met.

    What the bytes are decides, not the name of a file: JPEG (grey, RGB or CMYK), PNG (1 to 16 bits, palette), WebP, GIF
    (its first frame), BMP, and whatever else Pillow reads. Transparency is dropped and the orientation in a
    photograph's EXIF data ignored, as `keras.utils.load_img` and torchvision's `ImageFolder` have it.

    Args:
        encoded: bytes.

    Returns:
        A uint8 array of shape (height, width, 3).

    Raises:
        CorruptImageError: if the bytes are no image, or not a whole one.
    """
    if not encoded:
        raise CorruptImageError("it is empty")
    if not encoded.startswith(b"BM"):  # TensorFlow takes the palette of a BMP for grey
        try:
            return np.asarray(tf.io.decode_image(encoded, channels=3, expand_animations=False))
        except tf.errors.OpError:
            pass
    return _decode_with_pillow(encoded)


def _decode_with_pillow(encoded):
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would clip these to 255 instead of scaling them
                raise CorruptImageError(f"its pixels, of Pillow's mode {image.mode}, are not of 8 bits")
            return np.asarray(image.convert("RGB"))
    except CorruptImageError:
        raise
    except UnidentifiedImageError:
        raise CorruptImageError("it is no image of a known format") from None
    except Exception as error:  # Pillow's plugins raise errors of many kinds for damaged files
        raise CorruptImageError(" ".join(str(error).split()) or type(error).__name__) from None
