"""Boxes drawn into images."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from aa_keras.explain import boxes


@pytest.mark.parametrize(("top", "place"), [(30, "top"), (60, "bottom")])
def test_a_name_is_above_its_box_unless_it_would_leave_the_image(top, place):
    axes = Figure().add_subplot()
    boxes.draw_box(axes, (top, 10, 90, 90), 1, "cat 0.90", font_size=20)
    (text,) = axes.texts
    assert (text.get_va(), text.get_fontsize()) == (place, 20)
    assert axes.patches[0].get_bbox().bounds == (10, top, 80, 90 - top)


@pytest.mark.parametrize(("shape", "size"), [((64, 48), 5), ((480, 640), 8), ((1700, 900), 20)])
def test_names_can_be_read_in_images_of_any_size(shape, size, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(boxes, "draw_box", lambda *_, font_size: sizes.append(font_size))
    outputs = {"boxes": np.float32([[1, 2, 3, 4]]), "confidence": [0.9], "labels": [0]}
    boxes.draw_boxes(np.zeros((*shape, 3), np.uint8), outputs, ["cat"], tmp_path / "drawn.png")
    assert sizes == [size]
