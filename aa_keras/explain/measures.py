"""Measures of attention scores: how far heads look, and what reaches the last layer."""

import numpy as np

from aa_keras.explain.scores import AttentionScores, query_positions


def mean_attention_distance(scores: AttentionScores) -> dict[str, np.ndarray]:
    """Returns how far heads look: the mean distance of a query to its keys, weighted by attention.

    As in *An Image is Worth 16x16 Words* (Dosovitskiy et al., 2021), figure 7: the mean over images and queries.

    Args:
        scores: `AttentionScores` that `attention_scores` returns.

    Returns:
        A dictionary from names of layers to arrays (heads,), in pixels of the image.

    Raises:
        ValueError: if `scores` is another dictionary, without the size of the image.
    """
    if not isinstance(scores, AttentionScores):
        raise ValueError(f"`scores` must be what `attention_scores` returns. Received: {type(scores).__name__}")
    return {name: _distance(array, scores.image_size, scores.queries) for name, array in scores.items()}


def _distance(array, image_size, most):
    offsets = []
    for length, keys in zip(image_size, array.shape[-2:], strict=True):
        cell = length / keys
        offsets.append(cell * (query_positions(keys, most)[:, None] - np.arange(keys)))
    rows, columns = offsets
    distance = np.hypot(rows[:, None, :, None], columns[None, :, None, :])
    return np.einsum("bhyxij,yxij->h", array, distance) / (array.shape[0] * array.shape[2] * array.shape[3])


def attention_rollout(scores: AttentionScores, residual: float = 0.5) -> np.ndarray:
    """Returns how much of each part of the image reaches the last attention layer through all of them.

    *Quantifying Attention Flow in Transformers* (Abnar and Zuidema, 2020): the product of the layers' attention, each
    averaged over heads and mixed with the identity for what bypasses attention. Between maps of different sizes, rows
    are averaged or repeated. What convolutions spread is not counted.

    Args:
        scores: `AttentionScores` that `attention_scores` returns, of all queries.
        residual: share of what bypasses attention in each layer, from 0 to 1.

    Returns:
        An array (batch, height, width) of the size of the first layer's map; each image's sums to 1.

    Raises:
        ValueError: if queries are missing, or `residual` is out of its range.
    """
    if not 0 <= residual <= 1:
        raise ValueError(f"`residual` must be from 0 to 1. Received: residual={residual}")
    if not scores:
        raise ValueError("`scores` must have at least one layer. Received: scores={}")
    first = next(iter(scores.values())).shape[-2:]
    flow, size = np.eye(first[0] * first[1], dtype=np.float32)[None], first
    for name, array in scores.items():
        batch, _, *query_size, height, width = array.shape
        if query_size != [height, width]:
            raise ValueError(f"`scores` must have all queries: {name!r} has {query_size} of {[height, width]}")
        mixed = array.mean(axis=1).reshape(batch, height * width, height * width) * (1 - residual)
        mixed += residual * np.eye(height * width, dtype=np.float32)
        flow = mixed @ _resized_rows(flow, size, (height, width))
        size = height, width
    return flow.mean(axis=1).reshape(-1, *first)


def _resized_rows(flow, size, new_size):
    """Resizes rows (batch, queries, keys) from a map of one size to another, by averaging or repeating."""
    if size == new_size:
        return flow
    for axis in (0, 1):
        flow = flow.reshape(len(flow), *size, -1)
        weights = _overlaps(size[axis], new_size[axis])
        flow = np.moveaxis(np.tensordot(weights, flow, (1, axis + 1)), 0, axis + 1)
        size = (new_size[0], size[1]) if axis == 0 else new_size
    return flow.reshape(len(flow), -1, flow.shape[-1])


def _overlaps(length, new_length):
    """Returns the shares by which each of `new_length` strips of a side overlaps each of `length`; rows sum to 1."""
    edges, new_edges = np.linspace(0, 1, length + 1), np.linspace(0, 1, new_length + 1)
    lower = np.maximum(new_edges[:-1, None], edges[None, :-1])
    upper = np.minimum(new_edges[1:, None], edges[None, 1:])
    return (np.maximum(upper - lower, 0) * new_length).astype(np.float32)
