"""Three kernels of relative attention in Pallas: what one program computes. `pallas` divides the work among programs.

A program sees the arrays of one head of one image, as attributes of `head`:

    queries     (HW, key_dim)          keys      (H, W, key_dim)    values    (H, W, value_dim)
    rows        (H, HW)                columns   (W, HW)            logits for a key's row and column, or None
    outputs     (HW, value_dim)        log_sums  (HW,)              results of the forward pass
    gradient    (HW, value_dim)        sums      (HW,)              of the outputs, for the backward pass
    of_queries, of_keys, ...                                        its results, of the shape of `queries`, `keys`, ...

All keys of a block lie in one row of the map, and the next block lies below it. So the logits of the columns are loaded
once for a whole strip of the map, and the logit of a row is one number for each query and block. Keys beyond the end of
a row have the logit minus infinity, and queries beyond the last are not written.

Logits are to base 2, for which GPUs have an instruction: a probability is 2 ** (logit - log_sum), which the backward
pass computes again, as in FlashAttention (Dao et al., 2022).
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jax.experimental import pallas
from jax.experimental.pallas import triton

from aa_keras.attention.shapes import triton_side

LN_2 = math.log(2)


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The sizes of what a program computes at once, all powers of two.

    Attributes:
        queries: number of queries.
        columns: number of keys in a row of the map.
        rows: number of rows of keys in a program of `key_gradients`; it divides the height.
        warps: number of warps of a program, with 32 threads each.
        stages: number of blocks that are loaded or computed at a time.
    """

    queries: int
    columns: int
    rows: int = 1
    warps: int = 4
    stages: int = 2


class Array(NamedTuple):
    """A reference to an array of a head, of the next larger sides, and the shape that the array has."""

    reference: Any
    shape: tuple


class Span(NamedTuple):
    """A part of an axis, which may end beyond the end of the array."""

    start: Any
    size: int


def outputs(head: Any, number: Any, blocks: Blocks) -> None:
    """Computes the outputs of a block of queries, and the logarithms of their sums of exponentials."""
    queries_span = Span(number * blocks.queries, blocks.queries)
    queries = _load(head.queries, queries_span, _channels(head.queries))

    def attend_to_columns(strip, state):
        keys_span = Span(strip * blocks.columns, blocks.columns)
        columns = _column_logits(head, keys_span, queries_span).T

        def attend_to_row(row, state):
            outputs, sums, maxima = state
            keys, values = _keys_and_values(head, row, keys_span)
            logits = triton.dot(queries, keys, trans_b=True) + columns
            of_row = _row_logits(head, row, queries_span)
            new_maxima = jnp.maximum(maxima, jnp.max(logits, axis=1) + of_row)
            exponentials = jnp.exp2(logits - (new_maxima - of_row)[:, None])
            shrunk = jnp.exp2(maxima - new_maxima)
            outputs = outputs * shrunk[:, None] + triton.dot(exponentials.astype(values.dtype), values)
            return outputs, sums * shrunk + jnp.sum(exponentials, axis=1), new_maxima

        return jax.lax.fori_loop(0, head.keys.shape[0], attend_to_row, state)

    state = (
        _zeros(blocks.queries, _channels(head.values).size),
        _zeros(blocks.queries),
        jnp.full(blocks.queries, -jnp.inf, jnp.float32),
    )
    outputs, sums, maxima = jax.lax.fori_loop(0, _strips(head, blocks), attend_to_columns, state)
    _store(head.outputs, outputs / sums[:, None], queries_span, _channels(head.values))
    _store(head.log_sums, maxima + jnp.log2(sums), queries_span)


def query_gradients(head: Any, number: Any, blocks: Blocks) -> None:
    """Computes the gradients of a block of queries, and of their logits for rows and columns.

    The gradient of the logits of rows has one part for each strip of columns.
    """
    queries_span = Span(number * blocks.queries, blocks.queries)
    queries = _load(head.queries, queries_span, _channels(head.queries))
    gradient = _load(head.gradient, queries_span, _channels(head.gradient))
    log_sums, sums = (_load(of_query, queries_span) for of_query in (head.log_sums, head.sums))

    def backward_to_columns(strip, of_queries):
        keys_span = Span(strip * blocks.columns, blocks.columns)
        columns = _column_logits(head, keys_span, queries_span).T

        def backward_to_row(row, state):
            of_queries, of_columns = state
            keys, values = _keys_and_values(head, row, keys_span)
            logits = triton.dot(queries, keys, trans_b=True) + columns
            probabilities = jnp.exp2(logits - (log_sums - _row_logits(head, row, queries_span))[:, None])
            of_logits = probabilities * (triton.dot(gradient, values, trans_b=True) - sums[:, None])
            if head.rows is not None:
                _store(head.of_rows, LN_2 * jnp.sum(of_logits, axis=1), strip, row, queries_span)
            return of_queries + triton.dot(of_logits.astype(keys.dtype), keys), of_columns + of_logits

        state = of_queries, _zeros(blocks.queries, blocks.columns)
        of_queries, of_columns = jax.lax.fori_loop(0, head.keys.shape[0], backward_to_row, state)
        if head.columns is not None:
            _store(head.of_columns, LN_2 * of_columns.T, keys_span, queries_span)
        return of_queries

    of_queries = _zeros(blocks.queries, _channels(head.queries).size)
    of_queries = jax.lax.fori_loop(0, _strips(head, blocks), backward_to_columns, of_queries)
    _store(head.of_queries, LN_2 * of_queries, queries_span, _channels(head.queries))


def key_gradients(head: Any, number: Any, blocks: Blocks) -> None:
    """Computes the gradients of keys and values in some rows of a strip of columns."""
    groups = head.keys.shape[0] // blocks.rows
    keys_span = Span(jax.lax.div(number, groups) * blocks.columns, blocks.columns)
    rows = [jax.lax.rem(number, groups) * blocks.rows + row for row in range(blocks.rows)]
    keys_and_values = [_keys_and_values(head, row, keys_span) for row in rows]

    def backward_to_queries(block, gradients):
        queries_span = Span(block * blocks.queries, blocks.queries)
        queries = _load(head.queries, queries_span, _channels(head.queries))
        gradient = _load(head.gradient, queries_span, _channels(head.gradient))
        log_sums, sums = (_load(of_query, queries_span) for of_query in (head.log_sums, head.sums))
        columns = _column_logits(head, keys_span, queries_span)

        def of_row(row, keys, values, of_keys, of_values):
            logits = triton.dot(keys, queries, trans_b=True) + columns
            probabilities = jnp.exp2(logits - (log_sums - _row_logits(head, row, queries_span))[None, :])
            of_logits = probabilities * (triton.dot(values, gradient, trans_b=True) - sums[None, :])
            of_keys += triton.dot(of_logits.astype(queries.dtype), queries)
            return of_keys, of_values + triton.dot(probabilities.astype(gradient.dtype), gradient)

        return [
            of_row(row, *tensors, *so_far)
            for row, tensors, so_far in zip(rows, keys_and_values, gradients, strict=True)
        ]

    channels = _channels(head.keys), _channels(head.values)
    gradients = [tuple(_zeros(blocks.columns, each.size) for each in channels) for _ in rows]
    queries_blocks = pallas.cdiv(head.queries.shape[0], blocks.queries)
    gradients = jax.lax.fori_loop(0, queries_blocks, backward_to_queries, gradients)
    for row, (of_keys, of_values) in zip(rows, gradients, strict=True):
        _store(head.of_keys, LN_2 * of_keys, row, keys_span, channels[0])
        _store(head.of_values, of_values, row, keys_span, channels[1])


def _zeros(*shape):
    return jnp.zeros(shape, jnp.float32)


def _strips(head, blocks):
    return pallas.cdiv(head.keys.shape[1], blocks.columns)


def _channels(array):
    return Span(0, triton_side(array.shape[-1]))


def _keys_and_values(head, row, keys_span):
    return tuple(_load(each, row, keys_span, _channels(each)) for each in (head.keys, head.values))


def _row_logits(head, row, queries_span):
    return 0.0 if head.rows is None else _load(head.rows, row, queries_span)


def _column_logits(head, keys_span, queries_span):
    """Returns logits of shape (columns, queries), or (columns, 1) without positions."""
    if head.columns is not None:
        return _load(head.columns, keys_span, queries_span, fill=-jnp.inf)
    numbers = keys_span.start + jax.lax.broadcasted_iota(jnp.int32, (keys_span.size, 1), 0)
    return jnp.where(numbers < head.keys.shape[1], 0.0, -jnp.inf)


def _load(array, *parts, fill=0.0):
    """Loads a part of an array, given an index or a `Span` for each axis, and `fill` beyond its ends."""
    part, mask = _part_and_mask(array, parts)
    return part[...] if mask is None else triton.load(part, mask=mask, other=fill)


def _store(array, values, *parts):
    """Stores values as a part of an array, as far as it is inside it."""
    part, mask = _part_and_mask(array, parts)
    values = values.astype(array.reference.dtype)
    if mask is None:
        part[...] = values
    else:
        triton.store(part, values, mask=mask)


def _part_and_mask(array, parts):
    """Returns a reference to a part of an array, and which of its elements exist; None if all do."""
    spans = [(length, part) for length, part in zip(array.shape, parts, strict=True) if isinstance(part, Span)]
    shape = tuple(span.size for _, span in spans)
    mask = None
    for axis, (length, span) in enumerate(spans):
        if length % span.size:  # a span starts at a multiple of its size
            inside = span.start + jax.lax.broadcasted_iota(jnp.int32, shape, axis) < length
            mask = inside if mask is None else mask & inside
    indices = tuple(pallas.ds(*part) if isinstance(part, Span) else part for part in parts)
    return array.reference.at[indices], mask
