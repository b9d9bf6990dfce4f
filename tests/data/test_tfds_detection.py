"""COCO from TensorFlow Datasets, with its mock's images and boxes that can be."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from aa_keras import recipes
from aa_keras.data import BadBoxes, load_detection_dataset
from aa_keras.data.detection_pipelines import DetectionPreprocessing, detection_training_dataset
from aa_keras.errors import UserError
from aa_keras.tasks import detection, task_for

SIZES = ((40, 60), (50, 30), (64, 64))
# Shares of the sides of each image: none, two, one of no height.
BOXES = ([], [(0.1, 0.2, 0.5, 0.6), (0.0, 0.0, 1.0, 1.0)], [(0.5, 0.5, 0.5, 0.9)])


def examples(boxes):
    """Returns the function of a mock of TFDS that yields three images with these boxes."""

    def as_dataset(*_, **__):
        generator = np.random.default_rng(0)

        def yielded():
            for index, (size, of_image) in enumerate(zip(SIZES, boxes, strict=True)):
                pixels = generator.integers(0, 256, (*size, 3)).astype(np.uint8)
                yield {
                    "image": tf.io.encode_jpeg(pixels, quality=100).numpy(),
                    "image/filename": f"{index:012d}.jpg",
                    "image/id": 139 + index,
                    "objects": {
                        "area": np.full(len(of_image), 123, np.int64),
                        "bbox": np.array(of_image, np.float32).reshape(-1, 4),
                        "id": np.arange(len(of_image)) + 10 * index,
                        "is_crowd": np.arange(len(of_image)) == 1,
                        "label": np.arange(len(of_image)) + 11,
                    },
                }

        text, whole = (tf.TensorSpec((), kind) for kind in (tf.string, tf.int64))
        many = {"area": tf.int64, "id": tf.int64, "is_crowd": tf.bool, "label": tf.int64}
        objects = {name: tf.TensorSpec((None,), kind) for name, kind in many.items()}
        objects["bbox"] = tf.TensorSpec((None, 4), tf.float32)
        signature = {"image": text, "image/filename": text, "image/id": whole, "objects": objects}
        dataset = tf.data.Dataset.from_generator(yielded, output_signature=signature)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(SIZES)))

    return as_dataset


def load(boxes, **fields):
    with tfds.testing.mock_data(num_examples=3, as_dataset_fn=examples(boxes)):
        return load_detection_dataset("coco/2017", **fields)


def test_boxes_are_pixels_and_images_keep_their_numbers():
    dataset = load([*BOXES[:2], []], test_split="validation")
    assert (len(dataset.train), dataset.validation, len(dataset.test)) == (3, None, 3)
    first, second, _ = dataset.test.annotated
    assert (first.id, first.name, first.height, first.width) == (139, "000000000000.jpg", 40, 60)
    assert first.boxes.shape == (0, 4)
    np.testing.assert_allclose(second.boxes, [[5, 6, 25, 18], [0, 0, 50, 30]], rtol=1e-5)
    assert second.labels.tolist() == [11, 12]
    assert second.is_crowd.tolist() == [False, True]
    assert second.areas.tolist() == [123, 123]
    for index, name, _, objects in dataset.train.records(tf.constant([3, 4], tf.int64)):
        annotated = dataset.train.annotated[int(index)]
        assert name.numpy().decode() == annotated.name
        np.testing.assert_allclose(objects["boxes"], annotated.boxes)
        np.testing.assert_array_equal(objects["is_crowd"], annotated.is_crowd)


def test_bad_boxes_are_reported_or_left_out_where_they_are_read():
    strict = load(BOXES)
    preprocessing = DetectionPreprocessing((0, 0, 0), (1, 1, 1), (64, 64))

    def batches(dataset):
        with dataset.bad_boxes.as_user_errors():
            return list(detection_training_dataset(dataset.train, preprocessing, 3, 1, 0, range(1)))

    for read in (batches, lambda dataset: dataset.test.annotated):
        with pytest.raises(UserError, match=r"annotation 20 of 0+2\.jpg: its box has no area: .* 32, 32, 32, 57"):
            read(strict)
    skipping = load(BOXES, bad_boxes=BadBoxes(skip=True))
    ((_, objects),) = batches(skipping)
    assert sorted(np.sum(objects["labels"] >= 0, axis=1)) == [0, 0, 1]  # a crowd is none to train on
    assert [len(image.labels) for image in skipping.test.annotated] == [0, 2, 0]
    assert list(skipping.bad_boxes.skipped) == ["annotation 20 of 000000000002.jpg"]


def test_classes_are_cocos():
    pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")
    config = recipes.load_recipe(recipes.find_recipe("coco_aa_retinanet50"))
    with tfds.testing.mock_data(num_examples=3, as_dataset_fn=examples(BOXES)):
        config.data_dir = None
        task = task_for(config)
        assert isinstance(task, detection.Detection)
        categories = task.categories
    assert len(categories.ids) == len(categories.names) == 80
    assert (categories.ids[0], categories.names[0]) == (1, "person")
    assert (categories.ids[79], categories.names[79]) == (90, "toothbrush")
    assert dict(zip(categories.names, categories.ids, strict=True))["zebra"] == 24


def test_what_has_no_boxes_is_refused():
    with (
        tfds.testing.mock_data(num_examples=3),
        pytest.raises(UserError, match=r"must name a data set of images with boxes.*'cifar100', whose features are"),
    ):
        load_detection_dataset("cifar100")
    with (
        tfds.testing.mock_data(num_examples=3, as_dataset_fn=examples(BOXES)),
        pytest.raises(UserError, match=r"config\.validation_examples must be from 0 to 2"),
    ):
        load_detection_dataset("coco/2017", validation_examples=3)
