"""Images in a folder of class folders."""

import collections
import hashlib
import logging
import os
import pathlib

import numpy as np
import tensorflow as tf

from aa_keras.data.encoded import EncodedImages
from aa_keras.data.image_files import contents_of, counted, has_images, images_below, is_image, not_read
from aa_keras.data.progress import Progress
from aa_keras.data.sampling import drawn
from aa_keras.data.splits import check_validation_examples, choose_splits, split_of
from aa_keras.data.types import ImageDataset
from aa_keras.errors import UserError
from aa_keras.files import is_line

_LOGGER = logging.getLogger("aa_keras")


class FileImages(EncodedImages):
    """Image files and their classes.

    Args:
        files: list of pairs of path and class.
        image_size: height and width that a network sees the images in.
        channels: 3, or 1 to see them in shades of gray.
    """

    def __init__(self, files, image_size, channels=3):
        self.files = tuple(files)
        self.image_shape = (image_size, image_size, channels)
        # Tensors that are made here, outside the pipelines' graphs, are not copied into them.
        self._paths = tf.constant([os.fsencode(path) for path in self.paths], tf.string)
        self.labels = np.array([label for _, label in self.files], np.int32)
        self._labels = tf.constant(self.labels)

    def __len__(self):
        return len(self.files)

    @property
    def paths(self):
        return [path for path, _ in self.files]

    def relabelled(self, labels):
        return FileImages([(path, int(labels[label])) for path, label in self.files], *self.image_shape[1:])

    def records(self, order_key=None, shard=(0, 1), sampling="shuffle"):
        def record(draw):
            index = draw % len(self)
            return draw, self._paths[index], self._paths[index], self._labels[index]

        order = tf.range(len(self), dtype=tf.int64)
        if order_key is not None:
            order = drawn(self, sampling, order_key)[shard[0] :: shard[1]]
        return tf.data.Dataset.from_tensor_slices(order).map(record)

    def read(self, content):
        return tf.io.read_file(content)


def load_image_folder(folder, image_size, validation_examples=0, test_split=None, test_fraction=0.2, channels=3):
    """Finds the images in a folder.

    Either FOLDER/train/CLASS/*.jpg, with FOLDER/test or FOLDER/validation likewise; or FOLDER/CLASS/*.jpg.
    `aa_keras.data.splits.NAMES` has further names of splits. The images of a class may be in folders below its own, at
    any depth. Without a split to report on, some images of each class are held out for that. Which ones are held out
    depends on the files' paths inside the folder alone. A `test` folder of images without class folders has no labels,
    and a log line says that it is not used.

    Files with the extension of a format that Pillow reads are images, and links are followed. Hidden files are ignored.
    A log line gives the number of other files and their extensions.

    Args:
        folder: path.
        image_size: height and width that a network sees the images in.
        validation_examples: how many of the training images to hold out, unless there is a folder for them.
        test_split: name of the folder of the images to report on; "train" reports on the images trained on. None takes
            `test`, or otherwise `validation`; if there are both, the latter is for validation.
        test_fraction: share of each class to report on where there is no folder for that.
        channels: 3, or 1 to see the images in shades of gray.

    Returns:
        An `ImageDataset` of `FileImages`, its classes in the order of the folders' names.

    Raises:
        UserError: if the folder does not hold images in this way.
    """
    folder = _checked_folder(folder, "a folder of class folders, or one with such folders called train and validation")
    if not 0 < test_fraction < 1:
        raise UserError(f"config.test_fraction must be above 0 and below 1. Received: test_fraction={test_fraction}")
    split_folders = _split_folders(folder, needed=("train",))
    if split_folders:
        _check_other_folders(folder)
    split_folders = _with_labels(split_folders, test_split)
    test_split, validation_split = choose_splits(split_folders, test_split, str(folder))

    train_folder = split_folders.get("train", folder)
    class_names = _class_names(train_folder)
    others = collections.Counter()
    train = _files(train_folder, class_names, others, may_lack_classes=False)
    parts = {"validation": [], "test": []}
    for part, split in (("validation", validation_split), ("test", test_split)):
        if split not in (None, "train"):
            parts[part] = _files(split_folders[split], class_names, others, may_lack_classes=True)
    if others:
        _LOGGER.warning("%s: %s", folder, not_read(others))
    source = str(train_folder if test_split == "train" else split_folders.get(test_split, folder))
    if test_split is None:
        train, parts["test"] = _hold_out_of_each_class(train, test_fraction, folder)
        source += ", which are held out of training"
    check_validation_examples(validation_examples, len(train), validation_split)
    if validation_examples:
        parts["validation"] = sorted(train, key=lambda file: _number(file, folder, "validation"))[:validation_examples]
        held_out = set(parts["validation"])
        train = [file for file in train if file not in held_out]
    train, validation, test = (FileImages(files, image_size, channels) for files in (train, *parts.values()))
    return ImageDataset(
        "image_folder", class_names, train, validation, train if test_split == "train" else test, test_source=source
    )


def load_test_folder(folder, image_size, test_split=None, channels=3):
    """Finds the images in a folder that no network was trained on, to evaluate one on all of them.

    Either FOLDER/CLASS/*.jpg, or FOLDER/test/CLASS/*.jpg; of other splits, one is taken.

    Args:
        folder: path.
        image_size: height and width that a network sees the images in.
        test_split: name of the split to take if there is one; None takes `test`, otherwise `validation` or `train`.
        channels: 3, or 1 to see the images in shades of gray.

    Returns:
        An `ImageDataset` without training images, its classes those of the images.

    Raises:
        UserError: if the folder does not hold images in this way.
    """
    folder = _checked_folder(folder, "a folder of class folders, or one with such folders called test")
    split_folders = _with_labels(_split_folders(folder, needed=("test", "validation", "train")), None)
    if split_folders:
        wanted = split_of(test_split or "test")
        folder = split_folders[next(split for split in (wanted, *split_folders) if split in split_folders)]
    others = collections.Counter()
    class_names = tuple(contents_of(folder)[0])
    files = _files(folder, class_names, others, may_lack_classes=True)
    if others:
        _LOGGER.warning("%s: %s", folder, not_read(others))
    none, test = (FileImages(part, image_size, channels) for part in ([], files))
    return ImageDataset("image_folder", class_names, none, none, test, test_source=str(folder))


def _checked_folder(folder, wanted):
    if folder is None or not pathlib.Path(folder).expanduser().is_dir():
        raise UserError(
            f"config.data_dir must be {wanted}, for dataset='image_folder'. "
            f"Received: data_dir={None if folder is None else str(folder)!r}"
        )
    return pathlib.Path(folder).expanduser()


def _split_folders(folder, needed):
    """Returns the folders of splits by split: of test, validation and train, in this order.

    There are none unless one of the splits in `needed` has class folders: otherwise `train` is a class.
    """
    named = [(split_of(name), folder / name) for name in contents_of(folder)[0] if split_of(name)]
    if not any(split in needed and contents_of(path)[0] for split, path in named):
        return {}
    found = {}
    for split in ("test", "validation", "train"):
        paths = [path for of, path in named if of == split]
        if len(paths) > 1:
            raise UserError(
                f"{folder} has two folders for {split}: {paths[0].name} and {paths[1].name}. Keep one there"
            )
        if paths:
            found[split] = paths[0]
    return found


def _check_other_folders(folder):
    """Raises UserError if, besides those of splits, there is a folder of class folders, which would not be used."""
    for name in contents_of(folder)[0]:
        path = folder / name
        if split_of(name) is None and any(has_images(path / inner) for inner in contents_of(path)[0]):
            raise UserError(
                f"{path} holds folders of images beside those of the splits, and its name is that of no split: call it "
                "validation or test, or move it elsewhere"
            )


def _with_labels(split_folders, test_split):
    """Returns the folders of splits without a `test` of images that are in no class folder, unless it is asked for."""
    test = split_folders.get("test")
    if test is None or split_of(test_split or "") == "test":
        return split_folders
    folders, files = contents_of(test)
    images = sum(map(is_image, files))
    if folders or not images:
        return split_folders
    _LOGGER.warning("%s has no labels: its %d images are in no class folders, and are not used", test, images)
    return {split: path for split, path in split_folders.items() if split != "test"}


def _class_names(folder):
    class_names, files = contents_of(folder)
    like_splits = class_names and all(map(split_of, class_names))
    if like_splits and not any(is_image(file) for name in class_names for file in contents_of(folder / name)[1]):
        raise UserError(
            f"{folder} must have a folder train. It holds {', '.join(class_names)}, as if these were splits"
        )
    if len(class_names) < 2:
        images = sum(map(is_image, files))
        found = f"only that of {class_names[0]!r}" if class_names else f"{images} images and no folders"
        raise UserError(f"{folder} must hold a folder of images for each of at least two classes. It holds {found}")
    for name in class_names:
        if not is_line(name):
            raise UserError(
                f"The name of a class folder must be one line of text, for labels.txt. Received: {name!r} in {folder}"
            )
    return tuple(class_names)


def _files(folder, class_names, others, may_lack_classes):
    """Returns pairs of path and class of all images in a folder of class folders, in the order of their paths.

    Args:
        folder: the folder.
        class_names: names of the classes in the order of their labels.
        others: `collections.Counter` of the extensions of other files, which is added to.
        may_lack_classes: whether there may be classes without images.
    """
    labels = {name: label for label, name in enumerate(class_names)}
    files = []
    class_folders = contents_of(folder)[0]
    if not class_folders:
        raise UserError(f"{folder} must hold a folder of images for each class. It holds no folders")
    with Progress(f"Looking for images in {folder}") as progress:
        for name in class_folders:
            if name not in labels:
                raise UserError(f"{folder / name} is the folder of a class without training images")
            not_images = collections.Counter()
            images = sorted(images_below(folder / name, not_images))
            if not images and not may_lack_classes:
                found = f", but {counted(not_images)}" if not_images else ""
                raise UserError(f"The class folder {folder / name} holds no images{found}")
            others.update(not_images)
            files += ((str(folder / name / image), labels[name]) for image in images)
            progress.done = len(files)
    if not files:
        raise UserError(f"{folder} holds no images in its class folders")
    return files


def _hold_out_of_each_class(files, fraction, root):
    """Splits files in two, the second with `fraction` of each class, but never all of a class."""
    of_class = {}
    for file in files:
        of_class.setdefault(file[1], []).append(file)
    held_out = set()
    for members in of_class.values():
        count = min(round(fraction * len(members)), len(members) - 1)
        held_out.update(sorted(members, key=lambda file: _number(file, root, "test"))[:count])
    if not held_out:
        raise UserError(
            f"{root} has too few images of a class to hold out config.test_fraction={fraction} of them: add some, or "
            "report on the images trained on with config.test_split='train'"
        )
    return [file for file in files if file not in held_out], [file for file in files if file in held_out]


def _number(file, root, purpose):
    """Returns a number that depends on a file's path inside the folder alone."""
    path = pathlib.Path(file[0]).relative_to(root).as_posix()
    return hashlib.sha256(os.fsencode(f"{purpose}:{path}")).digest()
