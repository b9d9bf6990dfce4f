"""Folders of images with annotations in COCO's format: what is found where."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from helpers.detection import squares, write_split
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


@pytest.mark.parametrize("name", [r"images\\{}", r"..\\..\\media\\upload\\{}", "/home/me/data/{}", "elsewhere/{}"])
def test_other_folders_in_a_file_name_do_not_matter(tmp_path, name):
    path = write_split(tmp_path, "train", 3)
    expected = [image.name for image in load_coco_folder(tmp_path, test_split="train").train.annotated]
    rewrite(
        path, lambda content: [image.update(file_name=name.format(image["file_name"])) for image in content["images"]]
    )
    assert [image.name for image in load_coco_folder(tmp_path, test_split="train").train.annotated] == expected
    deeper = tmp_path / "deeper" / "still"
    deeper.mkdir(parents=True)
    for image in (tmp_path / "train2017").iterdir():
        image.rename(deeper / image.name)
    found = [image.name for image in load_coco_folder(tmp_path, test_split="train").train.annotated]
    assert found == [str(deeper / pathlib.Path(image).name) for image in expected]
    (tmp_path / "copies").mkdir()
    shutil.copy(found[1], tmp_path / "copies")
    with pytest.raises(UserError, match=rf"there is no file .*{pathlib.Path(found[1]).name}"):  # which of the two?
        load_coco_folder(tmp_path, test_split="train")


def test_a_last_part_that_is_not_unique_is_no_name(tmp_path):
    path = write_split(tmp_path, "train", 2)
    names = [f"camera{number}/000001.png" for number in (1, 2)]
    rewrite(
        path,
        lambda content: [image.update(file_name=name) for image, name in zip(content["images"], names, strict=True)],
    )
    with pytest.raises(UserError, match=r"there is no file camera1/000001.png"):
        load_coco_folder(tmp_path, test_split="train")


def test_annotations_of_no_known_split_are_not_dropped(tmp_path):
    squares(tmp_path, test=0)
    (tmp_path / "annotations" / "instances_val2017.json").rename(tmp_path / "annotations" / "instances_holdout.json")
    with pytest.raises(UserError, match=r"instances_holdout.json has annotations beside those of the splits"):
        load_coco_folder(tmp_path)
    (tmp_path / "annotations" / "instances_holdout.json").rename(tmp_path / "annotations" / "instances_DEV.json")
    (tmp_path / "val2017").rename(tmp_path / "DEV")
    assert counts(load_coco_folder(tmp_path)) == (12, 0, 5)


def test_a_folder_that_nothing_was_trained_on_is_reported_on_whole(tmp_path):
    def test_of(folder):
        dataset = load_detection_dataset("coco_folder", folder, for_test_alone=True)
        assert (len(dataset.train), dataset.validation) == (0, None)
        return len(dataset.test), dataset.test_source

    path = write_split(tmp_path / "one", "test", 3)
    assert test_of(tmp_path / "one") == (3, str(path))
    path = path.rename(path.with_name("instances_default.json"))  # as CVAT exports it
    assert test_of(tmp_path / "one") == (3, str(path))
    path = write_split(tmp_path / "two", "valid", 2, layout="roboflow")
    assert test_of(tmp_path / "two") == test_of(tmp_path / "two" / "valid") == (2, str(path))
    squares(tmp_path / "three")
    assert test_of(tmp_path / "three")[1].endswith("instances_test2017.json")
    with pytest.raises(UserError, match=r"instances_test\.json, or test/_annotations\.coco\.json\. There is none"):
        test_of(tmp_path)


# What becomes the displayed image again when it is turned as each orientation says.
STORED = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


def turn_files(dataset, orientation, file_format="PNG"):
    """Stores the images of a data set in another way, with the EXIF data to display them as before."""
    for name in dataset.paths:
        exif = Image.Exif()
        exif[0x0112] = orientation
        with Image.open(name) as image:
            STORED[orientation](image).save(name, file_format, exif=exif)


def raw(dataset):
    return [image.numpy() for image in detection_raw_dataset(dataset)]


@pytest.mark.parametrize("orientation", STORED)
def test_annotations_are_for_images_as_they_are_displayed(tmp_path, orientation):
    dataset = load_coco_folder(squares(tmp_path)).test
    expected = raw(dataset)
    for file_format in ("PNG", "TIFF"):  # Pillow turns the second itself
        turn_files(dataset, orientation, file_format)
        for image, wanted in zip(raw(dataset), expected, strict=True):
            np.testing.assert_array_equal(image, wanted)
        turn_files_back(dataset, expected)


def turn_files_back(dataset, images):
    for name, image in zip(dataset.paths, images, strict=True):
        Image.fromarray(image).save(name, "PNG")


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_annotations_that_fit_only_the_stored_pixels_are_for_these(tmp_path, orientation):
    path = write_split(tmp_path, "test", 3)
    dataset = load_coco_folder_for_test(tmp_path)
    expected = [STORED[orientation](Image.fromarray(image)) for image in raw(dataset)]
    turn_files(dataset, orientation)
    swap = lambda image: image.update(width=image["height"], height=image["width"])  # noqa: E731
    rewrite(path, lambda content: (content["annotations"].clear(), [swap(image) for image in content["images"]]))
    for image, wanted in zip(raw(load_coco_folder_for_test(tmp_path)), expected, strict=True):
        np.testing.assert_array_equal(image, wanted)


def load_coco_folder_for_test(folder):
    return load_detection_dataset("coco_folder", folder, for_test_alone=True).test


@pytest.mark.parametrize(("orientation", "turned"), [(1, ""), (6, ", turned as its EXIF orientation 6 says")])
def test_an_image_of_another_size_than_its_annotations_is_corrupt(tmp_path, orientation, turned):
    dataset = load_coco_folder(squares(tmp_path)).test
    path = dataset.annotated[2].name
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        width, height = image.size
        image.resize((10, 20)).save(path, exif=exif)
    size = "10x20" if orientation == 1 else "20x10"
    corrupt_files = CorruptFiles()
    with (
        pytest.raises(UserError, match=f"it has {size} pixels{turned}, and its annotations are for {width}x{height}"),
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
