"""Names of classes, and the most probable ones of a prediction."""

import importlib.resources

import numpy as np

from aa_keras.layers import _arguments


def lines(dataset):
    """Returns the lines of the file of a data set's classes, in the order of their indices."""
    file = importlib.resources.files("aa_keras.applications") / "labels" / f"{dataset}.txt"
    return file.read_text(encoding="utf-8").splitlines()


def names(dataset):
    """Returns the names of a data set's classes, of which each line gives an identifier and a name."""
    return tuple(line.split(" ", 1)[1] for line in lines(dataset))


def decode_predictions(predictions, top, classes, class_names=None):
    """Names the most probable classes.

    Args:
        predictions: array of shape (batch, classes).
        top: how many to name for each image.
        classes: a pair (identifier, name) for each class.
        class_names: names to take instead, the identifiers being the indices of the classes; or None.

    Returns:
        For each image the `top` triples (identifier, name, score), the highest score first.
    """
    if class_names is not None:
        if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
            raise ValueError(f"`class_names` must be a list of strings. Received: class_names={class_names!r}")
        classes = list(enumerate(class_names))
    predictions = np.asarray(predictions)
    if predictions.ndim != 2 or predictions.shape[1] != len(classes):
        raise ValueError(
            f"`preds` must have the shape (batch, {len(classes)}). Received: preds of shape {predictions.shape}"
        )
    if not _arguments.is_integer(top) or not 1 <= top <= len(classes):
        raise ValueError(f"`top` must be an integer from 1 to {len(classes)}. Received: top={top!r}")
    # Stable, so that equal scores come in the order of their classes.
    best = np.argsort(-predictions, axis=1, kind="stable")[:, :top]
    return [
        [(*classes[index], float(row[index])) for index in indices]
        for row, indices in zip(predictions, best, strict=True)
    ]
