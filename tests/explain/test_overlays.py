"""Maps over images, pixel for pixel."""

import numpy as np
import pytest

from aa_keras.explain.figures import COLORS, DIMMED
from aa_keras.explain.overlays import enlarged, overlay, with_query

CYAN = (0x19, 0xE3, 0xFF)


def test_pixels_are_repeated():
    image = np.arange(12, dtype=np.uint8).reshape(2, 6, 1)
    large = enlarged(image, 20)
    assert large.shape == (8, 24, 3)  # the longer side has at least 20
    for y, x in np.ndindex(8, 24):
        assert (large[y, x] == image[y // 4, x // 4, 0]).all()
    color = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(enlarged(color, 3), color)


def test_a_map_has_the_colors_of_the_figures_over_a_grey_image():
    image = np.zeros((6, 8, 3), np.uint8)
    image[..., 0] = 240  # whose mean is 80
    values = np.array([[0, 0.25], [0.5, 1]])
    drawn = overlay(image, values)
    assert drawn.shape == image.shape
    for row, column in np.ndindex(2, 2):
        red, green, blue, alpha = COLORS(values[row, column])
        expected = [alpha * 255 * channel + (1 - alpha) * DIMMED * 80 for channel in (red, green, blue)]
        cell = drawn[3 * row : 3 * row + 3, 4 * column : 4 * column + 4]
        np.testing.assert_allclose(cell.reshape(-1, 3), np.broadcast_to(expected, (12, 3)), atol=0.51)


def test_a_smooth_map_is_interpolated():
    image, values = np.zeros((8, 8, 3), np.uint8), np.array([[0, 1], [0, 1]])
    assert len(np.unique(overlay(image, values)[0], axis=0)) == 2
    assert len(np.unique(overlay(image, values, smooth=True)[0], axis=0)) > 2


@pytest.mark.parametrize("query", [(0, 0), (1, 1), (3, 2)])
def test_the_query_has_a_frame_around_its_cell(query):
    """Of a map that does not divide the image: 4x3 cells in 98x100 pixels."""
    image = np.zeros((98, 100, 3), np.uint8)
    marked = (with_query(image, query, (4, 3)) == CYAN).all(axis=-1)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    top, bottom = 98 * query[0] // 4, 98 * (query[0] + 1) // 4 - 1
    left, right = 100 * query[1] // 3, 100 * (query[1] + 1) // 3 - 1
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (top, bottom, left, right)
    assert not marked[top + 3 : bottom - 2, left + 3 : right - 2].any()
    assert not image.any()  # which it does not change
