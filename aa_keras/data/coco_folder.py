"""Folders of images with annotations in COCO's format."""

import functools
import logging
import os
import re

import numpy as np
import tensorflow as tf

from aa_keras.data.coco import BadBoxes, read_coco
from aa_keras.data.decoding import CorruptImageError
from aa_keras.data.detection import DetectionDataset, DetectionImages
from aa_keras.data.splits import check_validation_examples, choose_splits
from aa_keras.errors import UserError

_LOGGER = logging.getLogger("aa_keras")
# The names of splits in folders and annotation files, and here.
_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


class FileDetections(DetectionImages):
    """Image files with boxes.

    Args:
        annotated: sequence of `AnnotatedImage`s, named by their paths.
    """

    def __init__(self, annotated):
        self._annotated = tuple(annotated)
        self._paths = tf.constant([os.fsencode(image.name) for image in annotated], tf.string)
        # The boxes of all images, one after the other, and where those of each image begin.
        self._objects = {
            name: tf.constant(np.concatenate([getattr(image, name) for image in annotated]))
            for name in ("boxes", "labels", "is_crowd")
        }
        self._starts = tf.constant(np.cumsum([0, *(len(image.labels) for image in annotated)]), tf.int64)

    def __len__(self):
        return len(self._annotated)

    @property
    def annotated(self):
        return self._annotated

    @functools.cached_property
    def most_boxes(self):
        return max([1, *(len(image.labels) for image in self._annotated)])

    def records(self, order_key=None, shard=(0, 1)):
        def record(index):
            part = slice(self._starts[index], self._starts[index + 1])
            return (
                index,
                self._paths[index],
                self._paths[index],
                {name: values[part] for name, values in self._objects.items()},
            )

        order = tf.range(len(self), dtype=tf.int64)
        if order_key is not None:
            order = tf.random.experimental.stateless_shuffle(order, order_key)[shard[0] :: shard[1]]
        return tf.data.Dataset.from_tensor_slices(order).map(record)

    def read(self, content):
        return tf.io.read_file(content)

    def check(self, index, image):
        annotated = self._annotated[index]
        height, width = image.shape[:2]
        if (height, width) != (annotated.height, annotated.width):
            raise CorruptImageError(
                f"it has {width}x{height} pixels, and its annotations are for {annotated.width}x{annotated.height}"
            )


def load_coco_folder(folder, name="coco_folder", validation_examples=0, test_split=None, bad_boxes=None):
    """Finds images with boxes in a folder.

    Either FOLDER/annotations/instances_train.json, and likewise for `val` and `test`, with or without years after these
    names, as in COCO; or FOLDER/train/_annotations.coco.json and so on, as Roboflow exports it. The images are in a
    folder with the name of the split, in `images`, in `images` and the split, or next to the annotations.

    Args:
        folder: path.
        name: of the data set.
        validation_examples: how many training images to hold out, the last ones, unless there is a split for that.
        test_split: "test", "validation" or "train"; None takes "test", or else "validation". Where there are both, the
            latter is for validation.
        bad_boxes: `BadBoxes`, or None if a bad box is an error.

    Returns:
        A `DetectionDataset` of `FileDetections`.

    Raises:
        UserError: if the folder does not hold images in this way, or its files have impossible values.
    """
    bad_boxes = bad_boxes or BadBoxes()
    files = _annotation_files(folder)
    test_split, validation_split = choose_splits(files, test_split, str(folder))
    if test_split is None:
        raise UserError(
            f"{folder} has no images to report on: it needs annotations for test or val besides those for train, or "
            "--config.test_split=train"
        )
    parts, categories = {}, None
    for split in dict.fromkeys(("train", validation_split, test_split)):
        if split is None:
            continue
        here, parts[split] = read_coco(files[split], _finder(folder, files[split]), bad_boxes)
        categories = categories or here
        if here != categories:
            raise UserError(
                f"{files[split]} must have the categories of {files['train']}: {_first_difference(here, categories)}"
            )
    if bad_boxes.skipped:
        where, reason = next(iter(bad_boxes.skipped.items()))
        _LOGGER.warning("Left out %d boxes or images, the first %s: %s", len(bad_boxes.skipped), where, reason)
    train = parts["train"]
    check_validation_examples(validation_examples, len(train), validation_split)
    held_out = parts.get(validation_split, [])
    if validation_examples:
        train, held_out = train[:-validation_examples], train[-validation_examples:]
    return DetectionDataset(
        name,
        categories,
        FileDetections(train),
        FileDetections(held_out) if held_out else None,
        FileDetections(train if test_split == "train" else parts[test_split]),
        bad_boxes,
    )


def _annotation_files(folder):
    """Returns the annotation file of each split by its name, or raises UserError."""
    found = {}
    for path in sorted([*folder.glob("annotations/instances_*.json"), *folder.glob("*/_annotations.coco.json")]):
        split_name = path.parent.name if path.name.startswith("_") else path.stem.removeprefix("instances_")
        split = _SPLITS.get(re.sub(r"[_-]?\d+$", "", split_name.lower()))
        if split is None:
            continue
        if split in found:
            raise UserError(f"{folder} has two files of annotations for {split}: {found[split]} and {path}")
        found[split] = path
    if "train" not in found:
        raise UserError(
            f"{folder} must have annotations in COCO's format: annotations/instances_train.json, or "
            "train/_annotations.coco.json. There is none"
        )
    return found


def _finder(folder, annotations):
    """Returns a function from an image's name in a file of annotations to its path, or to None if there is no file."""
    split_name = annotations.stem.removeprefix("instances_")
    parent = annotations.parent
    folders = [
        folder / split_name,
        folder / "images",
        folder / "images" / split_name,
        folder,
        parent,
        parent / "images",
    ]

    def path_of(name):
        return next((str(place / name) for place in folders if (place / name).is_file()), None)

    return path_of


def _first_difference(here, there):
    ours, theirs = (dict(zip(categories.ids, categories.names, strict=True)) for categories in (here, there))
    number = next(number for number in sorted({**ours, **theirs}) if ours.get(number) != theirs.get(number))
    return f"{number} is {ours.get(number)!r} here and {theirs.get(number)!r} there"
