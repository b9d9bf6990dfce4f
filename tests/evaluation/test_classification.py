"""Measures of a classifier against plain loops, and each example counted once."""

import math

import numpy as np
import pytest
from PIL import Image

from aa_keras.errors import UserError
from aa_keras.evaluation.classification import evaluate, measure
from aa_keras.evaluation.confusion import most_confused
from aa_keras.evaluation.pictures import plot_curves


def ranking(row):
    """Classes by probability, of equal ones the lower first."""
    return sorted(range(len(row)), key=lambda index: (-row[index], index))


def oracle(probabilities, labels):
    """The measures, image by image."""
    classes = len(probabilities[0])
    confusion = [[0] * classes for _ in range(classes)]
    top1 = top5 = loss = 0
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        ranked = ranking(row)
        top1 += label == ranked[0]
        top5 += label in ranked[:5]
        loss -= math.log(row[label])
        confusion[label][ranked[0]] += 1
    per_class = [line[index] / sum(line) if sum(line) else math.nan for index, line in enumerate(confusion)]
    return top1 / len(labels), top5 / len(labels), loss / len(labels), per_class, confusion


def random_probabilities(examples, classes, seed=0, dtype="float32"):
    logits = np.random.default_rng(seed).normal(size=(examples, classes))
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(dtype)


def with_ties(examples, classes):
    """Probabilities of few values, so that the true class is often one of several with the same one."""
    counts = np.random.default_rng(1).integers(1, 4, size=(examples, classes)).astype("float32")
    return counts / 64


@pytest.mark.parametrize("make", [random_probabilities, with_ties])
@pytest.mark.parametrize("classes", [10, 6, 3])
def test_measures_are_those_of_plain_loops(make, classes):
    probabilities = make(200, classes)
    labels = np.random.default_rng(2).integers(0, classes, size=200).astype("int32")
    labels[labels == 1] = 0  # a class without images
    measured = measure(probabilities, labels)
    top1, top5, loss, per_class, confusion = oracle(probabilities, labels)
    assert measured.examples == 200
    assert measured.top1 == pytest.approx(top1, abs=1e-12)
    assert measured.top5 == pytest.approx(top5, abs=1e-12)
    assert measured.cross_entropy == pytest.approx(loss, rel=1e-6)
    np.testing.assert_array_equal(measured.confusion, confusion)
    np.testing.assert_allclose(measured.per_class_accuracy, per_class, rtol=1e-12, equal_nan=True)
    assert np.isnan(measured.per_class_accuracy[1])
    # The pieces agree: what lies on the diagonal of the confusion matrix is what was right.
    assert np.trace(measured.confusion) == round(measured.top1 * 200)


def test_equal_probabilities_everywhere_find_the_first_classes():
    measured = measure(np.full((8, 8), 1 / 8, dtype="float32"), np.arange(8))
    assert (measured.top1, measured.top5) == (1 / 8, 5 / 8)
    np.testing.assert_array_equal(measured.confusion[:, 0], np.ones(8))


def test_a_probability_of_zero_leaves_the_loss_finite():
    measured = measure(np.array([[1.0, 0.0]], dtype="float32"), np.array([1]))
    assert 80 < measured.cross_entropy < 110  # -log of the smallest normal float32 is 87


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_an_error_rather_than_right(value):
    probabilities = random_probabilities(4, 10)
    probabilities[2, 3] = value
    with pytest.raises(UserError, match="not all numbers"):
        measure(probabilities, np.array([0, 3, 3, 1]))


class Recorder:
    """A classifier that gives each image's first pixel the highest probability, and keeps account of its batches."""

    def __init__(self, classes):
        self.classes = classes
        self.shapes = []

    def __call__(self, images):
        self.shapes.append(images.shape)
        predicted = images[:, 0, 0, 0].astype(int)
        return np.eye(self.classes, dtype="float32")[predicted] * 0.9 + 0.01


def batches_of(images, labels, size):
    return [(images[start : start + size], labels[start : start + size]) for start in range(0, len(labels), size)]


@pytest.mark.parametrize(("examples", "size", "batches"), [(11, 4, 3), (12, 4, 3), (3, 4, 1), (1, 1, 1)])
def test_the_last_batch_is_padded_and_each_example_counted_once(examples, size, batches):
    labels = np.arange(examples) % 6
    images = np.zeros((examples, 3, 2, 1), dtype="float32")
    images[:, 0, 0, 0] = labels
    images[0, 0, 0, 0] = 5  # taken for another class
    predict = Recorder(classes=6)
    measured = evaluate(predict, batches_of(images, labels, size), size)
    assert predict.shapes == [(size, 3, 2, 1)] * batches
    assert measured.examples == examples == measured.confusion.sum()
    assert measured.top1 == pytest.approx((examples - 1) / examples)
    np.testing.assert_array_equal(measured.confusion.sum(axis=1), np.bincount(labels, minlength=6))
    assert measured.confusion[0, 5] == 1


def test_the_most_confident_mistakes_are_kept_with_their_images():
    probabilities = random_probabilities(10, 4, seed=5)
    images = np.arange(10, dtype="float32").reshape(10, 1, 1, 1)
    labels = np.argmax(probabilities, axis=1)
    wrong = [1, 2, 4, 7, 9]
    labels[wrong] = (labels[wrong] + 1) % 4

    def predict(batch):
        return probabilities[batch[:, 0, 0, 0].astype(int)]

    measured = evaluate(predict, batches_of(images, labels, 3), 3, mistakes_kept=3)
    worst = sorted(wrong, key=lambda index: -probabilities[index].max())[:3]
    assert [int(mistake.image[0, 0, 0]) for mistake in measured.mistakes] == worst
    for mistake, index in zip(measured.mistakes, worst, strict=True):
        assert mistake.label == labels[index]
        assert mistake.prediction == np.argmax(probabilities[index])
        assert mistake.confidence == pytest.approx(probabilities[index].max())
    assert evaluate(predict, batches_of(images, labels, 3), 3).mistakes == ()


def test_the_most_confused_pairs_come_first():
    confusion = np.array([[5, 2, 0], [4, 6, 0], [0, 2, 0]])
    found = [(pair.label, pair.prediction, pair.images, pair.of) for pair in most_confused(confusion)]
    assert found == [(1, 0, 4, 10), (0, 1, 2, 7), (2, 1, 2, 2)]
    assert [pair.described("abc") for pair in most_confused(confusion, count=1)] == ["b as a (4 of 10)"]
    assert most_confused(np.diag([3, 4])) == []


def test_one_metric_is_drawn(tmp_path):
    """As for a task of one's own with a single panel."""
    history = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    plot_curves(history, {"Loss": {"training": "loss", "validation": "val_loss"}}, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert len(picture.convert("RGB").getcolors(2**24)) > 20
