"""Attention with all logits of an image at once."""

from typing import Any

import keras
from keras import ops


def dense_attention(queries: Any, keys: Any, values: Any, position_logits: tuple = ()) -> tuple[Any, Any]:
    """Holds all (HW, HW) logits of an image at once: the fastest way while they fit into memory.

    Logits and softmax are formed in float32 whatever the inputs' precision, since float16 logits overflow before a
    softmax sees them.

    Args:
        queries: tensor of shape (B, heads, queries, key_dim), scaled and at least float32; not all HW of them need to
            be there.
        keys: tensor of shape (B, heads, HW, key_dim).
        values: tensor of shape (B, heads, HW, value_dim).
        position_logits: pair of the queries' logits for the row and for the column of a key, (B, heads, queries, H) and
            (B, heads, queries, W), which are added to the products of queries and keys; () for none.

    Returns:
        A pair: the outputs, of shape (B, heads, queries, value_dim) and the values' type, and the attention
        probabilities, of shape (B, heads, queries, HW) and at least float32, rows being queries.
    """
    probabilities = attention_probabilities(queries, keys, position_logits)
    return ops.matmul(ops.cast(probabilities, values.dtype), values), probabilities


def attention_probabilities(queries: Any, keys: Any, position_logits: tuple = ()) -> Any:
    """Returns the attention probabilities alone: see `dense_attention`."""
    logits = ops.matmul(at_least_float32(queries), ops.transpose(at_least_float32(keys), (0, 1, 3, 2)))
    if position_logits:
        _, num_heads, number_of_queries, positions = ops.shape(logits)
        rows, columns = (at_least_float32(axis_logits) for axis_logits in position_logits)
        height, width = ops.shape(rows)[-1], ops.shape(columns)[-1]
        # Broadcast over the key's other axis; never tiled out to (HW, HW) one by one.
        logits = ops.reshape(logits, (-1, num_heads, number_of_queries, height, width))
        logits = logits + rows[..., :, None] + columns[..., None, :]
        logits = ops.reshape(logits, (-1, num_heads, number_of_queries, positions))
    # Keras warns of the softmax of a single number.
    return ops.exp(logits - logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)


def at_least_float32(inputs: Any) -> Any:
    """Returns a tensor of half precision as float32, and any other as it is."""
    half = keras.backend.standardize_dtype(inputs.dtype) in ("float16", "bfloat16")
    return ops.cast(inputs, "float32") if half else inputs
