"""Two-dimensional relative self-attention as pure functions of tensors.

The mathematics of *Attention Augmented Convolutional Networks* (Bello et al., ICCV 2019, arXiv:1904.09925), section
3, written in `keras.ops` alone so that it runs on every backend. No layers and no state live here.

Shapes are written with B images, `heads` heads, H x W positions (HW of them once flattened) and `key_dim` or
`value_dim` channels a head.
"""

import keras
import numpy as np
from keras import ops

from aa_keras import attention_kernels

IMPLEMENTATIONS = ("auto", "dense", "blockwise", "fused")
# Of the float32 logits of one image: beyond it, memory is soon what limits a batch.
LARGEST_DENSE_BYTES = 2**25


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
    # Products that broadcast over images and heads, with the query's row or column as their batch: twice as fast as
    # einsum forward and backward on TensorFlow, which makes copies of the queries for each.
    height_logits = ops.matmul(queries, ops.transpose(relative_height, (0, 2, 1)))
    by_column = ops.matmul(_rows_and_columns_swapped(queries), ops.transpose(relative_width, (0, 2, 1)))
    return height_logits, _rows_and_columns_swapped(by_column)


def _rows_and_columns_swapped(inputs):
    return ops.transpose(inputs, (0, 1, 3, 2, 4))


def attention_2d(
    queries, keys, values, relative_height=None, relative_width=None, implementation="auto", return_scores=False
):
    """Self-attention of every position of a map to every other one.

    The logit for the query i at (y, x) and the key j at (y', x') is, with q scaled by key_dim ** -0.5,

        q_i . k_j + q_i . r_height[y' - y] + q_i . r_width[x' - x]

    (equation 4 of the paper).

    Args:
        queries: tensor of shape (B, heads, H, W, key_dim), not yet scaled.
        keys: tensor of shape (B, heads, H, W, key_dim).
        values: tensor of shape (B, heads, H, W, value_dim).
        relative_height: tensor of shape (H, H, key_dim) from `relative_embeddings`, or None for attention without
            relative positions.
        relative_width: tensor of shape (W, W, key_dim), or None, like `relative_height`.
        implementation: one of `IMPLEMENTATIONS`; none changes the result beyond rounding. "dense" holds all
            (HW, HW) logits; "blockwise" those of some queries at a time, which it forms anew in the backward pass;
            "fused" none, in a kernel of the backend's. "auto" is what `choose_implementation` returns.
        return_scores: boolean, whether to return the attention probabilities too, which takes a dense computation.

    Returns:
        The outputs, of shape (B, heads, H, W, value_dim) and the values' type; with `return_scores` a pair of them and
        the attention probabilities, of shape (B, heads, HW, HW) and at least float32, rows being queries.

    Raises:
        ValueError: if `implementation` is "fused" and the backend has no such kernel for this attention.
    """
    _, num_heads, height, width, key_dim = ops.shape(queries)
    value_dim = values.shape[-1]
    queries = attention_kernels.at_least_float32(queries) * key_dim**-0.5
    relative = ()
    if relative_height is not None:
        relative = tuple(map(attention_kernels.at_least_float32, (relative_height, relative_width)))
    dtype = keras.backend.standardize_dtype(values.dtype)
    if return_scores:
        implementation = "dense"
    else:
        form = height, width, key_dim, value_dim, bool(relative), dtype
        check_implementation(implementation, *form)
        if implementation == "auto":
            implementation = choose_implementation(num_heads, *form)

    def flat(tensor):
        return ops.reshape(tensor, (-1, num_heads, height * width, ops.shape(tensor)[-1]))

    inputs = flat(queries), flat(keys), flat(values)
    scores = None
    if implementation == "blockwise":
        outputs = attention_kernels.blockwise(*inputs, relative)
    else:
        position_logits = tuple(map(flat, relative_logits(queries, *relative))) if relative else ()
        if implementation == "fused":
            outputs = attention_kernels.fused(*inputs, position_logits)
        else:
            outputs, scores = attention_kernels.dense(*inputs, position_logits)
    outputs = ops.reshape(outputs, (-1, num_heads, height, width, value_dim))
    return (outputs, scores) if return_scores else outputs


def choose_implementation(num_heads, height, width, key_dim, value_dim, relative, dtype):
    """Returns what "auto" stands for.

    - "fused" where the backend has a kernel on its default device for such an attention: on PyTorch other than in
      float16, and in bfloat16 on NVIDIA GPUs with JAX (`aa_keras.attention_kernels.fused_obstacle` has the details);
    - "dense" where the float32 logits of one image, num_heads * (height * width) ** 2 of them, take no more than
      `LARGEST_DENSE_BYTES`: up to 32x32 positions with 8 heads;
    - "blockwise" beyond that, and where the height or width is known only when a graph runs.

    The rule looks at one image since the batch is mostly unknown when a graph is made; a batch too large for the memory
    of a device is the caller's to make smaller, or to hand to "blockwise".

    Args:
        num_heads: number of heads.
        height: positions along the vertical axis, an integer or a tensor.
        width: positions along the horizontal axis, an integer or a tensor.
        key_dim: channels of a key in each head.
        value_dim: channels of a value in each head.
        relative: whether there are relative positions.
        dtype: name of the compute type.
    """
    if _fused_obstacle(height, width, key_dim, value_dim, relative, dtype) is None:
        return "fused"
    small = _is_known(height, width) and 4 * num_heads * (height * width) ** 2 <= LARGEST_DENSE_BYTES
    return "dense" if small else "blockwise"


def _fused_obstacle(height, width, key_dim, value_dim, relative, dtype):
    """Returns why no fused kernel computes such an attention, or None if one does."""
    if not _is_known(height, width):
        return "the height or width of the map is known only when the graph runs"
    # A kernel sees keys with their position, and values as long as them.
    head = max(key_dim + (height + width if relative else 0), value_dim)
    return attention_kernels.fused_obstacle(dtype, head)


def _is_known(height, width):
    return isinstance(height, int) and isinstance(width, int)


def check_implementation(implementation, height, width, key_dim, value_dim, relative, dtype):
    """Raises ValueError where `implementation` is "fused" and the backend has no kernel for such an attention.

    The other arguments are those of `choose_implementation`.
    """
    if implementation != "fused":
        return
    obstacle = _fused_obstacle(height, width, key_dim, value_dim, relative, dtype)
    if obstacle is not None:
        raise ValueError(
            f'No fused kernel serves this attention: {obstacle}. "auto" takes one where there is one. '
            "Received: implementation='fused'"
        )


def average_pool(inputs, strides):
    """Average-pools maps by windows of 3x3 with padding "same", each an average over the pixels that there are.

    `keras.ops.average_pool` is that on TensorFlow and JAX; on PyTorch it repeats the edge where the padding of the two
    sides differs (Keras 3.15).

    Args:
        inputs: tensor of shape (B, H, W, channels).
        strides: pair (vertical, horizontal) of integers.

    Returns:
        A tensor of shape (B, ceil(H / strides[0]), ceil(W / strides[1]), channels) and the same type.
    """
    _, height, width, _ = ops.shape(inputs)
    padding = [_same_padding(length, stride) for length, stride in zip((height, width), strides, strict=True)]

    def pooled(maps):
        padded = ops.pad(maps, ((0, 0), *padding, (0, 0)))
        return ops.average_pool(padded, 3, strides, padding="valid", data_format="channels_last")

    return pooled(inputs) / pooled(ops.ones((1, height, width, 1), dtype=inputs.dtype))


def _same_padding(length, stride):
    """Pixels before and behind an axis, with which windows of 3 at every `stride` cover it."""
    missing = (-(-length // stride) - 1) * stride + 3 - length
    missing = max(missing, 0) if isinstance(length, int) else ops.maximum(missing, 0)
    return missing // 2, missing - missing // 2


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
