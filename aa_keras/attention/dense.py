"""Attention with all logits of an image at once."""

from typing import Any

import keras
from keras import ops

from aa_keras.attention.positions import with_key_positions, with_position_logits
from aa_keras.attention.shapes import shape_of
from aa_keras.attention.softmax_product import softmax_product, transposed

# The largest sum of height and width with bfloat16 logits where the compute type is bfloat16: 32x32 positions.
LARGEST_BFLOAT16 = 64


def dense_attention(queries: Any, keys: Any, values: Any, position_logits: tuple = ()) -> Any:
    """Attends with all (HW, HW) logits of an image at once: the fastest way without a fused kernel, while memory lasts.

    Everything is computed in the queries' type, which `logits_dtype` names.

    Args:
        queries: tensor of shape (B, heads, queries, key_dim), scaled; there may be fewer than HW queries.
        keys: tensor of shape (B, heads, HW, key_dim).
        values: tensor of shape (B, heads, HW, value_dim).
        position_logits: pair of the queries' logits for the row and for the column of a key, (B, heads, queries, H) and
            (B, heads, queries, W), which are added to the products of queries and keys; () for none.

    Returns:
        The outputs, of shape (B, heads, queries, value_dim) and the values' type.
    """
    logits = attention_logits(queries, keys, position_logits)
    return ops.cast(softmax_product(logits, ops.cast(values, logits.dtype)), values.dtype)


def logits_dtype(dtype: str, height: Any, width: Any, relative: bool) -> str:
    """Returns the type of the logits of attention for a compute type, other than in a fused kernel.

    float16 logits would overflow before the softmax: they are float32. bfloat16 has the range of float32; its logits
    are rounded once, as in `keras.layers.MultiHeadAttention`. For that, the product of queries and keys must include
    the logits of relative positions, and it becomes too long for maps beyond `LARGEST_BFLOAT16`.

    Args:
        dtype: name of the compute type.
        height: positions along the vertical axis; anything but an integer if it is unknown.
        width: positions along the horizontal axis, likewise.
        relative: whether there are relative positions.
    """
    if dtype not in ("float16", "bfloat16"):
        return dtype
    small = isinstance(height, int) and isinstance(width, int) and height + width <= LARGEST_BFLOAT16
    return "bfloat16" if dtype == "bfloat16" and (small or not relative) else "float32"


def attention_logits(queries: Any, keys: Any, position_logits: tuple = ()) -> Any:
    """Returns the logits alone, of shape (B, heads, queries, HW), rows being queries.

    The arguments and the types are those of `dense_attention`.
    """
    keys = ops.cast(keys, queries.dtype)
    if not position_logits:
        return ops.matmul(queries, transposed(keys))
    height, width = (shape_of(of_axis)[-1] for of_axis in position_logits)
    if keras.backend.standardize_dtype(queries.dtype) == "bfloat16":
        queries, keys = with_position_logits(queries, position_logits), with_key_positions(keys, height, width)
        return ops.matmul(queries, transposed(keys))
    logits = ops.matmul(queries, transposed(keys))
    _, num_heads, number_of_queries, positions = shape_of(logits)
    # Broadcast over the key's other axis; never tiled out to (HW, HW) one by one.
    rows, columns = position_logits
    logits = ops.reshape(logits, (-1, num_heads, number_of_queries, height, width))
    logits = logits + rows[..., :, None] + columns[..., None, :]
    return ops.reshape(logits, (-1, num_heads, number_of_queries, positions))
