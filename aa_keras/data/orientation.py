"""The orientation of photographs: how their EXIF data ask to display them."""

import io

import numpy as np
from PIL import Image

_TAG = 0x0112
# How stored pixels become those that are displayed, by the value of the tag.
_TURNS = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}
# The orientations that are not undone by themselves.
_INVERSE = {6: 8, 8: 6}


def turned(image, orientation):
    """Returns an array (height, width, channels) of stored pixels as it is displayed."""
    return np.ascontiguousarray(_TURNS[orientation](image))


def turned_back(image, orientation):
    """Returns the stored pixels of an image as it is displayed."""
    return turned(image, _INVERSE.get(orientation, orientation))


def orientation_of(encoded):
    """Returns the orientation of an encoded image, 1 to 8, and whether Pillow turns it when it decodes it.

    Images without EXIF data, or that Pillow cannot open, have the orientation 1.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return _orientation(image)
    except Exception:  # Pillow's plugins raise errors of many kinds
        return 1, False


def displayed_size(encoded):
    """Returns the (height, width) of an encoded image as it is displayed, which Pillow must be able to open."""
    with Image.open(io.BytesIO(encoded)) as image:
        orientation, is_turned = _orientation(image)
        width, height = image.size
    return (width, height) if orientation >= 5 and not is_turned else (height, width)


def _orientation(image):
    orientation = image.getexif().get(_TAG, 1)
    return (orientation if orientation in _TURNS else 1), image.format == "TIFF"
