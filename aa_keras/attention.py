"""Two-dimensional relative self-attention as pure functions of tensors.

The mathematics of *Attention Augmented Convolutional Networks* (Bello et al., ICCV 2019, arXiv:1904.09925), section
3, written in `keras.ops` alone so that it runs on every backend. No layers and no state live here.

Shapes are written with B images, `heads` heads, H x W positions (HW of them once flattened) and `key_dim` or
`value_dim` channels a head.
"""

import keras
import numpy as np
from keras import ops


def split_heads(inputs, num_heads):
    """Brings heads in front of space: (B, H, W, heads * dim) to (B, heads, H, W, dim)."""
    _, height, width, channels = ops.shape(inputs)
    heads_last = ops.reshape(inputs, (-1, height, width, num_heads, channels // num_heads))
    return ops.transpose(heads_last, (0, 3, 1, 2, 4))


def merge_heads(inputs):
    """The inverse of `split_heads`: (B, heads, H, W, dim) to (B, H, W, heads * dim).

    The transposition is what keeps every pixel in its place: reshaping the heads away directly would scatter the
    values of one position over the map.
    """
    _, num_heads, height, width, dim = ops.shape(inputs)
    heads_last = ops.transpose(inputs, (0, 2, 3, 1, 4))
    return ops.reshape(heads_last, (-1, height, width, num_heads * dim))


def relative_embeddings(table, size):
    """Lays a table of embeddings by offset out as a matrix of embeddings by (query, key).

    A map smaller than the table's uses the table's centre; on a larger one, offsets beyond the furthest learned one
    share its embedding.

    Args:
        table: tensor of shape (2 * M - 1, key_dim), row 0 for the offset -(M - 1).
        size: the number of positions along the axis, an integer or a scalar integer tensor.

    Returns:
        A tensor of shape (size, size, key_dim): entry [query, key] is the embedding of the offset key - query.
    """
    rows = table.shape[0]
    furthest = rows // 2
    position = ops.arange(size, dtype="int32")
    offset = ops.clip(position[None, :] - position[:, None], -furthest, furthest)
    # Rows are picked by a product with one-hot vectors rather than by `take`, whose gradient is sparse on TensorFlow:
    # optimizers that square it would treat each use of a row as a separate gradient.
    return ops.matmul(ops.one_hot(offset + furthest, rows, dtype=table.dtype), table)


def resized_table(table, size):
    """Resizes a table of embeddings by offset for maps of another size, linearly and with offset zero fixed.

    An offset takes the embedding of the same fraction of the map, so that the two ends of the table stay its ends:
    for weights that were learned at another resolution.

    Args:
        table: array of shape (2 * M - 1, key_dim), row 0 for the offset -(M - 1).
        size: positive integer, the new number of positions along the axis.

    Returns:
        A NumPy array of shape (2 * size - 1, key_dim) and the same type.
    """
    table = np.asarray(table)
    furthest = len(table) // 2
    offsets = np.linspace(-furthest, furthest, 2 * size - 1) if size > 1 else np.zeros(1)
    below = np.clip(np.floor(offsets).astype(int), -furthest, max(furthest - 1, -furthest))
    share = (offsets - below)[:, None]
    above = np.minimum(below + 1, furthest)
    return ((1 - share) * table[below + furthest] + share * table[above + furthest]).astype(table.dtype)


def relative_logits(queries, relative_height, relative_width):
    """Logits of the relative positions along each axis (section 3.2 of the paper).

    Args:
        queries: tensor of shape (B, heads, H, W, key_dim), already scaled.
        relative_height: tensor of shape (H, H, key_dim), from `relative_embeddings`.
        relative_width: tensor of shape (W, W, key_dim).

    Returns:
        A pair of tensors, (B, heads, H, W, H) for the key's row and (B, heads, H, W, W) for the key's column. The
        logit of a key is the sum of its row's and its column's.
    """
    height_logits = ops.einsum("bnhwd,hkd->bnhwk", queries, relative_height)
    width_logits = ops.einsum("bnhwd,wkd->bnhwk", queries, relative_width)
    return height_logits, width_logits


def attention_2d(queries, keys, values, relative_height=None, relative_width=None):
    """Self-attention of every position of a map to every other one.

    The logit for the query i at (y, x) and the key j at (y', x') is, with q scaled by key_dim ** -0.5,

        q_i . k_j + q_i . r_height[y' - y] + q_i . r_width[x' - x]

    (equation 4 of the paper). Logits and softmax are formed in float32 whatever the inputs' precision, since float16
    logits overflow before a softmax sees them.

    Args:
        queries: tensor of shape (B, heads, H, W, key_dim), not yet scaled.
        keys: tensor of shape (B, heads, H, W, key_dim).
        values: tensor of shape (B, heads, H, W, value_dim).
        relative_height: tensor of shape (H, H, key_dim) from `relative_embeddings`, or None for attention without
            relative positions.
        relative_width: tensor of shape (W, W, key_dim), or None, like `relative_height`.

    Returns:
        A pair: the outputs, of shape (B, heads, H, W, value_dim) and the values' type, and the attention
        probabilities, of shape (B, heads, HW, HW) and at least float32, rows being queries.
    """
    _, num_heads, height, width, key_dim = ops.shape(queries)
    value_dim = values.shape[-1]
    positions = height * width

    queries = _at_least_float32(queries) * key_dim**-0.5
    flat_queries = ops.reshape(queries, (-1, num_heads, positions, key_dim))
    flat_keys = ops.reshape(_at_least_float32(keys), (-1, num_heads, positions, key_dim))
    logits = ops.matmul(flat_queries, ops.transpose(flat_keys, (0, 1, 3, 2)))
    if relative_height is not None:
        height_logits, width_logits = relative_logits(
            queries, _at_least_float32(relative_height), _at_least_float32(relative_width)
        )
        # Broadcast over the key's other axis; never tiled out to (HW, HW) one by one.
        logits = ops.reshape(logits, (-1, num_heads, height, width, height, width))
        logits = logits + height_logits[..., :, None] + width_logits[..., None, :]
        logits = ops.reshape(logits, (-1, num_heads, positions, positions))

    probabilities = ops.softmax(logits, axis=-1)
    flat_values = ops.reshape(values, (-1, num_heads, positions, value_dim))
    outputs = ops.matmul(ops.cast(probabilities, values.dtype), flat_values)
    return ops.reshape(outputs, (-1, num_heads, height, width, value_dim)), probabilities


def _at_least_float32(inputs):
    half = keras.backend.standardize_dtype(inputs.dtype) in ("float16", "bfloat16")
    return ops.cast(inputs, "float32") if half else inputs


def resize_bilinear(inputs, size):
    """Resizes maps bilinearly, with half-pixel centres, as `keras.ops.image.resize` does without antialiasing.

    That one takes no sizes that are known only when the graph runs; this one does. It interpolates along each axis by a
    product with a matrix that has two entries a row.

    Args:
        inputs: tensor of shape (B, H, W, channels).
        size: pair (height, width) of integers or scalar integer tensors.

    Returns:
        A tensor of shape (B, height, width, channels) and the same type.
    """
    _, height, width, _ = ops.shape(inputs)
    rows = _interpolation(height, size[0], inputs.dtype)
    columns = _interpolation(width, size[1], inputs.dtype)
    return ops.einsum("byxc,vx->byvc", ops.einsum("byxc,uy->buxc", inputs, rows), columns)


def _interpolation(old, new, dtype):
    """The matrix (new, old) that interpolates between the `old` positions of an axis."""
    scale = ops.cast(old, "float32") / ops.cast(new, "float32")
    last = ops.cast(old - 1, "float32")
    centre = ops.clip((ops.arange(new, dtype="float32") + 0.5) * scale - 0.5, 0.0, last)
    distance = ops.abs(centre[:, None] - ops.arange(old, dtype="float32")[None, :])
    return ops.cast(ops.maximum(1.0 - distance, 0.0), dtype)
