"""The paper's own algorithm for relative attention, from its appendix: the baseline of the benchmarks.

Bello et al., ICCV 2019, appendix: logits for all 2L - 1 offsets along each axis are padded and reshaped to absolute
positions, tiled over the other axis, and transposed to (HW, HW). Rewritten in `keras.ops`.
"""

from keras import ops


def attention_2d(queries, keys, values, height_table, width_table):
    """Takes the arguments of `aa_keras.attention.attention_2d`, with the tables themselves, of 2 L - 1 rows each."""
    _, num_heads, height, width, key_dim = queries.shape
    queries = queries * key_dim**-0.5

    def flat(tensor):
        return ops.reshape(tensor, (-1, num_heads, height * width, tensor.shape[-1]))

    logits = ops.matmul(flat(queries), ops.transpose(flat(keys), (0, 1, 3, 2)))
    logits = logits + _relative_logits(queries, width_table, (0, 1, 2, 4, 3, 5))
    transposed = ops.transpose(queries, (0, 1, 3, 2, 4))
    logits = logits + _relative_logits(transposed, height_table, (0, 1, 4, 2, 5, 3))
    # In float32, like our softmax.
    probabilities = ops.cast(ops.softmax(ops.cast(logits, "float32")), values.dtype)
    outputs = ops.matmul(probabilities, flat(values))
    return ops.reshape(outputs, (-1, num_heads, height, width, values.shape[-1]))


def _relative_logits(queries, table, transposition):
    """Returns the logits of the offsets along the last axis of the map, as (HW, HW)."""
    _, num_heads, height, width, _ = queries.shape
    logits = ops.einsum("bhxyd,md->bhxym", queries, table)
    logits = _by_absolute_position(ops.reshape(logits, (-1, num_heads * height, width, 2 * width - 1)))
    logits = ops.reshape(logits, (-1, num_heads, height, 1, width, width))
    logits = ops.transpose(ops.tile(logits, (1, 1, 1, height, 1, 1)), transposition)
    return ops.reshape(logits, (-1, num_heads, height * width, height * width))


def _by_absolute_position(logits):
    """Converts (B, rows, L, 2 L - 1) by offset to (B, rows, L, L) by position."""
    _, rows, length, _ = logits.shape
    padded = ops.pad(logits, ((0, 0), (0, 0), (0, 0), (0, 1)))
    flat = ops.reshape(padded, (-1, rows, length * 2 * length))
    flat = ops.pad(flat, ((0, 0), (0, 0), (0, length - 1)))
    return ops.reshape(flat, (-1, rows, length + 1, 2 * length - 1))[:, :, :length, length - 1 :]
