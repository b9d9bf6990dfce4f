"""Measuring a classifier over every example of a data set."""

import dataclasses

import numpy as np

from aa_keras.data import Progress, as_probabilities
from aa_keras.data.probabilities import SUM_TOLERANCE
from aa_keras.errors import UserError
from aa_keras.evaluation.classification_results import Evaluation, Mistake
from aa_keras.evaluation.scores import scores_of


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
    with Progress("Evaluating", len(batches), "batches") as progress:
        for images, batch_labels in batches:
            images, batch_labels = np.asarray(images), np.asarray(batch_labels)
            padding = batch_size - len(images)
            padded = np.pad(images, ((0, padding),) + ((0, 0),) * (images.ndim - 1))
            probabilities.append(np.asarray(predict(padded))[: len(images)])
            labels.append(batch_labels)
            mistakes = _most_confident([*mistakes, *_mistakes(images, batch_labels, probabilities[-1])], mistakes_kept)
            progress.done += 1
    measured = measure(np.concatenate(probabilities), np.concatenate(labels))
    return dataclasses.replace(measured, mistakes=tuple(mistakes))


def checked(predict, dataset, sum_tolerance=SUM_TOLERANCE):
    """Wraps `predict` to raise UserError if it does not return probabilities of the data set's classes."""

    def predict_and_check(images):
        probabilities = as_probabilities(predict(images), sum_tolerance)
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
        cross_entropy=float(-np.mean(np.log(np.maximum(correct.astype(np.float64), smallest)))),
        per_class_accuracy=per_class_accuracy,
        confusion=confusion,
        scores=scores_of(probabilities, labels),
    )
