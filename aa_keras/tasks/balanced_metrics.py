"""Metrics of training and validation for uneven classes, from the confusion matrix of an epoch."""

import keras
from keras import ops


class _OfConfusion(keras.metrics.Metric):
    """A metric of the confusion matrix of labels that are probabilities, and logits.

    Keras's `F1Score` counts classes that are neither labelled nor predicted as 0, and it has no balanced accuracy.

    Args:
        classes: number of classes.
        name: name of the metric.
    """

    def __init__(self, classes, name):
        super().__init__(name=name)
        self.confusion = self.add_variable((classes, classes), "zeros", name="confusion")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch, in which images of weight 0 do not count."""
        classes = y_pred.shape[-1]
        true, predicted = (ops.one_hot(ops.argmax(values, axis=-1), classes) for values in (y_true, y_pred))
        if sample_weight is not None:
            true = true * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
        self.confusion.assign_add(ops.matmul(ops.transpose(true), predicted))

    def _counts(self):
        """Returns for each class the weights of its images, of those taken for it, and of those that are both."""
        return ops.sum(self.confusion, axis=1), ops.sum(self.confusion, axis=0), ops.diagonal(self.confusion)


class BalancedAccuracy(_OfConfusion):
    """The mean of the recalls of the classes with images."""

    def result(self):
        """Returns the value so far."""
        images, _, found = self._counts()
        return _mean_where(found / ops.maximum(images, 1e-9), images > 0)


class MacroF1(_OfConfusion):
    """The mean of the F1 of the classes that are labelled or predicted."""

    def result(self):
        """Returns the value so far."""
        images, predicted, found = self._counts()
        either = images + predicted
        return _mean_where(2 * found / ops.maximum(either, 1e-9), either > 0)


def _mean_where(values, mask):
    mask = ops.cast(mask, values.dtype)
    return ops.sum(values * mask) / ops.maximum(ops.sum(mask), 1.0)
