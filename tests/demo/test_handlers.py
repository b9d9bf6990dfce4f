"""What the page's events show, without a browser."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
from helpers.demo import NAMES, box_predictor, shifting_predictor, write_image

from aa_keras.data import Preprocessing
from aa_keras.demo import PageFunctions
from aa_keras.export import Predictor, ServingSpec

pytest.importorskip("gradio")
from aa_keras.demo.handlers import Handlers
from aa_keras.demo.page import build_page


def handlers_of(predictor):
    return Handlers(PageFunctions(predictor))


def uploaded(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return uploaded(write_image(tmp_path_factory.mktemp("images") / "noise.png"))


def shown(update):
    """The text of a message, and whether it is visible."""
    return update["value"] if isinstance(update, dict) else update.value, update.visible


def test_an_image_has_classes_and_no_message(image):
    message, classes, rows, boxes, *explained = handlers_of(shifting_predictor()).show(image, 0.5)
    assert shown(message) == ("", False)
    assert set(classes) == set(NAMES)
    assert sum(classes.values()) == pytest.approx(1)
    assert (rows, boxes, *explained) == (None,) * 5


def test_no_image_has_nothing():
    handlers = handlers_of(shifting_predictor())
    message, *others = handlers.show(None, 0.5)
    assert shown(message) == ("", False)
    assert others == [None] * 6
    assert handlers.attend(None, "even", 0, (0.5, 0.5)) == (None, None)
    assert handlers.explain_best(None) is None


def test_outputs_that_are_not_all_numbers_are_a_message(image):
    """And nothing else is shown of them, such as boxes where the slider is moved."""
    broken = dataclasses.replace(shifting_predictor(), run=lambda images: {"probabilities": np.full((1, 3), np.nan)})
    message, *others = handlers_of(broken).show(image, 0.5)
    assert shown(message)[0].startswith("The network's outputs are not all numbers")
    assert others == [None] * 6
    assert handlers_of(broken).explain_best(image) is None
    boxes = dataclasses.replace(box_predictor(), run=lambda images: {"boxes": np.full((1, 2, 4), np.nan)})
    assert handlers_of(boxes).draw(image, 0.5) is None


def test_a_detector_that_finds_nothing_says_so(image):
    def run(images):
        outputs = box_predictor().run(images)
        return {**outputs, "num_detections": np.zeros(len(images), int)}

    message, classes, _, boxes, *_ = handlers_of(dataclasses.replace(box_predictor(), run=run)).show(image, 0.5)
    assert shown(message) == ("There is nothing that the network knows in this image.", True)
    assert classes == {}
    assert boxes.shape == (8, 12, 3)  # the image


def test_a_task_without_classes_has_rows(image, monkeypatch):
    monkeypatch.setattr("aa_keras.export.spec.SPECS", {})

    @dataclasses.dataclass(frozen=True)
    class BrightnessSpec(ServingSpec):
        task: ClassVar = "brightness"
        outputs: ClassVar = ("brightness",)
        columns: ClassVar = ("image", "brightness")

        def rows(self, predictions, top):
            for each in predictions:
                yield each.image, float(each.outputs["brightness"])

    spec = BrightnessSpec((), (8, 12, 3), Preprocessing((0.0,) * 3, (1.0,) * 3, (8, 12)))
    predictor = Predictor(spec, lambda images: {"brightness": images.mean(axis=(1, 2, 3))})
    message, classes, rows, boxes, *_ = handlers_of(predictor).show(image, 0.5)
    assert shown(message) == ("", False)
    assert (classes, boxes) == (None, None)
    assert [list(row) for row in rows] == [["brightness"]]
    assert 100 < rows[0]["brightness"] < 150
    blocks = build_page(PageFunctions(predictor), "", "", []).blocks.values()
    visible = {block.label: block.visible for block in blocks if getattr(block, "label", None)}
    assert visible["Predictions"]
    assert not visible["Classes"]
    assert not visible["Boxes"]


def test_boxes_are_those_of_the_slider(image):
    handlers = handlers_of(box_predictor())
    few, more = (handlers.show(image, min_score)[3] for min_score in (0.5, 0.1))
    assert (few != more).any()
    np.testing.assert_array_equal(handlers.draw(image, 0.1), more)
