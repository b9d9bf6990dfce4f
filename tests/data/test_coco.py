"""Annotations in COCO's format: what is read of them, and what is refused."""

import copy
import json

import numpy as np
import pytest
from helpers.detection import annotation

from aa_keras.data import BadBoxes
from aa_keras.data.coco import read_coco
from aa_keras.errors import UserError

GOOD = {
    "info": {"year": 2026},
    "images": [
        {"id": 5, "file_name": "a.png", "height": 40, "width": 60},
        {"id": 2, "file_name": "sub/b.png", "height": 50, "width": 30},
    ],
    "annotations": [
        annotation(1, 5, [10, 20, 30, 15.5], 9),
        annotation(2, 5, [0, 0, 60, 40], 4, iscrowd=1, area=700, segmentation={"counts": [1], "size": [40, 60]}),
        annotation(3, 5, [-0.6, 30, 20, 10.4], 4),
    ],
    "categories": [{"id": 9, "name": "cat"}, {"id": 4, "name": "dog", "supercategory": "animal"}],
}


def read(tmp_path, content, skip=False, missing=()):
    path = tmp_path / "annotations.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    bad_boxes = BadBoxes(skip)
    categories, images = read_coco(path, lambda name, _: None if name in missing else f"/images/{name}", bad_boxes)
    return categories, images, bad_boxes.skipped


def test_boxes_classes_and_crowds_are_read(tmp_path):
    categories, (first, second), skipped = read(tmp_path, GOOD)
    assert (categories.ids, categories.names) == ((4, 9), ("dog", "cat"))
    assert (first.id, first.name, first.height, first.width) == (5, "/images/a.png", 40, 60)
    # Top, left, bottom, right; clipped to the image where a tool has rounded.
    np.testing.assert_allclose(first.boxes, [[20, 10, 35.5, 40], [0, 0, 40, 60], [30, 0, 40, 19.4]], rtol=1e-6)
    assert first.labels.tolist() == [1, 0, 0]
    assert first.is_crowd.tolist() == [False, True, False]
    np.testing.assert_allclose(first.areas, [465, 700, 208])
    assert (second.name, second.boxes.shape, second.labels.shape) == ("/images/sub/b.png", (0, 4), (0,))
    assert skipped == {}


def changed(*path, **fields):
    """The good content with fields of something in it changed: None removes one."""
    content = copy.deepcopy(GOOD)
    target = content
    for key in path:
        target = target[key]
    for name, value in fields.items():
        if value is None:
            del target[name]
        else:
            target[name] = value
    return content


# Errors of a file as a whole, which no setting allows.
BAD_FILES = {
    "cut": (json.dumps(GOOD)[:-20], "is not a JSON file"),
    "empty": ("", "is not a JSON file"),
    "list": ([GOOD], "must be an object with images, annotations and categories"),
    "no images key": (changed(images=None), "a list of objects called images.*it is missing"),
    "no annotations key": (changed(annotations=None), "a list of objects called annotations.*it is missing"),
    "no categories key": (changed(categories=None), "a list of objects called categories.*it is missing"),
    "images a dictionary": (changed(images={"a": 1}), "called images.*it is {'a': 1}"),
    "no images": (changed(images=[], annotations=[]), "has no images"),
    "no categories": (changed(categories=[], annotations=[]), "has no categories"),
    "category without name": (changed("categories", 0, name=None), "a category must have .*id=9, name=None"),
    "category of text": (changed("categories", 0, id="nine"), "a category must have .*id='nine'"),
    "two categories of an id": (changed("categories", 0, id=4), "two categories have the id 4"),
    "two categories of a name": (changed("categories", 0, name="dog"), "two categories have the name 'dog'"),
    "image without id": (changed("images", 1, id=None), "image number 2 must have a whole number as its id"),
    "image without file": (changed("images", 1, file_name=None), "image 2 must have a file_name"),
    "category of half a character": (changed("categories", 0, name="\ud83d"), "a category must have .* a line as its"),
    "image without height": (changed("images", 1, height=None), "image 2 must have a height in pixels"),
    "image of width 0": (changed("images", 1, width=0), "image 2 must have a width in pixels. Received: width=0"),
    "two images of an id": (changed("images", 1, id=5), "two images have the id 5"),
    "two images of a file": (changed("images", 1, file_name="a.png"), "two images have the file_name 'a.png'"),
}
# Errors of one box or image.
BAD_BOXES = {
    "out of the image": ({"bbox": [50, 20, 30, 15]}, "reaches out of the image of 60x40 pixels: .* 20, 50, 35, 80"),
    "outside the image": ({"bbox": [60, 20, 0.5, 15]}, "reaches out of the image"),
    "no width": ({"bbox": [10, 20, 0, 15]}, "has no area: .* 20, 10, 35, 10"),
    "upside down": ({"bbox": [10, 20, 5, -4]}, "has no area"),
    "no number": ({"bbox": [10, 20, float("nan"), 15]}, "infinite or NaN"),
    "a number beyond all": ({"bbox": [10, 20, 10**400, 15]}, "must be four numbers"),
    "three numbers": ({"bbox": [10, 20, 30]}, r"must be four numbers, .*and is \[10, 20, 30\]"),
    "text": ({"bbox": ["10", 20, 30, 40]}, "must be four numbers"),
    "no box": ({"bbox": None}, "must be four numbers, .* and is None"),
    "unknown class": ({"category_id": 1}, "there is no category with its category_id, 1"),
    "unknown image": ({"image_id": 77}, "there is no image with its image_id, 77"),
    "id of another": ({"id": 3}, "another annotation has its id"),
    "no id": ({"id": None}, "it has no id"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_malformed_file_is_reported_in_a_line(kind, tmp_path):
    content, error = BAD_FILES[kind]
    for skip in (False, True):
        with pytest.raises(UserError, match=error) as raised:
            read(tmp_path, content, skip)
        assert str(tmp_path / "annotations.json") in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("kind", BAD_BOXES)
def test_a_bad_box_is_reported_or_left_out(kind, tmp_path):
    fields, error = BAD_BOXES[kind]
    content = changed("annotations", 0, **fields)
    content["annotations"] = content["annotations"][::-1]  # the one that is good has an id first
    with pytest.raises(UserError, match=error) as raised:
        read(tmp_path, content)
    assert "annotations.json: annotation " in str(raised.value)
    assert "--config.bad_boxes=skip" in str(raised.value)
    assert "a.png" in str(raised.value) or kind == "unknown image"
    _, (first, _), skipped = read(tmp_path, content, skip=True)
    assert len(first.labels) == 2
    assert len(skipped) == 1


def test_a_missing_image_is_reported_or_left_out(tmp_path):
    with pytest.raises(UserError, match=r"annotations\.json: image 5: there is no file a\.png"):
        read(tmp_path, GOOD, missing=("a.png",))
    _, (image,), skipped = read(tmp_path, GOOD, skip=True, missing=("a.png",))
    assert image.id == 2
    assert len(skipped) == 1
    with pytest.raises(UserError, match="has no images"):
        read(tmp_path, GOOD, skip=True, missing=("a.png", "sub/b.png"))


ROOT = {"id": 0, "name": "animals", "supercategory": "none"}


def with_root(name="animals", **fields):
    """The good content as Roboflow writes it: the categories are of a root."""
    content = changed(**fields)
    content["categories"] = [{**each, "supercategory": name} for each in content["categories"]]
    content["categories"].insert(0, {**ROOT, "name": name})
    return content


def test_a_root_category_without_boxes_is_no_class(tmp_path):
    for name in ("animals", "dog"):  # the second one is a class too
        categories, _, _ = read(tmp_path, with_root(name))
        assert (categories.ids, categories.names) == ((4, 9), ("dog", "cat"))
    content = with_root()
    content["annotations"].append(annotation(9, 5, [1, 1, 5, 5], 0))
    categories, _, _ = read(tmp_path, content)
    assert categories.names == ("animals", "dog", "cat")
    # A split without boxes of the root has it too, if another split has.
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(with_root()))
    assert read_coco(path, lambda name, _: name, BadBoxes(), known=categories)[0] == categories


def test_a_class_that_is_no_root_stays_without_boxes(tmp_path):
    content = changed(annotations=[])
    content["categories"][0]["supercategory"] = "none"
    assert read(tmp_path, content)[0].names == ("dog", "cat")


def test_text_may_begin_with_a_byte_order_mark(tmp_path):
    assert read(tmp_path, "\ufeff" + json.dumps(GOOD))[0].names == ("dog", "cat")
