"""The pairs of classes that a classifier confuses."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Confused:
    """Two classes of which one is taken for the other.

    Attributes:
        label: the true class.
        prediction: the predicted class.
        images: how many images of the true class.
        of: how many images the true class has.
    """

    label: int
    prediction: int
    images: int
    of: int

    def described(self, class_names):
        """Returns it in words."""
        return f"{class_names[self.label]} as {class_names[self.prediction]} ({self.images:,} of {self.of:,})"


def most_confused(confusion, count=20):
    """Returns the pairs of classes that are confused most often, in a list of at most `count` `Confused`.

    Args:
        confusion: integer array (classes, classes), images by true class (rows) and predicted class (columns).
        count: integer.
    """
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[: min(count, np.count_nonzero(wrong))]
    pairs = (map(int, np.unravel_index(index, wrong.shape)) for index in order)
    return [
        Confused(label, prediction, int(wrong[label, prediction]), int(confusion[label].sum()))
        for label, prediction in pairs
    ]
