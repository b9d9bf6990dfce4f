"""The axis of heads: moved before space for attention, and back into the channels."""

from typing import Any

from keras import ops

from aa_keras.attention.shapes import shape_of


def split_heads(inputs: Any, num_heads: int) -> Any:
    """Moves heads before space: (B, H, W, heads * dim) to (B, heads, H, W, dim)."""
    _, height, width, channels = shape_of(inputs)
    heads_last = ops.reshape(inputs, (-1, height, width, num_heads, channels // num_heads))
    return ops.transpose(heads_last, (0, 3, 1, 2, 4))


def merge_heads(inputs: Any) -> Any:
    """The inverse of `split_heads`: (B, heads, H, W, dim) to (B, H, W, heads * dim).

    The transposition keeps every pixel in its place: a reshape alone would scatter the values of one position over
    the map.
    """
    _, num_heads, height, width, dim = shape_of(inputs)
    heads_last = ops.transpose(inputs, (0, 2, 3, 1, 4))
    return ops.reshape(heads_last, (-1, height, width, num_heads * dim))
