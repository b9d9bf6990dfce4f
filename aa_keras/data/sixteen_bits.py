"""Images of 16 bits: how they become images of 8 bits."""

import struct

import numpy as np
import tensorflow as tf

_PNG = b"\x89PNG\r\n\x1a\n"
# The number of channels of a colour type of PNG, without transparency.
_CHANNELS = {0: 1, 2: 3, 4: 1, 6: 3}
# Data of this many bits are nearly black if they are taken for 16 bits.
_FEW_BITS = 14


def is_png_of_16_bits(encoded):
    """Whether bytes are a PNG of 16 bits for each value."""
    return encoded[:8] == _PNG and encoded[24:25] == b"\x10"


def decode_png_of_16_bits(encoded, when_dark=None):
    """Decodes a PNG of 16 bits: see `as_8_bits`.

    Args:
        encoded: bytes.
        when_dark: see `as_8_bits`.

    Returns:
        A uint8 array of shape (height, width, 3).
    """
    values = tf.io.decode_png(encoded, channels=3, dtype=tf.uint16).numpy()
    return as_8_bits(values, _significant_bits(encoded), when_dark)


def as_8_bits(values, bits=None, when_dark=None):
    """Returns values of 16 bits as a uint8 array.

    PNG has data of 10 to 14 bits scaled to all of 16 bits, and a chunk sBIT with the number of bits. Cameras and
    microscopes often write them as they are. These are recognized by values in the lowest bits, which scaled data do
    not have as long as they are that dark.

    Args:
        values: uint16 array.
        bits: the number of significant bits that the file names, or None.
        when_dark: function to call with the largest value if the file does not name the bits, and data of 14 bits or
            fewer would look like these; or None.
    """
    largest = int(values.max(initial=0))
    if bits is None:
        if 0 < largest < 2**_FEW_BITS and when_dark is not None:
            when_dark(largest)
    elif largest < 2**bits and np.any(values & (2 ** (16 - bits) - 1)):
        return ((values.astype(np.uint32) << 8) >> bits).astype(np.uint8)
    return (values >> 8).astype(np.uint8)


def darkness(name, largest):
    """Words that an image looks nearly black because of the range of its values."""
    return (
        f"{name} is nearly black: the brightest of its values is {largest} of 65535. If its data have fewer than 16 "
        "bits, scale them, or write their number into the PNG's chunk sBIT. Further images like this are not named"
    )


def _significant_bits(encoded):
    """Returns the number of significant bits in the chunk sBIT of a PNG, or None if it has none of fewer than 16."""
    position = 8
    while position + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, position)
        if kind in (b"IDAT", b"IEND"):
            return None
        if kind == b"sBIT":
            bits = encoded[position + 8 : position + 8 + min(length, _CHANNELS.get(encoded[25], 1))]
            return max(bits) if bits and 0 < max(bits) < 16 else None
        position += 12 + length
    return None
