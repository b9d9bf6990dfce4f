"""Measuring a classifier on every example of a data set, each once."""

import dataclasses
import os
import pathlib
import sys

import keras
import ml_collections
import numpy as np

from aa_keras import visualization
from aa_keras.data import evaluation_dataset
from aa_keras.errors import UserError
from aa_keras.recipes import check_config, dataset_from, model_from, preprocessing_from
from aa_keras.run_directory import read_json, write_json


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a classifier did.

    Attributes:
        examples: how many images there were.
        top1: share of the images whose class had the highest probability.
        top5: share of those whose class was among the five highest.
        loss: mean cross-entropy, in nats.
        per_class_accuracy: top-1 accuracy for the images of each class; NaN for a class without images.
        confusion: integer array (classes, classes), images by true class (rows) and predicted class (columns).
    """

    examples: int
    top1: float
    top5: float
    loss: float
    per_class_accuracy: np.ndarray
    confusion: np.ndarray


def evaluate(predict, batches, batch_size):
    """Evaluates a classifier.

    Args:
        predict: function of an array of `batch_size` images that returns probabilities (batch_size, classes), such as
            a Keras model's `predict_on_batch`.
        batches: sized iterable of pairs of images and labels, in batches of which the last may be smaller. It is
            padded for `predict`, which so sees one shape, and the padding is left out of what is measured.
        batch_size: images in a full batch.

    Returns:
        An `Evaluation`.
    """
    probabilities, labels = [], []
    progress = keras.utils.Progbar(len(batches), unit_name="batch", verbose=1 if sys.stdout.isatty() else 0)
    for images, batch_labels in batches:
        images, batch_labels = np.asarray(images), np.asarray(batch_labels)
        padding = batch_size - len(images)
        images = np.pad(images, ((0, padding),) + ((0, 0),) * (images.ndim - 1))
        probabilities.append(np.asarray(predict(images))[: len(batch_labels)])
        labels.append(batch_labels)
        progress.add(1)
    return measure(np.concatenate(probabilities), np.concatenate(labels))


def measure(probabilities, labels):
    """Returns the `Evaluation` of probabilities (examples, classes) against integer labels (examples,)."""
    examples, classes = probabilities.shape
    correct = probabilities[np.arange(examples), labels]
    # How many classes come before the true one; of equal probabilities the lower index comes first, as in argmax.
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


def evaluate_run(config=None, workdir=None, weights=None, saved_model=None, output=None, data_dir=None):
    """Evaluates a trained model on the test images of its data set, and writes what came out.

    The model is that of a finished run (`workdir`), or a recipe's with a file of weights (`config` and `weights`), or
    a SavedModel of a recipe (`saved_model`, with `config` unless it lies in its run directory).

    Args:
        config: recipe, or None where the run directory tells it.
        workdir: run directory, or None.
        weights: file of weights (`.weights.h5` or `.keras`), or None.
        saved_model: folder of a SavedModel as `aa_keras.export` writes it, or None.
        output: folder for `evaluation.json` and `confusion_matrix.png`; None takes the run directory, or else
            the folder `evaluation`.
        data_dir: where the data lies, instead of where the config says.

    Returns:
        An `Evaluation`.

    Raises:
        UserError: if these do not name one model, or it cannot be read.
    """
    if sum(argument is not None for argument in (workdir, weights, saved_model)) != 1:
        raise UserError("exactly one of --workdir, --weights (with --config) and --saved_model must be given")
    if workdir is None and saved_model is not None and config is None:
        workdir = pathlib.Path(saved_model).resolve().parent
    if workdir is not None and config is None:
        config = _config_of_run(workdir)
    if config is None:
        raise UserError("--weights says nothing of the data and the network: --config must be given too")
    if data_dir is not None:
        config.data_dir = data_dir
    check_config(config)
    dataset = dataset_from(config)
    preprocessing = preprocessing_from(config, dataset)
    if saved_model is not None:
        predict = _saved_model(saved_model)
        batches = _raw_batches(dataset.test, config.batch_size)
    else:
        predict = _keras_model(config, dataset, workdir, weights).predict_on_batch
        batches = evaluation_dataset(dataset.test, preprocessing, config.batch_size)
    evaluation = evaluate(predict, batches, config.batch_size)
    if evaluation.confusion.shape[0] != len(dataset.class_names):
        raise UserError(
            f"The model has {evaluation.confusion.shape[0]} classes, and the data set {dataset.name!r} has "
            f"{len(dataset.class_names)}"
        )
    output = pathlib.Path(output or workdir or "evaluation")
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "evaluation.json", _as_dictionary(evaluation, dataset))
    visualization.plot_confusion_matrix(evaluation.confusion, dataset.class_names, output / "confusion_matrix.png")
    print(f"Test: {summary(evaluation)}")
    _print_extremes(evaluation, dataset.class_names)
    print(f"{output}: confusion_matrix.png, evaluation.json")
    return evaluation


def _config_of_run(workdir):
    path = pathlib.Path(workdir) / "config.json"
    if not path.is_file():
        raise UserError(f"There is no run in {os.fspath(workdir)!r}: it has no config.json. --config can name a recipe")
    return ml_collections.ConfigDict(read_json(path))


def _keras_model(config, dataset, workdir, weights):
    if workdir is not None:
        path = pathlib.Path(workdir) / "model.keras"
        if not path.is_file():
            raise UserError(f"The run in {os.fspath(workdir)!r} is not finished: train.py goes on with it")
        return keras.models.load_model(path, compile=False)
    if not pathlib.Path(weights).is_file():
        raise UserError(f"--weights must be a file that exists. Received: --weights={weights}")
    model = model_from(config, dataset, classifier_activation="softmax")
    try:
        model.load_weights(weights)
    except (ValueError, OSError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise UserError(f"--weights={weights} does not fit {config.builder} of the config: {first_line}") from None
    return model


def _saved_model(path):
    import tensorflow as tf

    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise UserError(f"--saved_model must be the folder of a SavedModel. Received: --saved_model={path}")
    signature = tf.saved_model.load(path).signatures["serving_default"]
    return lambda images: signature(images=tf.constant(images))["probabilities"]


def _raw_batches(examples, batch_size):
    starts = range(0, len(examples), batch_size)
    return [
        (examples.images[start : start + batch_size], examples.labels[start : start + batch_size]) for start in starts
    ]


def _as_dictionary(evaluation, dataset):
    return {
        "dataset": dataset.name,
        "examples": evaluation.examples,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "loss": evaluation.loss,
        "per_class_accuracy": {
            name: None if np.isnan(accuracy) else float(accuracy)
            for name, accuracy in zip(dataset.class_names, evaluation.per_class_accuracy, strict=True)
        },
    }


def _print_extremes(evaluation, class_names, count=3):
    """Prints the classes that do worst and best."""
    order = [index for index in np.argsort(evaluation.per_class_accuracy) if evaluation.confusion[index].sum()]
    for title, indices in (("Worst", order[:count]), ("Best", order[: -count - 1 : -1])):
        classes = (f"{class_names[index]} {evaluation.per_class_accuracy[index]:.1%}" for index in indices)
        print(f"{title} classes: {', '.join(classes)}")
