"""Maps over an image, as arrays of pixels: what a page shows."""

import numpy as np
from PIL import Image, ImageDraw

from aa_keras.explain.figures import COLORS, DIMMED

# The color of the query.
QUERY = "#19e3ff"


def enlarged(image: np.ndarray, min_side: int = 320) -> np.ndarray:
    """Returns an image whose pixels are repeated, as often along both axes, until its longer side has `min_side`.

    Args:
        image: uint8 array (height, width, channels), of one channel or three.
        min_side: number of pixels. Larger images stay as they are.

    Returns:
        A uint8 array (factor * height, factor * width, 3).
    """
    factor = -(-min_side // max(image.shape[:2]))
    pixels = np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def overlay(image: np.ndarray, values: np.ndarray, smooth: bool = False) -> np.ndarray:
    """Returns an image in darker grey with values over it, in the colors of `aa_keras.explain.figures`.

    Args:
        image: uint8 array (height, width, 3).
        values: float array (map height, map width), from 0 to 1.
        smooth: whether to interpolate between the values, as for Grad-CAM, or to show the cells of the map.

    Returns:
        A uint8 array (height, width, 3).
    """
    height, width = image.shape[:2]
    resampling = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    resized = Image.fromarray(values.astype(np.float32)).resize((width, height), resampling)
    colors = COLORS(np.asarray(resized))
    grey = DIMMED * image.mean(axis=-1, keepdims=True)
    alpha = colors[..., 3:]
    return np.rint(alpha * 255 * colors[..., :3] + (1 - alpha) * grey).astype(np.uint8)


def with_query(image: np.ndarray, query: tuple[int, int], map_size: tuple[int, int]) -> np.ndarray:
    """Returns an image with a frame around the cell of a map that a query is.

    Args:
        image: uint8 array (height, width, 3).
        query: the row and the column of the cell.
        map_size: numbers of rows and columns of the map.
    """
    edges = [
        (length * index // cells, length * (index + 1) // cells)
        for length, index, cells in zip(image.shape[:2], query, map_size, strict=True)
    ]
    (top, bottom), (left, right) = edges
    picture = Image.fromarray(image)
    thickness = max(2, image.shape[1] // 160)
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), outline=QUERY, width=thickness)
    return np.asarray(picture)
