"""Shapes of tensors, known or known only when a graph runs."""

from typing import Any

import keras
from keras import ops

# Kernels of Triton multiply arrays whose sides are powers of two, and at least this.
SMALLEST_SIDE = 16


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


def triton_side(length: int) -> int:
    """Returns the side of an array in a Triton kernel that holds a length: a power of two, at least `SMALLEST_SIDE`."""
    return max(SMALLEST_SIDE, 1 << (length - 1).bit_length())


def padded_channels(tensor: Any, length: int) -> Any:
    """Pads the channels of a tensor (B, heads, HW, channels) with zeros."""
    return ops.pad(tensor, ((0, 0), (0, 0), (0, 0), (0, length - shape_of(tensor)[-1])))
