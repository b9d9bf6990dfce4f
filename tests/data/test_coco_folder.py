"""Folders of images with annotations in COCO's format: what is found where."""

import json
import pathlib

import numpy as np
import pytest
from detection_helpers import squares, write_split
from PIL import Image

from aa_keras.data import BadBoxes, CorruptFiles, load_detection_dataset
from aa_keras.data.coco_folder import load_coco_folder
from aa_keras.data.detection_pipelines import detection_raw_dataset
from aa_keras.errors import UserError


def counts(dataset):
    return tuple(0 if part is None else len(part) for part in (dataset.train, dataset.validation, dataset.test))


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_splits_are_found_as_coco_and_as_roboflow_have_them(tmp_path):
    dataset = load_coco_folder(squares(tmp_path / "coco"))
    assert counts(dataset) == (12, 5, 5)
    assert (dataset.categories.names, dataset.categories.ids) == (("blue", "red"), (3, 7))
    for split in ("train", "valid"):
        write_split(tmp_path / "roboflow", split, 4, layout="roboflow")
    dataset = load_detection_dataset("coco_folder", tmp_path / "roboflow")
    assert counts(dataset) == (4, 0, 4)  # there is nothing else to report on
    assert counts(load_coco_folder(tmp_path / "coco", test_split="validation")) == (12, 0, 5)
    assert counts(load_coco_folder(tmp_path / "roboflow", test_split="train")) == (4, 4, 4)
    held_out = load_coco_folder(tmp_path / "roboflow", validation_examples=1)
    assert counts(held_out) == (3, 1, 4)
    assert not {image.id for image in held_out.train.annotated} & {image.id for image in held_out.validation.annotated}


def test_images_may_lie_in_a_folder_of_their_own(tmp_path):
    write_split(tmp_path, "train", 3)
    write_split(tmp_path, "val", 3, first=500)
    (tmp_path / "images").mkdir()
    for path in list(tmp_path.glob("*2017/*.png")):
        path.rename(tmp_path / "images" / path.name)
    dataset = load_coco_folder(tmp_path)
    assert {pathlib.Path(image.name).parent for image in dataset.train.annotated} == {tmp_path / "images"}


def test_boxes_come_with_their_images_in_any_order(tmp_path):
    """Flat arrays hold the boxes of all images, the first of which has none."""
    dataset = load_coco_folder(squares(tmp_path)).train
    for order_key in (None, np.array([1, 2], np.int64)):
        records = list(dataset.records(order_key))
        assert sorted(int(index) for index, *_ in records) == list(range(12))
        for index, name, _, objects in records:
            annotated = dataset.annotated[int(index)]
            assert name.numpy().decode() == annotated.name
            np.testing.assert_array_equal(objects["boxes"], annotated.boxes)
            np.testing.assert_array_equal(objects["labels"], annotated.labels)
    assert dataset.most_boxes == max(len(image.labels) for image in dataset.annotated)
    parts = [[int(record[0]) for record in dataset.records(np.array([1, 2], np.int64), (part, 2))] for part in (0, 1)]
    assert sorted([*parts[0], *parts[1]]) == list(range(12))


def test_an_image_of_another_size_than_its_annotations_is_corrupt(tmp_path):
    dataset = load_coco_folder(squares(tmp_path)).test
    path = dataset.annotated[2].name
    with Image.open(path) as image:
        width, height = image.size
        image.transpose(Image.Transpose.ROTATE_90).save(path)
    corrupt_files = CorruptFiles()
    with (
        pytest.raises(UserError, match=f"it has {height}x{width} pixels, and its annotations are for {width}x{height}"),
        corrupt_files.as_user_errors(),
    ):
        list(detection_raw_dataset(dataset, corrupt_files))


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(UserError, match=r"config\.data_dir must be a folder that exists for dataset='bccd'"):
        load_detection_dataset("bccd", tmp_path / "nowhere")
    with pytest.raises(UserError, match="must have annotations in COCO's format"):
        load_detection_dataset("coco_folder", tmp_path)
    train = write_split(tmp_path, "train", 3)
    with pytest.raises(UserError, match="has no images to report on"):
        load_coco_folder(tmp_path)
    test = write_split(tmp_path, "test", 3)
    with pytest.raises(UserError, match=r"config.test_split must be unset or one of test, train"):
        load_coco_folder(tmp_path, test_split="validation")
    with pytest.raises(UserError, match=r"config\.validation_examples must be from 0 to 2"):
        load_coco_folder(tmp_path, validation_examples=3)
    rewrite(test, lambda content: content["categories"][0].update(name="green"))
    with pytest.raises(
        UserError, match=r"instances_test2017.json must have the categories of .*7 is 'green' here and 'r"
    ):
        load_coco_folder(tmp_path)
    (train.parent / "instances_train2014.json").write_text(train.read_text())
    with pytest.raises(UserError, match="has two files of annotations for train"):
        load_coco_folder(tmp_path)


def test_what_is_left_out_is_counted(tmp_path, caplog):
    folder = squares(tmp_path)

    def spoil(content):
        content["annotations"][0]["bbox"][2] = 0

    rewrite(folder / "annotations" / "instances_train2017.json", spoil)
    with pytest.raises(UserError, match=r"instances_train2017.json: annotation 1 of .*has no area"):
        load_coco_folder(folder)
    whole = sum(len(image.labels) for image in load_coco_folder(folder, bad_boxes=BadBoxes(skip=True)).train.annotated)
    assert "Left out 1 boxes or images, the first" in caplog.text
    assert whole == len(json.loads((folder / "annotations/instances_train2017.json").read_text())["annotations"]) - 1
