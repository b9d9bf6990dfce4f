"""Attention with the logits of some queries at a time."""

from typing import Any

import keras
from keras import ops

from aa_keras.attention.dense import dense_attention
from aa_keras.attention.shapes import shape_of

# The most bytes of logits of one image, counted as float32, that a block of queries computes.
BLOCK_BYTES = 2**23


def blockwise_attention(queries: Any, keys: Any, values: Any, relative: tuple = (), position_logits: tuple = ()) -> Any:
    """Attends with some of the queries at a time, and computes their logits again in the backward pass.

    Peak memory grows as HW: a block has as many queries as bring its logits to `BLOCK_BYTES` for each image.

    Args:
        queries: tensor of shape (B, heads, HW, key_dim), scaled.
        keys: tensor of shape (B, heads, HW, key_dim).
        values: tensor of shape (B, heads, HW, value_dim).
        relative: pair of the embeddings of relative positions by query and key, (H, H, key_dim) and (W, W, key_dim), of
            the queries' type; or () for none.
        position_logits: instead of `relative`, pair of the queries' logits for the row and for the column of a key,
            (B, heads, HW, H) and (B, heads, HW, W); or ().

    Returns:
        The outputs, of shape (B, heads, HW, value_dim).
    """
    batch, num_heads, positions, _ = queries.shape
    if batch is None and positions is not None:
        # Image by image, so that all shapes in the loops are known: LiteRT converts no others.
        def attend_in_image(image):
            queries, keys, values = (tensor[None] for tensor in image)
            return blockwise_attention(queries, keys, values, relative)[0]

        return ops.map(attend_in_image, (queries, keys, values))
    _, num_heads, positions, _ = shape_of(queries)
    size = _queries_in_a_block(num_heads, positions)
    blocks = -(-positions // size)

    @keras.remat  # within the loop: remat of unrolled blocks saves next to nothing on TensorFlow
    def attend(keys, values, relative, queries, position_logits, places):
        places = tuple(ops.cast(each, "int32") for each in places)
        position_logits = position_logits or tuple(map(_position_logits, (queries, queries), relative, places))
        return dense_attention(queries, keys, values, position_logits)

    places = ()
    if relative:
        width = shape_of(relative[1])[0]
        # The positions of the queries that pad the last block do not matter.
        numbers = ops.minimum(ops.arange(blocks * size, dtype="int32"), positions - 1)
        # As floats, since TensorFlow warns about integer inputs of recomputed functions.
        places = tuple(
            ops.cast(ops.reshape(each, (blocks, size)), "float32") for each in (numbers // width, numbers % width)
        )
    cut, *cut_logits = (_cut(each, blocks, size) for each in (queries, *position_logits))
    outputs = ops.map(lambda block: attend(keys, values, relative, *block), (cut, tuple(cut_logits), places))
    outputs = ops.transpose(outputs, (1, 2, 0, 3, 4))
    outputs = ops.reshape(outputs, (-1, num_heads, blocks * size, shape_of(values)[-1]))
    return outputs[:, :, :positions]


def _position_logits(queries, embeddings, indices):
    """Returns the logits along one axis of queries (B, heads, queries, key_dim), which are at its places `indices`."""
    _, num_heads, count, key_dim = shape_of(queries)
    length = shape_of(embeddings)[1]
    by_query = ops.reshape(ops.transpose(queries, (2, 0, 1, 3)), (count, -1, key_dim))
    # As rows of a matrix: PyTorch cannot export how Keras takes from other tensors.
    own = ops.take(ops.reshape(embeddings, (length, length * key_dim)), indices, axis=0)
    own = ops.transpose(ops.reshape(own, (count, length, key_dim)), (0, 2, 1))
    logits = ops.reshape(ops.matmul(by_query, own), (count, -1, num_heads, length))
    return ops.transpose(logits, (1, 2, 0, 3))


def _queries_in_a_block(num_heads, positions):
    """Returns how many queries bring a block's logits to `BLOCK_BYTES`: an integer, or a tensor for a tensor."""
    fitting = BLOCK_BYTES // 4 // (num_heads * positions)
    if isinstance(positions, int):
        return max(1, min(fitting, positions))
    return ops.maximum(1, ops.minimum(fitting, positions))


def _cut(queries, blocks, size):
    """Cuts (B, heads, HW, dim) into blocks of queries (blocks, B, heads, size, dim), the last padded with zeros."""
    _, num_heads, positions, dim = shape_of(queries)
    queries = ops.pad(queries, ((0, 0), (0, 0), (0, blocks * size - positions), (0, 0)))
    return ops.transpose(ops.reshape(queries, (-1, num_heads, blocks, size, dim)), (2, 0, 1, 3, 4))
