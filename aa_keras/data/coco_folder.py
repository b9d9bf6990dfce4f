"""Folders of images with annotations in COCO's format."""

import collections
import functools
import logging
import os
import re

import numpy as np
import tensorflow as tf

from aa_keras.data.coco import BadBoxes, annotated_image, last_part, read_coco
from aa_keras.data.decoding import CorruptImageError, displayed_and_stored
from aa_keras.data.detection import DetectionDataset, DetectionImages
from aa_keras.data.splits import check_validation_examples, choose_splits, split_of
from aa_keras.errors import UserError

_LOGGER = logging.getLogger("aa_keras")
_NOTHING = annotated_image(0, "", 1, 1, [])


class FileDetections(DetectionImages):
    """Image files with boxes.

    Args:
        annotated: sequence of `AnnotatedImage`s, named by their paths.
    """

    def __init__(self, annotated):
        self._annotated = tuple(annotated)
        self._paths = tf.constant([os.fsencode(path) for path in self.paths], tf.string)
        # The boxes of all images, one after the other, and where those of each image begin.
        self._objects = {
            name: tf.constant(np.concatenate([getattr(image, name) for image in (_NOTHING, *self._annotated)]))
            for name in ("boxes", "labels", "is_crowd")
        }
        self._starts = tf.constant(np.cumsum([0, *(len(image.labels) for image in self._annotated)]), tf.int64)

    def __len__(self):
        return len(self._annotated)

    @property
    def annotated(self):
        return self._annotated

    @property
    def paths(self):
        return [image.name for image in self._annotated]

    @property
    def classes(self):
        return {int(label) for image in self._annotated for label in image.labels}

    def relabelled(self, labels):
        return FileDetections([image.relabelled(labels) for image in self._annotated])

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

    def decode_encoded(self, index, encoded, is_sound, when_dark):
        """Returns the image as it is displayed, or as it is stored if its annotations fit only that."""
        annotated = self._annotated[index]
        displayed, stored, orientation = displayed_and_stored(encoded, is_sound, when_dark)
        for image in (displayed, stored):
            if image.shape[:2] == (annotated.height, annotated.width):
                return image
        height, width = displayed.shape[:2]
        turned = "" if orientation == 1 else f", turned as its EXIF orientation {orientation} says"
        raise CorruptImageError(
            f"it has {width}x{height} pixels{turned}, and its annotations are for {annotated.width}x{annotated.height}"
        )


def load_coco_folder(folder, name="coco_folder", validation_examples=0, test_split=None, bad_boxes=None):
    """Finds images with boxes in a folder.

    Either FOLDER/annotations/instances_train.json, and likewise for `val` and `test`, with or without years after these
    names, as in COCO; or FOLDER/train/_annotations.coco.json and so on, as Roboflow exports it.
    `aa_keras.data.splits.NAMES` has further names of splits. The images are in a folder with the name of the split, in
    `images`, in `images` and the split, or next to the annotations. A `file_name` with other folders is found by its
    last part, if there is one such file.

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
    if "train" not in files:
        raise UserError(
            f"{folder} must have annotations in COCO's format: annotations/instances_train.json, or "
            "train/_annotations.coco.json. There is none"
        )
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
        here, parts[split] = read_coco(files[split], _finder(folder, files[split]), bad_boxes, categories)
        categories = categories or here
        if here != categories:
            raise UserError(
                f"{files[split]} must have the categories of {files['train']}: {_first_difference(here, categories)}"
            )
    _report_left_out(bad_boxes)
    train = parts["train"]
    check_validation_examples(validation_examples, len(train), validation_split)
    held_out = parts.get(validation_split, [])
    if validation_examples:
        train, held_out = train[:-validation_examples], train[-validation_examples:]
    to_train_on = FileDetections(train)
    return DetectionDataset(
        name,
        categories,
        to_train_on,
        FileDetections(held_out) if held_out else None,
        to_train_on if test_split == "train" else FileDetections(parts[test_split]),
        bad_boxes,
        test_source=str(files[test_split]),
    )


def load_test_coco_folder(folder, name="coco_folder", test_split=None, bad_boxes=None):
    """Finds images with boxes in a folder that no detector was trained on, to evaluate one on all of them.

    The folder is as for `load_coco_folder`, but may have any one split, or its annotations directly in it.

    Args:
        folder: path.
        name: of the data set.
        test_split: the split to take if there is one; None takes "test", otherwise "validation" or "train".
        bad_boxes: `BadBoxes`, or None if a bad box is an error.

    Returns:
        A `DetectionDataset` without training images.

    Raises:
        UserError: as for `load_coco_folder`.
    """
    bad_boxes = bad_boxes or BadBoxes()
    files = _annotation_files(folder, only_known=False)
    wanted = split_of(test_split or "test")
    split = next((split for split in (wanted, "test", "validation", "train", *files) if split in files), None)
    if split is None:
        raise UserError(
            f"{folder} must have annotations in COCO's format: annotations/instances_test.json, or "
            "test/_annotations.coco.json. There is none"
        )
    categories, annotated = read_coco(files[split], _finder(folder, files[split]), bad_boxes)
    _report_left_out(bad_boxes)
    return DetectionDataset(
        name,
        categories,
        FileDetections([]),
        None,
        FileDetections(annotated),
        bad_boxes,
        test_source=str(files[split]),
    )


def _report_left_out(bad_boxes):
    if bad_boxes.skipped:
        where, reason = next(iter(bad_boxes.skipped.items()))
        _LOGGER.warning("Left out %d boxes or images, the first %s: %s", len(bad_boxes.skipped), where, reason)


def _annotation_files(folder, only_known=True):
    """Returns the annotation file of each split by its name.

    Args:
        folder: the folder.
        only_known: whether a file whose name is that of no split is an error. Otherwise, an only file is taken whatever
            its name.
    """
    paths = [*folder.glob("annotations/instances_*.json"), *folder.glob("*/_annotations.coco.json")]
    if not only_known and not paths:
        paths = [*folder.glob("_annotations.coco.json"), *folder.glob("instances_*.json")]
    found, unknown = {}, []
    for path in sorted(paths):
        split = split_of(re.sub(r"[_-]?\d+$", "", _split_name(path)))
        if split is None:
            unknown.append(path)
        elif split in found:
            raise UserError(f"{folder} has two files of annotations for {split}: {found[split]} and {path}")
        else:
            found[split] = path
    if unknown and only_known and "train" in found:
        raise UserError(
            f"{unknown[0]} has annotations beside those of the splits, and its name is that of no split: call it "
            "validation or test, or move it elsewhere"
        )
    if not only_known and not found and len(unknown) == 1:
        found["test"] = unknown[0]
    return found


def _split_name(path):
    """Returns the name of the split of a file of annotations."""
    return path.parent.name if path.name.startswith("_") else path.stem.removeprefix("instances_")


def _finder(folder, annotations):
    """Returns a function from an image's name in a file of annotations to its path, or to None if there is no file.

    Its second argument says whether the image may be found by the last part of its name, in any folder.
    """
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

    @functools.cache
    def by_last_part():
        """Returns the paths of all files in the folder, and below it, by their names."""
        found = collections.defaultdict(list)
        for place, _, names in os.walk(folder):
            for name in names:
                found[name].append(os.path.join(place, name))
        return found

    def path_of(name, may_be_elsewhere):
        for written in (name, name.replace("\\", "/")):
            if not os.path.isabs(written) and ".." not in written.split("/"):
                path = next((place / written for place in folders if (place / written).is_file()), None)
                if path is not None:
                    return str(path)
        if not may_be_elsewhere:
            return None
        last = last_part(name)
        near = {os.path.realpath(place / last): str(place / last) for place in folders if (place / last).is_file()}
        found = list(near.values()) or by_last_part().get(last, [])
        return found[0] if len(found) == 1 else None

    return path_of


def _first_difference(here, there):
    ours, theirs = (dict(zip(categories.ids, categories.names, strict=True)) for categories in (here, there))
    number = next(number for number in sorted({**ours, **theirs}) if ours.get(number) != theirs.get(number))
    return f"{number} is {ours.get(number)!r} here and {theirs.get(number)!r} there"
