"""Decoding: JPEGs in TensorFlow's graphs, as fast as possible, and every other format in Python."""

import functools
import io
import sys
import warnings

import numpy as np
import simplejpeg
import tensorflow as tf

from aa_keras.data.orientation import orientation_of, turned, turned_back
from aa_keras.data.sixteen_bits import as_8_bits, decode_png_of_16_bits, is_png_of_16_bits

_JPEG = b"\xff\xd8\xff"
_BITS_PER_SAMPLE = 258  # a tag of TIFF
_TOO_LARGE = "it has {:,} pixels, which only a decompression bomb has"


class CorruptImageError(Exception):
    """Bytes that are not an image, or not a whole one; the message says what is wrong with them."""


def is_whole_jpeg(encoded):
    """Returns whether bytes, a string tensor, begin and end as those of a JPEG do."""
    last = tf.minimum(2, tf.strings.length(encoded))
    return tf.io.is_jpeg(encoded) & (tf.strings.substr(encoded, -last, 2) == b"\xff\xd9")


def decode_part_of_jpeg(encoded, box_of, size, channels=3):
    """Decodes as much of a JPEG as is needed for a part of it at a given size.

    The rest of the image is not decoded. A part that is larger than `size` by a factor of 2, 4 or 8 or more is
    decoded at that fraction of its size, which takes a fraction of the time, and averages pixels as resizing should.

    Args:
        encoded: string tensor for which `is_whole_jpeg` is true: this function would not notice that data below the
            part are missing.
        box_of: function of an image's shape that returns a box, as `image_ops.random_box` does.
        size: height and width that the part will be resized to.
        channels: 3, or 1 for shades of gray.

    Returns:
        A uint8 tensor of shape (height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if TensorFlow cannot decode it.
    """
    begin, extent = box_of(tf.io.extract_jpeg_shape(encoded))
    box = tf.concat((begin[:2], extent[:2]), axis=0)

    def decode(ratio):  # which scales the image before it is cropped
        return tf.io.decode_and_crop_jpeg(encoded, box // ratio, channels=channels, ratio=ratio)

    larger = tf.reduce_min(extent[:2]) >= size * tf.constant((2, 4, 8))
    branches = [lambda ratio=ratio: decode(ratio) for ratio in (1, 2, 4, 8)]
    return tf.switch_case(tf.reduce_sum(tf.cast(larger, tf.int32)), branches)


def displayed_and_stored(encoded, is_sound=False, when_dark=None):
    """Decodes an image for boxes, whose pixels are those that are displayed: as its EXIF data ask to turn it.

    The arguments are those of `decode_image`.

    Returns:
        The image as it is displayed and as it is stored, uint8 arrays of shape (height, width, 3), and the orientation,
        from 1 to 8.

    Raises:
        CorruptImageError: as `decode_image` does.
    """
    image = decode_image(encoded, is_sound, when_dark)
    orientation, is_turned = orientation_of(encoded)
    if is_turned:
        return image, turned_back(image, orientation), orientation
    return turned(image, orientation), image, orientation


def decode_image(encoded, is_sound=False, when_dark=None):
    """Decodes an image of any known format.

    The bytes decide the format, not the name of a file: JPEG (grey, RGB or CMYK), PNG (1 to 16 bits, palette), WebP,
    GIF (its first frame), BMP, and whatever else Pillow reads. Transparency is dropped and the orientation in a
    photograph's EXIF data is ignored, as by `keras.utils.load_img` and torchvision's `ImageFolder`.

    Args:
        encoded: bytes.
        is_sound: whether they are known to be a JPEG without `jpeg_damage`.
        when_dark: function to call with the largest value of an image of 16 bits that looks like one of fewer bits, or
            None: see `sixteen_bits.as_8_bits`.

    Returns:
        A uint8 array of shape (height, width, 3).

    Raises:
        CorruptImageError: if the bytes are not an image, or not a whole one, or one of more pixels than Pillow takes.
    """
    if not encoded:
        raise CorruptImageError("it is empty")
    if encoded.startswith(_JPEG):
        image = _decode_flawless_jpeg(encoded)
        if image is not None:
            return image
        damage = None if is_sound else jpeg_damage(encoded)
        if damage is not None:
            raise CorruptImageError(damage)
    # TensorFlow reads the palette of a BMP as grey, and transparent pixels of a GIF as black.
    if not encoded.startswith((b"BM", b"GIF8")):
        _check_pixels(encoded)
        try:
            if is_png_of_16_bits(encoded):
                return decode_png_of_16_bits(encoded, when_dark)
            return np.asarray(tf.io.decode_image(encoded, channels=3, expand_animations=False))
        except tf.errors.OpError:
            pass
    return _decode_with_pillow(encoded, when_dark)


def _decode_flawless_jpeg(encoded):
    """Returns the pixels of a JPEG, checked and decoded in one pass; None if libjpeg has a warning or an error.

    They are those of TensorFlow, which reads on through what is missing.
    """
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(encoded, strict=False)
        if colorspace not in ("YCbCr", "Gray") or height * width > most_pixels():
            return None
        return simplejpeg.decode_jpeg(encoded, "RGB", fastdct=True, fastupsample=False, strict=True)
    except (ValueError, KeyError):
        return None


def to_grey(image):
    """Returns a uint8 image (height, width, 3) in shades of grey, (height, width, 1), as Pillow makes them."""
    return np.asarray(_pillow().fromarray(image).convert("L"))[..., None]


def jpeg_damage(encoded):
    """Returns what is wrong with the bytes of a JPEG that has its end, or None if it is right.

    Decoders fill in grey for data that are missing within a file, with a warning of libjpeg that neither TensorFlow nor
    Pillow reports; simplejpeg makes it an error. This takes three quarters of the time of decoding the whole image.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(encoded, strict=False)
        if height * width > most_pixels():
            return _TOO_LARGE.format(height * width)
        # At an eighth of the size: reading all of the data is what takes time.
        simplejpeg.decode_jpeg(encoded, "GRAY", min_height=1, min_width=1, min_factor=1, strict=True)
    except (ValueError, KeyError) as error:  # most warnings, such as those for superfluous bytes, do not matter
        if "premature end" in str(error).lower():
            return "its data end before the image does"
    return None


def most_pixels():
    """Returns the number of pixels beyond which Pillow takes an image for a decompression bomb."""
    return 2 * (_pillow().MAX_IMAGE_PIXELS or sys.maxsize)


def has_more_pixels(encoded, limit):
    """Whether an image has more than `limit` pixels, as its first bytes say; False for what Pillow cannot open."""
    try:
        with _pillow().open(io.BytesIO(encoded), formats=image_formats()) as image:
            return image.width * image.height > limit
    except _pillow().DecompressionBombError:
        return True
    except Exception:  # decoding words it
        return False


def _check_pixels(encoded):
    """Raises CorruptImageError for an image of more than `most_pixels`, of which only the size is read."""
    try:
        _pillow().open(io.BytesIO(encoded), formats=image_formats()).close()
    except _pillow().DecompressionBombError as error:
        raise CorruptImageError(str(error)) from None
    except Exception:  # TensorFlow may read what Pillow cannot open
        return


@functools.cache
def image_formats():
    """Returns the formats that Pillow reads, without those that need another program or are not images."""
    return tuple(sorted(set(_pillow().OPEN) - {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}))


@functools.cache
def image_extensions():
    """Returns the extensions of image files: ".jpg" and so on, in lower case."""
    extensions = _pillow().registered_extensions()
    return frozenset(extension for extension, name in extensions.items() if name in image_formats())


@functools.cache
def _pillow():
    from PIL import Image

    Image.init()  # all of its formats
    # Photographs of 100 megapixels exist and are read; twice as many are refused.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return Image


def _decode_with_pillow(encoded, when_dark):
    try:
        with _pillow().open(io.BytesIO(encoded), formats=image_formats()) as image:
            if image.mode.startswith("I;16"):
                grey = as_8_bits(np.asarray(image).astype(np.uint16), when_dark=when_dark)
                return np.repeat(grey[..., None], 3, axis=-1)
            if image.mode.startswith(("I", "F")):  # Pillow would clip these to 255 instead of scaling them
                raise CorruptImageError(f"its pixels, of Pillow's mode {image.mode}, are not of 8 or 16 bits")
            pixels = np.asarray(image.convert("RGB"))
            if 16 in getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, ()):  # Pillow keeps the higher 8 bits
                as_8_bits(pixels.astype(np.uint16) * 256 + 255 * (pixels > 0), when_dark=when_dark)
            return pixels
    except CorruptImageError:
        raise
    except Exception as error:  # Pillow's plugins raise errors of many kinds for damaged files
        if type(error).__name__ == "UnidentifiedImageError":
            raise CorruptImageError("it is not an image of a known format") from None
        raise CorruptImageError(" ".join(str(error).split()) or type(error).__name__) from None
