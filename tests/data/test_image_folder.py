"""Folders of class folders: what is found in them, what is held out, and every folder that cannot be used."""

import os
import pathlib
import shutil

import numpy as np
import pytest
from helpers import odd_images

from aa_keras.data import Preprocessing, evaluation_dataset, load_dataset, training_dataset
from aa_keras.errors import UserError


def names_of(examples, folder):
    return [pathlib.Path(path).relative_to(folder).as_posix() for path, _ in examples.files]


def parts_of(dataset, folder):
    return [set(names_of(part, folder)) for part in (dataset.train, dataset.validation, dataset.test)]


def load(folder, **arguments):
    return load_dataset("image_folder", str(folder), **{"image_size": 16, **arguments})


@pytest.fixture(scope="module")
def unsplit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unsplit")
    return odd_images.class_folders(folder, {"dog": 10, "Cat": 5, "a fish": 1}, size=(8, 9))


@pytest.fixture
def split(tmp_path):
    for name, counts in (("train", {"b": 3, "a": 2}), ("val", {"a": 1, "b": 2})):
        odd_images.class_folders(tmp_path / "split" / name, counts, size=(8, 9))
    return tmp_path / "split"


def test_a_fraction_of_each_class_is_held_out(unsplit):
    dataset = load(unsplit)
    assert dataset.name == "image_folder"
    assert dataset.class_names == ("Cat", "a fish", "dog")
    assert dataset.image_shape == (16, 16, 3)
    train, validation, test = parts_of(dataset, unsplit)
    assert sorted(name.split("/")[0] for name in test) == ["Cat", "dog", "dog"]  # a fifth of 5, 10 and 1
    assert not validation
    assert not train & test
    assert train | test == {path.relative_to(unsplit).as_posix() for path in unsplit.glob("*/*")}
    for part in (dataset.train, dataset.test):
        assert all(dataset.class_names[label] == pathlib.Path(path).parent.name for path, label in part.files)
        assert names_of(part, unsplit) == sorted(names_of(part, unsplit))


def test_more_can_be_held_out_but_never_a_whole_class(unsplit):
    train, _, test = parts_of(load(unsplit, test_fraction=0.99), unsplit)
    assert sorted(name.split("/")[0] for name in train) == ["Cat", "a fish", "dog"]
    assert len(test) == 9 + 4


def test_validation_images_are_held_out_of_those_to_train_on(unsplit):
    train, _, test = parts_of(load(unsplit), unsplit)
    fewer, validation, same_test = parts_of(load(unsplit, validation_examples=4), unsplit)
    assert same_test == test
    assert len(validation) == 4
    assert validation < train
    assert fewer == train - validation


def test_what_is_held_out_depends_on_the_names_in_the_folder_alone(unsplit, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(unsplit, copy)
    (copy / "dog" / "0.jpg").write_bytes(b"")
    arguments = {"validation_examples": 4, "test_fraction": 0.3}
    assert parts_of(load(copy, **arguments), copy) == parts_of(load(unsplit, **arguments), unsplit)
    # Hashes of names are the same everywhere and for ever: were they not, evaluation would see training images.
    assert parts_of(load(unsplit), unsplit)[2] == {"Cat/1.jpg", "dog/3.jpg", "dog/9.jpg"}


def test_training_and_test_can_be_the_same_images(unsplit):
    train, validation, test = parts_of(load(unsplit, test_split="train"), unsplit)
    assert len(train) == 16
    assert not validation
    assert test == train
    train, validation, test = parts_of(load(unsplit, test_split="train", validation_examples=2), unsplit)
    assert (len(train), len(validation)) == (14, 2)
    assert test == train


def test_folders_of_splits(split):
    train, validation, test = parts_of(load(split), split)
    assert train == {"train/a/0.jpg", "train/a/1.jpg", "train/b/0.jpg", "train/b/1.jpg", "train/b/2.jpg"}
    assert not validation
    assert test == {"val/a/0.jpg", "val/b/0.jpg", "val/b/1.jpg"}
    assert load(split).class_names == ("a", "b")
    _, validation, test_too = parts_of(load(split, validation_examples=2), split)
    assert len(validation) == 2
    assert validation < train
    assert test_too == test


def test_with_a_test_folder_the_other_is_for_validation(split):
    odd_images.class_folders(split / "test", {"b": 1}, size=(8, 9))  # a class may be missing there
    _, validation, test = parts_of(load(split), split)
    assert {name.split("/")[0] for name in validation} == {"val"}
    assert test == {"test/b/0.jpg"}
    _, validation, test = parts_of(load(split, test_split="val"), split)
    assert not validation
    assert {name.split("/")[0] for name in test} == {"val"}
    with pytest.raises(UserError, match=r"config\.validation_examples must be 0 .*'validation'.*validation_examples=1"):
        load(split, validation_examples=1)


@pytest.mark.parametrize("name", ["val", "Valid", "VALIDATION", "dev", "Test", "testing"])
def test_the_names_of_splits(tmp_path, name):
    odd_images.class_folders(tmp_path / "Train", {"a": 2, "b": 2}, size=(8, 9))
    odd_images.class_folders(tmp_path / name, {"a": 1, "b": 1}, size=(8, 9))
    train, validation, test = parts_of(load(tmp_path), tmp_path)
    assert (len(train), validation, test) == (4, set(), {f"{name}/a/0.jpg", f"{name}/b/0.jpg"})
    assert parts_of(load(tmp_path, test_split=name), tmp_path)[2] == test
    odd_images.class_folders(tmp_path / name.swapcase(), {"a": 1}, size=(8, 9))
    assert "has two folders for " in the_error(tmp_path)


def test_a_folder_beside_the_splits_is_not_dropped(split, caplog):
    odd_images.write_images(split, {"notes/readme.txt": b"", "notes/more/readme.txt": b"", "pictures/1.jpg": b""})
    load(split)
    odd_images.write_images(split, {"holdout/a/1.jpg": b""})
    assert the_error(split).startswith(f"{split / 'holdout'} holds folders of images beside those of the splits, and")


def test_a_test_folder_without_labels_is_not_used(split, caplog):
    shutil.rmtree(split / "val")
    odd_images.write_images(split, {"test/1.jpg": b"", "test/2.jpg": b"", "test/readme.txt": b""})
    train, validation, test = parts_of(load(split, test_fraction=0.4), split)
    assert (len(train), len(validation), len(test)) == (3, 0, 2)
    assert all(name.startswith("train/") for name in test)
    assert caplog.messages == [
        f"{split / 'test'} has no labels: its 2 images are in no class folders, and are not used"
    ]
    assert "test must hold a folder of images for each class" in the_error(split, test_split="test")


def whole(folder, **arguments):
    return load(folder, for_test_alone=True, **arguments)


def test_a_folder_that_nothing_was_trained_on_is_reported_on_whole(unsplit, split):
    dataset = whole(unsplit)
    assert len(dataset.test) == 16
    assert (len(dataset.train), len(dataset.validation), dataset.test_source) == (0, 0, str(unsplit))
    assert dataset.class_names == ("Cat", "a fish", "dog")
    odd_images.class_folders(split / "test", {"c": 2}, size=(8, 9))  # of one class, which training does not have
    dataset = whole(split)
    assert (dataset.class_names, len(dataset.test), dataset.test_source) == (("c",), 2, str(split / "test"))
    assert whole(split, test_split="val").test_source == str(split / "val")
    shutil.rmtree(split / "train")
    assert whole(split).test_source == str(split / "test")
    shutil.rmtree(split / "test")
    assert whole(split).test_source == str(split / "val")


def test_without_a_test_folder_some_of_the_training_images_are_held_out(split):
    shutil.rmtree(split / "val")
    train, _, test = parts_of(load(split, test_fraction=0.4), split)
    assert (len(train), len(test)) == (3, 2)
    assert not train & test


def test_a_class_may_be_called_train(tmp_path):
    odd_images.class_folders(tmp_path, {"bus": 2, "train": 3, "test": 2}, size=(8, 9))
    assert load(tmp_path, test_fraction=0.5).class_names == ("bus", "test", "train")


def test_extensions_hidden_files_and_links(tmp_path):
    content = odd_images.encode(odd_images.picture(8, 9))
    names = ["1.JPG", "2.jpeg", "3.PNG", "4.webp", "5.bmp", "6.Gif", "ünï cödé; 7.JPEG", "8.jfif", "9.tiff", "10.avif"]
    ignored = [".8.jpg", "9.txt", "10", "Thumbs.db", ".DS_Store"]
    odd_images.write_images(tmp_path, {f"a/{name}": content for name in names + ignored})
    odd_images.write_images(tmp_path, {"elsewhere/11.jpg": content, "elsewhere/12.jpg": content, "file.txt": b""})
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a" / "13.jpg").symlink_to(tmp_path / "elsewhere" / "11.jpg")
    shutil.move(tmp_path / "elsewhere", tmp_path.parent / "elsewhere")
    (tmp_path / "b").symlink_to(tmp_path.parent / "elsewhere")
    (tmp_path / "a" / "13.jpg").unlink()
    (tmp_path / "a" / "13.jpg").symlink_to(tmp_path.parent / "elsewhere" / "11.jpg")
    dataset = load(tmp_path, test_split="train")
    assert dataset.class_names == ("a", "b")
    assert parts_of(dataset, tmp_path)[0] == {*(f"a/{name}" for name in [*names, "13.jpg"]), "b/11.jpg", "b/12.jpg"}
    preprocessing = Preprocessing((0.0,) * 3, (1.0,) * 3, image_size=16)
    ((images, labels),) = evaluation_dataset(dataset.test, preprocessing, 20)
    assert images.shape == (13, 16, 16, 3)
    assert labels.numpy().tolist() == [0] * 11 + [1] * 2


def test_images_in_folders_below_a_class_are_its(tmp_path):
    content = odd_images.encode(odd_images.picture(8, 9))
    names = ["a/1.jpg", "a/2020/1.jpg", "a/2020/may/1.jpg", "a/2021/1.jpg", "b/deep/1.jpg"]
    passed_over = ["__MACOSX/a/1.jpg", "a/__MACOSX/1.jpg", "b/@eaDir/1.jpg", "a/.thumbnails/1.jpg"]
    odd_images.write_images(tmp_path, dict.fromkeys(names + passed_over, content))
    (tmp_path / "a" / "2020" / "back").symlink_to(tmp_path / "a")
    dataset = load(tmp_path, test_split="train")
    assert names_of(dataset.train, tmp_path) == sorted(names)
    assert [label for _, label in dataset.train.files] == [0, 0, 0, 0, 1]


def test_what_is_not_read_is_counted(tmp_path, caplog):
    odd_images.class_folders(tmp_path / "train", {"a": 1, "b": 1}, size=(8, 9))
    load(tmp_path, test_split="train")
    assert caplog.messages == []
    odd_images.write_images(tmp_path, {f"train/a/{name}": b"" for name in ("1.heic", "2.HEIC", "3.txt", "README")})
    odd_images.write_images(tmp_path, {"val/b/1.jpg": b"", "val/b/4.heic": b""})
    load(tmp_path)
    assert caplog.messages == [f"{tmp_path}: 5 files were not read as images: 3 .heic, 1 .txt, 1 without an extension"]


def test_what_may_have_no_end_is_not_read(tmp_path, caplog):
    odd_images.class_folders(tmp_path, {"a": 1, "b": 1}, size=(8, 9))
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    (tmp_path / "a" / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "a" / "nowhere.jpg").symlink_to(tmp_path / "nowhere")
    assert names_of(load(tmp_path, test_split="train").train, tmp_path) == ["a/0.jpg", "b/0.jpg"]
    assert caplog.messages == [f"{tmp_path}: 3 files were not read as images: 3 .jpg"]


def test_a_split_may_lack_a_class_but_not_all(split):
    (split / "val" / "empty").mkdir()
    shutil.rmtree(split / "val" / "a")
    assert "folder of a class without training images" in the_error(split)
    (split / "val" / "empty").rename(split / "val" / "a")
    assert parts_of(load(split), split)[2] == {"val/b/0.jpg", "val/b/1.jpg"}
    for path in (split / "val" / "b").iterdir():
        path.unlink()
    assert the_error(split) == f"{split / 'val'} holds no images in its class folders"


@pytest.mark.parametrize("name", ["two\nlines", "two\u2028lines", "tab\x0bstop", os.fsdecode(b"caf\xe9")])
def test_the_name_of_a_class_is_a_line_of_text(tmp_path, name):
    odd_images.class_folders(tmp_path, {"a": 1, name: 1}, size=(8, 9))
    assert f"must be one line of text, for labels.txt. Received: {name!r}" in the_error(tmp_path)


def test_a_folder_may_start_with_a_tilde(unsplit, monkeypatch):
    monkeypatch.setenv("HOME", str(unsplit.parent))
    assert load_dataset("image_folder", f"~/{unsplit.name}", image_size=16).class_names == ("Cat", "a fish", "dog")


def the_error(folder, **arguments):
    with pytest.raises(UserError) as error:
        load(folder, **arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_arguments_that_cannot_be(unsplit, split):
    with pytest.raises(UserError, match=r"config\.data_dir must be .* Received: data_dir=None"):
        load_dataset("image_folder", None, image_size=16)
    with pytest.raises(UserError, match=r"config\.image_size must be set"):
        load_dataset("image_folder", str(unsplit))
    assert "config.image_size must be at least 1" in the_error(unsplit, image_size=0)
    assert "config.data_dir must be " in the_error(unsplit / "missing")
    assert "config.data_dir must be " in the_error(unsplit / "dog" / "0.jpg")
    for fraction in (0, 1, -0.5, float("nan")):
        assert f"Received: test_fraction={fraction}" in the_error(unsplit, test_fraction=fraction)
    for examples in (-1, 13):
        message = the_error(unsplit, validation_examples=examples)
        assert "from 0 to 12" in message
        assert f"Received: validation_examples={examples}" in message
    message = the_error(unsplit, test_split="test")
    assert "config.test_split must be unset or one of train in " in message
    assert "Received: 'test'" in message
    assert "one of train, validation in " in the_error(split, test_split="holdout")


def test_folders_that_cannot_be_used(tmp_path, split):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert "at least two classes. It holds 0 images and no folders" in the_error(nothing)
    flat = odd_images.write_images(tmp_path / "flat", {"1.jpg": b"", "2.jpg": b""})
    assert "at least two classes. It holds 2 images and no folders" in the_error(flat)
    single = odd_images.class_folders(tmp_path / "single", {"only": 2})
    assert "at least two classes. It holds only that of 'only'" in the_error(single)
    empty = odd_images.class_folders(tmp_path / "empty", {"a": 2, "c": 2})
    (empty / "b").mkdir()
    message = the_error(empty)
    assert message == f"The class folder {empty / 'b'} holds no images"
    odd_images.write_images(empty, {"b/1.HEIC": b"", "b/2.heic": b"", "b/notes": b""})
    assert the_error(empty).endswith("holds no images, but 2 .heic, 1 without an extension")
    without_train = tmp_path / "without_train"
    for name in ("validation", "testing"):
        odd_images.class_folders(without_train / name, {"a": 2, "b": 2})
    assert the_error(without_train).endswith(
        "must have a folder train. It holds testing, validation, as if these were splits"
    )
    few = odd_images.class_folders(tmp_path / "few", {"a": 1, "b": 2})
    assert "config.test_split='train'" in the_error(few)

    odd_images.write_images(split, {"val/c/1.jpg": b""})
    assert the_error(split).startswith(f"{split / 'val' / 'c'} is the folder of a class")
    shutil.rmtree(split / "val")
    odd_images.write_images(split, {"val/1.jpg": b""})
    assert the_error(split).startswith(f"{split / 'val'} must hold a folder of images for each class")


def test_a_folder_that_may_not_be_read(unsplit, monkeypatch):
    scandir = os.scandir

    def forbidding(folder):  # the tests may run as root, to whom nothing is forbidden
        if pathlib.Path(folder).name == "dog":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", forbidding)
    assert the_error(unsplit) == f"The folder {unsplit / 'dog'} cannot be read: Permission denied"


@pytest.mark.skipif("AA_KERAS_DATA" not in os.environ, reason="AA_KERAS_DATA does not name a folder of data")
def test_one_image_a_class():
    folder = os.path.join(os.environ["AA_KERAS_DATA"], "imagenet_samples")
    assert "config.test_split='train'" in the_error(folder)
    dataset = load(folder, test_split="train")
    assert len(dataset.class_names) == len(dataset.train) == len(dataset.test) == 100
    preprocessing = Preprocessing((0.0,) * 3, (255.0,) * 3, horizontal_flip=True, image_size=16)
    (images, labels), _ = training_dataset(dataset.train, preprocessing, 32, 2, 0, range(1)).as_numpy_iterator()
    assert images.shape == (32, 16, 16, 3)
    assert 0 <= images.min() < images.max() <= 1
    assert len(np.unique(labels)) == 32
