"""The colours of pictures are those of their colour bar."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from aa_keras.explain import figures

pytestmark = pytest.mark.jax


def test_colours_are_unmixed_from_half_of_the_largest_value_on(tmp_path):
    """Whatever the image has there; and where there is no attention, the image is seen, darkened."""
    maps = np.zeros((1, 1, 4, 4))
    maps[0, 0, 0, 0], maps[0, 0, 0, 3] = 0.4, 0.2
    unmixed = {tuple((255 * np.array(matplotlib.colormaps["inferno"](value)[:3])).round()) for value in (1.0, 0.5)}
    for brightness in (0, 255):
        image = np.full((4, 4, 3), brightness, np.uint8)
        figures.plot_heads(image, maps, [(2, 2)], "title", tmp_path / "heads.png")
        with Image.open(tmp_path / "heads.png") as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(float)
        panels = pixels[:, : int(0.8 * pixels.shape[1])].reshape(-1, 3)  # without the colour bar
        colors, counts = np.unique(panels, axis=0, return_counts=True)
        frequent = {tuple(color) for color in colors[counts > 300]}
        assert all(any(np.abs(np.subtract(color, each)).max() <= 3 for each in frequent) for color in unmixed)
        darkened = int(figures.DIMMED * brightness)
        assert (darkened,) * 3 in frequent


def test_long_names_are_shortened_and_broken():
    assert figures.shortened("short") == "short"
    assert figures.shortened("a" * 20 + "b" * 20, 11) == "aaaaa…bbbbb"
    assert figures.broken("stage2_block1_conv1 of it", 12) == "stage2_\nblock1_\nconv1 of it"
    assert figures.broken("x" * 40, 11) == "xxxxx…xxxxx"
