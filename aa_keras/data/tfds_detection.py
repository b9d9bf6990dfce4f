"""Images with boxes from TensorFlow Datasets: COCO."""

import functools

import numpy as np
import tensorflow as tf

from aa_keras.data.coco import Categories, annotated_image, box_problem
from aa_keras.data.detection import DetectionDataset, DetectionImages
from aa_keras.data.orientation import displayed_size
from aa_keras.data.progress import Progress
from aa_keras.data.splits import check_validation_examples, choose_splits
from aa_keras.data.tfds_images import TfdsImages, find_builder, prepare, unreadable
from aa_keras.errors import UserError

# The most objects of an image to train on, as in TensorFlow's own RetinaNet.
MOST_BOXES = 100


class TfdsDetections(TfdsImages, DetectionImages):
    """The encoded images of a split, or of a part of one, and their boxes.

    Args:
        builder: `tfds.core.DatasetBuilder`, prepared.
        split: split as TFDS writes it, such as "train[:1000]".
        bad_boxes: `BadBoxes`.
        shuffle_buffer: number of examples in the buffer that training draws from.
        groups: number of groups of files to shuffle.
    """

    FEATURES = ("image", "image/filename", "image/id", "objects")
    most_boxes = MOST_BOXES

    def __init__(self, builder, split, bad_boxes, shuffle_buffer=8192, groups=1):
        self._bad_boxes = bad_boxes
        super().__init__(builder, split, 1, shuffle_buffer, groups)

    def relabelled(self, labels):
        other = super().relabelled(labels)
        other.__dict__.pop("annotated", None)  # with the old labels
        return other

    def _record(self, index, example):
        name, encoded, objects = example["image/filename"], example["image"], example["objects"]
        size = tf.ensure_shape(tf.numpy_function(_displayed_size, (encoded,), tf.int32), (2,))
        limits = tf.cast(tf.tile(size, (2,)), tf.float32)
        boxes = objects["bbox"] * limits  # TFDS stores boxes in parts of the image's sides
        is_good = tf.numpy_function(self._are_good, (name, size, objects["id"], boxes), tf.bool)
        is_good = tf.ensure_shape(is_good, (None,))
        return (
            index,
            name,
            encoded,
            {
                "boxes": tf.clip_by_value(boxes, 0.0, limits)[is_good],
                "labels": self._labels(objects["label"])[is_good],
                "is_crowd": objects["is_crowd"][is_good],
            },
        )

    def _are_good(self, name, size, numbers, boxes):
        height, width = map(int, size)
        problems = [box_problem(tuple(map(float, box)), height, width) for box in boxes]
        for number, problem in zip(numbers, problems, strict=True):
            if problem is not None:
                self._bad_boxes.found(f"annotation {number} of {name.decode(errors='replace')}", problem)
        return np.array([problem is None for problem in problems], bool)

    @functools.cached_property
    def annotated(self):
        found = []
        with Progress("Reading boxes", len(self)) as progress:
            for _, example in self._in_order:
                found.append(self._annotated_image(example))
                progress.done += 1
        return tuple(found)

    def _annotated_image(self, example):
        name, objects = example["image/filename"].numpy(), example["objects"]
        size = _displayed_size(example["image"].numpy())
        limits = np.tile(size, 2).astype(np.float32)
        boxes = objects["bbox"].numpy() * limits
        is_good = self._are_good(name, size, objects["id"].numpy(), boxes)
        labels = self._labels(objects["label"]).numpy()
        columns = (np.clip(boxes, 0, limits), labels, *(objects[key].numpy() for key in ("area", "is_crowd")))
        rows = list(zip(*(column[is_good] for column in columns), strict=True))
        return annotated_image(int(example["image/id"]), name.decode(errors="replace"), *map(int, size), rows)


def _displayed_size(encoded):
    return np.array(displayed_size(encoded), np.int32)


def load_detections_from_tensorflow_datasets(
    name, data_dir, validation_examples, test_split, bad_boxes, shuffle_buffer=8192
):
    """Loads a data set of TensorFlow Datasets: see `aa_keras.data.load_detection_dataset`."""
    builder = find_builder(name, data_dir)
    features = builder.info.features or {}
    if "objects" not in features or not set(TfdsDetections.FEATURES) <= set(features):
        raise UserError(
            "config.dataset must name a data set of images with boxes, such as 'coco/2017', or be 'coco_folder'. "
            f"Received: dataset={name!r}, whose features are {sorted(features)}"
        )
    try:
        prepare(builder)
        splits = [split for split in builder.info.splits if split != "test"] or ["train", "validation"]  # without boxes
        test_split, _ = choose_splits(splits, test_split, f"the data set {name!r}")
        train_examples = int(builder.as_dataset(split="train").cardinality())
        check_validation_examples(validation_examples, train_examples, None)
        kept = train_examples - validation_examples
        files = builder.info.splits["train"].num_shards if builder.info.splits else 1
        train = TfdsDetections(builder, f"train[:{kept}]", bad_boxes, shuffle_buffer, groups=min(files, 32))
        validation = TfdsDetections(builder, f"train[{kept}:]", bad_boxes) if validation_examples else None
        test = train if test_split == "train" else TfdsDetections(builder, test_split, bad_boxes)
    except UserError:
        raise
    except Exception as error:  # TFDS raises errors of many kinds for missing files, network or splits
        raise unreadable(name, data_dir, error) from None
    names = tuple(features["objects"]["label"].names)
    categories = Categories(names, tuple(range(1, len(names) + 1)))  # TFDS keeps no other numbers
    return DetectionDataset(builder.name, categories, train, validation, test, bad_boxes)
