"""Relative positions: tables of embeddings by offset, and the logits of queries with them."""

from typing import Any

import numpy as np
from keras import ops

from aa_keras.attention.shapes import shape_of


def relative_embeddings(table: Any, size: Any) -> Any:
    """Expands a table of embeddings by offset to a matrix of embeddings by (query, key).

    A map smaller than the table's uses the centre of the table; on a larger one, offsets beyond the furthest learned
    one share its embedding.

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


def resized_table(table: np.ndarray, size: int) -> np.ndarray:
    """Resizes a table of embeddings by offset for maps of another size, linearly and with offset zero fixed.

    Use it for weights that were learned at another resolution. An offset takes the embedding of the same fraction of
    the map, so that the two ends of the table stay its ends.

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


def relative_logits(queries: Any, relative_height: Any, relative_width: Any) -> tuple[Any, Any]:
    """Returns the logits of the relative positions along each axis (section 3.2 of the paper).

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


def with_position_logits(queries: Any, position_logits: tuple) -> Any:
    """Appends to queries their logits for rows and columns, so that attention to positions needs nothing else.

    The logit of a query and a key is one product of longer vectors: [query, its logits for the rows, its logits for the
    columns] times [key, one-hot row, one-hot column], the latter of `with_key_positions`.

    Args:
        queries: tensor of shape (B, heads, queries, key_dim), scaled.
        position_logits: pair of (B, heads, queries, H) and (B, heads, queries, W), from `relative_logits`; () for none.

    Returns:
        A tensor of shape (B, heads, queries, key_dim + H + W) and the queries' type.
    """
    return ops.concatenate([queries, *(ops.cast(each, queries.dtype) for each in position_logits)], axis=-1)


def with_key_positions(keys: Any, height: Any, width: Any) -> Any:
    """Appends to keys (B, heads, HW, key_dim) their rows and columns, one-hot: see `with_position_logits`."""
    numbers = ops.arange(height * width, dtype="int32")
    rows = ops.equal(numbers[:, None] // width, ops.arange(height, dtype="int32"))
    columns = ops.equal(numbers[:, None] % width, ops.arange(width, dtype="int32"))
    one_hot = ops.cast(ops.concatenate([rows, columns], axis=-1), keys.dtype)
    return ops.concatenate([keys, ops.broadcast_to(one_hot, (*shape_of(keys)[:3], height + width))], axis=-1)
