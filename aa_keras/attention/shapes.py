"""Shapes of tensors, known or known only when a graph runs."""

from typing import Any

import keras
from keras import ops


def shape_of(tensor: Any) -> tuple:
    """Returns the shape of a tensor, like `keras.ops.shape`, of which all but the batch stays known on PyTorch.

    TorchScript's tracer, with which Keras exports ONNX there, gives tensors for lengths. With them, an attention would
    be taken for one of unknown size.

    Args:
        tensor: tensor of a backend, the batch first.

    Returns:
        A tuple of integers, with a scalar tensor for each length that is known only when a graph runs.
    """
    batch, *lengths = ops.shape(tensor)
    if keras.backend.backend() == "torch":
        lengths = [int(length) if ops.is_tensor(length) else length for length in lengths]
    return batch, *lengths
