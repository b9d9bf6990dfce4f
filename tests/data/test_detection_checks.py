"""Folders without anything to learn from are errors that say why."""

import json

import pytest
from helpers.detection import squares

from aa_keras.data import BadBoxes, DetectionPreprocessing, check_boxes
from aa_keras.data.coco_folder import load_coco_folder
from aa_keras.errors import UserError

PREPROCESSING = DetectionPreprocessing((0.0,) * 3, (1.0,) * 3, (64, 96), scale_jitter=(0.8, 1.2))


def the_error(folder, change, purpose="train", split="train", skip=False):
    """The error for a folder of squares whose annotations were changed."""
    path = squares(folder, train=4) / "annotations" / f"instances_{split}2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    dataset = load_coco_folder(folder, bad_boxes=BadBoxes(skip))
    examples = {"train": dataset.train, "validate": dataset.validation, "report": dataset.test}[purpose]
    with pytest.raises(UserError) as raised:
        check_boxes(examples, purpose, dataset.bad_boxes, PREPROCESSING)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def set_boxes(content, change):
    for annotation in content["annotations"]:
        annotation["bbox"] = change(annotation["bbox"])


@pytest.mark.parametrize(
    ("purpose", "split"), [("train", "train"), ("validate", "val"), ("report", "test")], ids=["train", "val", "test"]
)
def test_images_without_annotations(tmp_path, purpose, split):
    message = the_error(tmp_path, lambda content: content["annotations"].clear(), purpose, split)
    assert message.startswith("There are no boxes ")
    assert message.endswith(": 4 images have 0 boxes" if split == "train" else ": 5 images have 0 boxes")


def test_crowds_alone(tmp_path):
    message = the_error(tmp_path, lambda content: [each.update(iscrowd=1) for each in content["annotations"]])
    assert "5 images" not in message
    assert message.endswith(" are crowds, which are not counted")


def test_boxes_that_were_all_left_out(tmp_path):
    def spoil(content):
        set_boxes(content, lambda box: [*box[:2], 0, 0])

    message = the_error(tmp_path, spoil, skip=True)
    assert "4 images have 0 boxes" in message
    assert "boxes or images were left out by config.bad_boxes=skip, the first " in message
    assert "its box has no area" in message


def test_fractions_in_place_of_pixels(tmp_path):
    message = the_error(tmp_path, lambda content: set_boxes(content, lambda box: [side / 128 for side in box]))
    assert "are less than a pixel wide or high in the images that the network takes" in message
    assert "all boxes lie within one pixel, as if they were fractions of the image" in message


def test_boxes_that_can_be_learned(tmp_path):
    dataset = load_coco_folder(squares(tmp_path))
    for purpose, examples in (("train", dataset.train), ("validate", dataset.validation), ("report", dataset.test)):
        check_boxes(examples, purpose, dataset.bad_boxes, PREPROCESSING)
