"""The metrics of a classifier over every example of a data set."""

import dataclasses
import sys

import keras
import numpy as np

from aa_keras.data import as_probabilities
from aa_keras.errors import UserError


@dataclasses.dataclass(frozen=True)
class Mistake:
    """An image with a wrong prediction.

    Attributes:
        image: the image as the classifier saw it.
        label: its class.
        prediction: the predicted class.
        confidence: the probability of that class.
    """

    image: np.ndarray
    label: int
    prediction: int
    confidence: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The metrics of a classifier.

    Attributes:
        examples: number of images.
        top1: share of the images whose class had the highest probability.
        top5: share of the images whose class was among the five with the highest probabilities.
        loss: mean cross-entropy, in nats.
        per_class_accuracy: top-1 accuracy for the images of each class; NaN for a class without images.
        confusion: integer array (classes, classes), images by true class (rows) and predicted class (columns).
        mistakes: the most confident mistakes, the worst first.
    """

    examples: int
    top1: float
    top5: float
    loss: float
    per_class_accuracy: np.ndarray
    confusion: np.ndarray
    mistakes: tuple[Mistake, ...] = ()


def evaluate(predict, batches, batch_size, mistakes_kept=0):
    """Evaluates a classifier.

    Args:
        predict: function of an array of `batch_size` images that returns probabilities (batch_size, classes), such as
            a Keras model's `predict_on_batch`.
        batches: sized iterable of pairs of images and labels, in batches of which the last may be smaller. It is
            padded for `predict`, which thus sees one shape, and the metrics leave the padding out.
        batch_size: images in a full batch.
        mistakes_kept: how many of the most confident mistakes to keep with their images.

    Returns:
        An `Evaluation`.
    """
    probabilities, labels, mistakes = [], [], []
    progress = keras.utils.Progbar(len(batches), unit_name="batch", verbose=1 if sys.stdout.isatty() else 0)
    for images, batch_labels in batches:
        images, batch_labels = np.asarray(images), np.asarray(batch_labels)
        padding = batch_size - len(images)
        padded = np.pad(images, ((0, padding),) + ((0, 0),) * (images.ndim - 1))
        probabilities.append(np.asarray(predict(padded))[: len(images)])
        labels.append(batch_labels)
        mistakes = _most_confident([*mistakes, *_mistakes(images, batch_labels, probabilities[-1])], mistakes_kept)
        progress.add(1)
    measured = measure(np.concatenate(probabilities), np.concatenate(labels))
    return dataclasses.replace(measured, mistakes=tuple(mistakes))


def checked(predict, dataset):
    """Wraps `predict` to raise UserError if it does not return probabilities of the data set's classes."""

    def predict_and_check(images):
        probabilities = as_probabilities(predict(images))
        if probabilities.shape[1] != len(dataset.class_names):
            raise UserError(
                f"The model has {probabilities.shape[1]} classes, and the data set {dataset.name!r} has "
                f"{len(dataset.class_names)}"
            )
        return probabilities

    return predict_and_check


def _mistakes(images, labels, probabilities):
    predictions = np.argmax(probabilities, axis=1)
    for index in np.flatnonzero(predictions != labels):
        label, prediction = int(labels[index]), int(predictions[index])
        yield Mistake(images[index], label, prediction, float(probabilities[index, prediction]))


def _most_confident(mistakes, count):
    return sorted(mistakes, key=lambda mistake: -mistake.confidence)[:count]


def measure(probabilities, labels):
    """Returns the `Evaluation` of probabilities (examples, classes) against integer labels (examples,).

    Raises:
        UserError: if a probability is infinite or NaN.
    """
    examples, classes = probabilities.shape
    if not np.isfinite(probabilities).all():
        raise UserError(
            "The model's probabilities are not all numbers: its weights, or its batch statistics, overflowed"
        )
    correct = probabilities[np.arange(examples), labels]
    # The number of classes before the true one; of equal probabilities, the lower index is first, as in argmax.
    earlier = np.arange(classes)[None, :] < labels[:, None]
    rank = np.sum((probabilities > correct[:, None]) | (earlier & (probabilities == correct[:, None])), axis=1)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (labels, np.argmax(probabilities, axis=1)), 1)
    images_of_class = confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        per_class_accuracy = np.diag(confusion) / images_of_class
    smallest = np.finfo(np.float32).tiny
    return Evaluation(
        examples=examples,
        top1=float(np.mean(rank < 1)),
        top5=float(np.mean(rank < 5)),
        loss=float(-np.mean(np.log(np.maximum(correct.astype(np.float64), smallest)))),
        per_class_accuracy=per_class_accuracy,
        confusion=confusion,
    )


def summary(evaluation):
    """Returns an evaluation as a phrase."""
    return (
        f"top-1 {evaluation.top1:.2%}, top-5 {evaluation.top5:.2%}, loss {evaluation.loss:.4f} "
        f"({evaluation.examples:,} images)"
    )
