"""Uneven classes: how many images each has, and a loss in which rare ones count more."""

import keras
import numpy as np
from keras import ops

from aa_keras.data import listed
from aa_keras.recipes.checks import require

# From this ratio of the commonest class to the rarest on, a line says that the classes are uneven.
UNEVEN = 10


def is_asked_for(config):
    """Whether a config does something about uneven classes."""
    return config.class_weights is not None or config.sampling == "balanced"


def counts_of(examples, classes):
    """Returns the number of images of each class, an array, or None if all labels would have to be read for it."""
    labels = examples.labels
    return None if labels is None else np.bincount(labels, minlength=classes)


def check(config, examples, class_names):
    """Raises UserError if the config balances classes whose images cannot be counted, or weights unknown classes."""
    for field in ("class_weights", "sampling"):
        require(
            config,
            field,
            lambda value: value != "balanced" or examples.labels is not None,
            "another value than 'balanced' for images that TensorFlow Datasets streams: their classes are not known "
            "before they are read",
        )
    if hasattr(config.class_weights, "items"):
        unknown = sorted(set(config.class_weights) - set(class_names))
        require(
            config,
            "class_weights",
            lambda _: not unknown,
            f"for classes of the data set, which are {listed(class_names)}",
        )
        require(config, "class_weights", lambda weights: any(dict(weights).values()), "above 0 for one class at least")


def weights_of(config, examples, class_names):
    """Returns the weight of each class in the loss, an array.

    Balanced weights are n / (k n_c) for n images, n_c of them in a class, and k classes with images, so that the mean
    over images is 1: as scikit-learn's `compute_class_weight`. In a dictionary, classes that are not named have the
    weight 1.
    """
    given = config.class_weights
    if given == "balanced":
        counts = counts_of(examples, len(class_names))
        balanced = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return np.where(counts > 0, balanced, 1.0).astype("float32")
    return np.array([given.get(name, 1.0) for name in class_names], "float32")


def lines(config, examples, class_names):
    """Returns lines about the rarest and the commonest class, a list."""
    counts = counts_of(examples, len(class_names))
    if counts is None:
        return []
    rarest, commonest = int(np.argmin(counts)), int(np.argmax(counts))
    described = [
        f"Training images of a class: {counts[rarest]:,} ({class_names[rarest]}) to {counts[commonest]:,} "
        f"({class_names[commonest]})"
    ]
    if counts[commonest] >= UNEVEN * counts[rarest] and not is_asked_for(config):
        described.append(
            "The classes are uneven: --config.class_weights=balanced or --config.sampling=balanced makes rare ones "
            "count, and --config.best_metric=balanced_accuracy chooses the best network for all of them alike"
        )
    return described


class WeightedCrossentropy(keras.losses.CategoricalCrossentropy):
    """Cross-entropy of logits in which each class has a weight; that of a mixed label is the mix of weights.

    Args:
        weights: array (classes,).
        label_smoothing: share of a label that is spread evenly over all classes.
    """

    def __init__(self, weights, label_smoothing):
        super().__init__(from_logits=True, label_smoothing=label_smoothing)
        self._weights = weights

    def call(self, y_true, y_pred):
        """Returns the weighted losses of a batch."""
        weights = ops.sum(ops.cast(y_true, "float32") * ops.convert_to_tensor(self._weights), axis=-1)
        return super().call(y_true, y_pred) * weights
