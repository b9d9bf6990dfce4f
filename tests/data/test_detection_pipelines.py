"""Boxes follow their images through resizing, jitter and mirroring; batches are the same at each run."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.detection import COLORS, squares

from aa_keras.data.coco import AnnotatedImage
from aa_keras.data.coco_folder import FileDetections, load_coco_folder
from aa_keras.data.detection_pipelines import (
    DetectionPreprocessing,
    detection_evaluation_dataset,
    detection_training_dataset,
    detection_validation_dataset,
)

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
BOXES = np.array([[10, 20, 30, 50], [34, 60, 46, 76]], np.float32)
LABELS = np.array([3, 5], np.int32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_coco_folder(squares(tmp_path_factory.mktemp("squares")))


def preprocessing(size=(64, 96), **fields):
    return DetectionPreprocessing(MEAN, STD, size, **fields)


def image_of_boxes():
    """White rectangles on black, of 50x80 pixels."""
    image = np.zeros((50, 80, 3), np.uint8)
    for top, left, bottom, right in BOXES.astype(int):
        image[top:bottom, left:right] = 255
    return image


def rectangles(image):
    """The boxes of what is white in a normalized image: those of the two parts that a gap separates."""
    white = (np.asarray(image) * STD + MEAN).mean(axis=-1) > 127
    found = []
    for columns in np.split(np.arange(white.shape[1]), np.flatnonzero(~white.any(axis=0))):
        columns = [column for column in columns if white[:, column].any()]
        if columns:
            rows = np.flatnonzero(white[:, columns].any(axis=1))
            found.append((rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    return np.array(found)


def test_what_fills_an_image_up_is_the_rounded_mean_pixel():
    fitted, _ = DetectionPreprocessing((100.4, 99.5, 7), (2, 2, 2), (64, 96)).fit(image_of_boxes())
    pixels = np.asarray(fitted)
    np.testing.assert_array_equal(pixels, np.round(pixels))
    np.testing.assert_array_equal(pixels[60:], np.broadcast_to([100, 100, 7], (4, 96, 3)))


def test_an_image_is_fitted_as_a_whole():
    for size, expected in (((64, 96), (60, 96)), ((64, 128), (64, 102)), ((32, 32), (20, 32)), ((50, 80), (50, 80))):
        fitted, scale = preprocessing(size).for_evaluation(image_of_boxes())
        assert fitted.shape == (*size, 3)
        np.testing.assert_allclose(scale, [expected[0] / 50, expected[1] / 80] * 2, rtol=1e-6)
        np.testing.assert_array_equal(fitted[expected[0] :], 0.0)
        np.testing.assert_array_equal(fitted[:, expected[1] :], 0.0)
        assert np.any(np.asarray(fitted)[expected[0] - 1] != 0)
        np.testing.assert_allclose(rectangles(fitted), BOXES * scale, atol=1.0)
    same, _ = preprocessing((50, 80)).for_evaluation(image_of_boxes())
    np.testing.assert_allclose(same, (image_of_boxes() - MEAN) / STD, rtol=1e-4, atol=1e-4)
    batch, _ = preprocessing().for_evaluation(np.stack([image_of_boxes()] * 2))
    np.testing.assert_allclose(batch[1], preprocessing().for_evaluation(image_of_boxes())[0], rtol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("jitter", [(1.0, 1.0), (0.5, 0.5), (0.6, 1.1)])
def test_boxes_follow_what_they_are_of(flip, jitter):
    augment = tf.function(preprocessing(scale_jitter=jitter, horizontal_flip=flip).for_training)
    mirrored = 0
    for seed in range(12):
        image, boxes, labels = augment(image_of_boxes(), BOXES, LABELS, tf.constant([seed, 0]))
        assert image.shape == (64, 96, 3)
        order = np.argsort(boxes[:, 1])
        mirrored += order.tolist() == [1, 0]
        np.testing.assert_allclose(np.asarray(boxes)[order], rectangles(image), atol=1.0)
        assert labels.numpy().tolist() == [3, 5]
    assert (0 < mirrored < 12) == flip


def test_larger_images_are_cropped_anywhere_and_boxes_with_them():
    augment = tf.function(preprocessing(scale_jitter=(3.0, 3.0)).for_training)
    numbers, corners = set(), set()
    for seed in range(30):
        image, boxes, labels = augment(image_of_boxes(), BOXES, LABELS, tf.constant([seed, 1]))
        numbers.add(len(labels))
        boxes = boxes.numpy()
        assert np.all(boxes[:, :2] >= 0)
        assert np.all(boxes[:, 2:] <= (64, 96))
        np.testing.assert_allclose(boxes[np.argsort(boxes[:, 1])], rectangles(image).reshape(-1, 4), atol=1.5)
        corners.update(map(tuple, np.round(boxes[:, :2])))
    assert numbers >= {0, 1}
    assert len(corners) > 15


def batches(dataset, epochs=range(2), shard=(0, 1), **fields):
    fields = {"scale_jitter": (0.8, 1.2), "horizontal_flip": True, **fields}
    pipeline = detection_training_dataset(dataset, preprocessing(**fields), 4, 3, 7, epochs, shard=shard)
    return [tuple(np.asarray(part) for part in (images, of["boxes"], of["labels"])) for images, of in pipeline]


def test_batches_depend_on_seed_and_epoch_alone(dataset):
    whole = batches(dataset.train)
    assert len(whole) == 6
    for ours, theirs in zip(whole[3:], batches(dataset.train, range(1, 2)), strict=True):
        for first, second in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(first, second)
    assert not np.array_equal(whole[0][0], whole[3][0])
    images, boxes, labels = whole[0]
    assert (images.shape, images.dtype) == ((4, 64, 96, 3), np.float32)
    assert boxes.shape == (4, dataset.train.most_boxes, 4)
    assert (boxes.dtype, labels.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(boxes[labels < 0], -1)
    assert np.all(boxes[labels >= 0] >= 0)
    assert any(np.all(labels == -1, axis=1).any() for *_, labels in whole)  # images without boxes are kept


def test_boxes_have_the_colours_of_their_classes(dataset):
    names = dataset.categories.names
    for images, boxes, labels in batches(dataset.train, range(1)):
        for image, of_image, classes in zip(images, boxes, labels, strict=True):
            for (top, left, bottom, right), label in zip(of_image[classes >= 0], classes[classes >= 0], strict=True):
                pixel = image[int((top + bottom) / 2), int((left + right) / 2)] * STD + MEAN
                if bottom - top > 6 and right - left > 6:
                    np.testing.assert_allclose(pixel, COLORS[names[int(label)]], atol=30)


def test_shards_share_each_epoch(dataset):
    parts = [batches(dataset.train, range(1), (part, 2)) for part in (0, 1)]
    assert parts[0][0][0].shape == (2, 64, 96, 3)
    seen = [image.tobytes() for part in parts for images, *_ in part for image in images]
    assert len(set(seen)) == len(seen) == 12


def test_crowds_are_not_trained_on(dataset):
    one = dataset.train.annotated[1]
    crowd = AnnotatedImage(
        one.id, one.name, one.height, one.width, one.boxes[:1], one.labels[:1], one.areas[:1], np.array([True])
    )
    examples = FileDetections([crowd] * 4)
    for _, _, labels in batches(examples, range(1)):
        assert np.all(labels == -1)
    for _, objects, _ in detection_validation_dataset(examples, preprocessing(), 4):
        assert np.all(objects["labels"] == -1)


def test_validation_and_evaluation_see_every_image_once(dataset):
    annotated = dataset.test.annotated
    rows = list(detection_validation_dataset(dataset.test, preprocessing(), 4).unbatch())
    assert [float(weight) for _, _, weight in rows] == [1.0] * 5 + [0.0] * 3
    evaluated = list(detection_evaluation_dataset(dataset.test, preprocessing(), 4).unbatch())
    assert len(evaluated) == 5
    for image, (pixels, objects, _), (same, scale) in zip(annotated, rows, evaluated, strict=False):
        np.testing.assert_array_equal(pixels, same)
        valid = objects["labels"].numpy() >= 0
        np.testing.assert_allclose(objects["boxes"].numpy()[valid] / scale, image.boxes, rtol=1e-4, atol=1e-3)
    halves = [list(detection_validation_dataset(dataset.test, preprocessing(), 4, shard=(part, 2))) for part in (0, 1)]
    assert [images.shape[0] for half in halves for images, *_ in half] == [2, 2, 2, 2]
    assert sum(float(np.sum(weights)) for half in halves for *_, weights in half) == 5
