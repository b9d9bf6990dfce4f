"""The outputs of a classifier as probabilities, checked."""

import numpy as np

from aa_keras.errors import UserError

# By how much the sum may differ from 1: half precision rounds.
SUM_TOLERANCE = 1e-2


def as_probabilities(outputs, sum_tolerance=SUM_TOLERANCE):
    """Returns the outputs of a classifier as probabilities of its classes.

    A single output is the probability of the second of two classes, as that of a sigmoid.

    Args:
        outputs: array (images, classes).
        sum_tolerance: by how much the sum of the probabilities of an image may differ from 1.

    Returns:
        An array (images, classes), or (images, 2) for a single output.

    Raises:
        UserError: if they are not such probabilities.
    """
    outputs = np.asarray(outputs)
    if outputs.ndim != 2:
        raise UserError(f"The network's outputs must have the shape (images, classes), and have {outputs.shape}")
    if not np.isfinite(outputs).all():
        raise UserError("The network's outputs are not all numbers: its weights, or its batch statistics, overflowed")
    if outputs.shape[1] == 1:
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    returned = f"It returned {outputs.min():.3g} to {outputs.max():.3g}" if outputs.size else ""
    if np.any(outputs < 0) or np.any(outputs > 1 + SUM_TOLERANCE):
        raise UserError(
            "The network's outputs must be probabilities, from 0 to 1 with the sum 1 for each image: is its last "
            f"activation a softmax? {returned}"
        )
    sums = outputs.astype(np.float64).sum(axis=1)
    if np.any(np.abs(sums - 1) > sum_tolerance):
        raise UserError(
            "The network's outputs must be probabilities, from 0 to 1 with the sum 1 for each image: is its last "
            "activation a softmax? Several sigmoids, of classes that do not exclude each other (multi-label), are not "
            f"supported. {returned}, with sums from {sums.min():.3g} to {sums.max():.3g}"
        )
    return outputs
