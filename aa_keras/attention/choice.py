"""Attention with any of its implementations, and the one that "auto" chooses."""

from typing import Any

import keras
from keras import ops

from aa_keras.attention import blockwise, dense, softmax_product
from aa_keras.attention.kernels import KERNELS, kernel_obstacle
from aa_keras.attention.positions import relative_logits
from aa_keras.attention.shapes import shape_of
from aa_keras.attention.spec import AttentionSpec

IMPLEMENTATIONS = ("auto", "dense", "blockwise", *KERNELS)
# The most bytes of logits of one image: beyond that, memory soon limits the batch.
LARGEST_DENSE_BYTES = 2**25


def attention_2d(
    queries: Any,
    keys: Any,
    values: Any,
    relative_height: Any = None,
    relative_width: Any = None,
    implementation: str = "auto",
    return_scores: bool = False,
) -> Any:
    """Self-attention of every position of a map to every other one.

    The logit for the query i at (y, x) and the key j at (y', x') is, with q scaled by key_dim ** -0.5,

        q_i . k_j + q_i . r_height[y' - y] + q_i . r_width[x' - x]

    (equation 4 of the paper; `reference_attention` computes it term by term).

    Args:
        queries: tensor of shape (B, heads, H, W, key_dim), not yet scaled.
        keys: tensor of shape (B, heads, H, W, key_dim).
        values: tensor of shape (B, heads, H, W, value_dim).
        relative_height: tensor of shape (H, H, key_dim) from `relative_embeddings`, or None for attention without
            relative positions.
        relative_width: tensor of shape (W, W, key_dim), or None, like `relative_height`.
        implementation: one of `IMPLEMENTATIONS`; none changes the result beyond rounding. "dense" holds all
            (HW, HW) logits; "blockwise" those of some queries at a time, and computes them again in the backward pass;
            "fused" none, in a kernel of the backend; "pallas" and "flex" none, in a kernel that adds the logits of rows
            and columns itself, on GPUs with JAX and with PyTorch. "auto" is what `choose_implementation` returns.
        return_scores: boolean, whether to return the attention probabilities too, which takes a dense computation.

    Returns:
        The outputs, of shape (B, heads, H, W, value_dim) and the values' type; with `return_scores` a pair of them and
        the attention probabilities, of shape (B, heads, HW, HW) and at least float32, rows being queries.

    Raises:
        ValueError: if `implementation` names a kernel that does not compute this attention here.
    """
    _, num_heads, height, width, key_dim = shape_of(queries)
    value_dim, dtype = shape_of(values)[-1], keras.backend.standardize_dtype(values.dtype)
    if return_scores:
        scores = attention_scores_2d(queries, keys, relative_height, relative_width)
        outputs = ops.matmul(ops.cast(scores, dtype), _flat(values))
        return ops.reshape(outputs, (-1, num_heads, height, width, value_dim)), scores

    spec = AttentionSpec(num_heads, height, width, key_dim, value_dim, relative_height is not None, dtype)
    check_implementation(implementation, spec)
    if implementation == "auto":
        implementation = choose_implementation(spec)
    # A kernel rounds its inputs once, itself.
    in_type = _at_least_float32(dtype) if implementation in KERNELS else spec.logits_dtype
    queries, relative = _scaled(queries, relative_height, relative_width, in_type)
    inputs = _flat(queries), _flat(keys), _flat(values)
    if implementation == "blockwise":
        outputs = blockwise.blockwise_attention(*inputs, relative)
    else:
        position_logits = tuple(map(_flat, relative_logits(queries, *relative))) if relative else ()
        attend = KERNELS[implementation].attend if implementation in KERNELS else dense.dense_attention
        outputs = attend(*inputs, position_logits)
    return ops.reshape(outputs, (-1, num_heads, height, width, value_dim))


def attention_scores_2d(
    queries: Any, keys: Any, relative_height: Any = None, relative_width: Any = None, positions: Any = None
) -> Any:
    """The attention probabilities of `attention_2d`, of some queries alone.

    The arguments and the result are those of `attention_logits_2d`, but for the softmax.
    """
    return softmax_product.softmax(attention_logits_2d(queries, keys, relative_height, relative_width, positions))


def attention_logits_2d(
    queries: Any, keys: Any, relative_height: Any = None, relative_width: Any = None, positions: Any = None
) -> Any:
    """The logits of `attention_2d`, of some queries alone.

    Args:
        queries: tensor of shape (B, heads, H, W, key_dim), not yet scaled.
        keys: tensor of shape (B, heads, H, W, key_dim).
        relative_height: tensor of shape (H, H, key_dim), or None, as for `attention_2d`.
        relative_width: tensor of shape (W, W, key_dim), or None.
        positions: integers, the numbers of the queries to return, with positions counted row by row; None for all.

    Returns:
        A tensor of shape (B, heads, queries, HW) and at least float32, rows being queries.
    """
    # At least float32, even where outputs are not: people look at scores.
    dtype = _at_least_float32(queries.dtype)
    queries, relative = _scaled(queries, relative_height, relative_width, dtype)
    position_logits = tuple(map(_flat, relative_logits(queries, *relative))) if relative else ()
    queries = _flat(queries)
    if positions is not None:
        positions = ops.convert_to_tensor(positions, dtype="int32")
        queries = ops.take(queries, positions, axis=2)
        position_logits = tuple(ops.take(of_axis, positions, axis=2) for of_axis in position_logits)
    return dense.attention_logits(queries, _flat(keys), position_logits)


def _scaled(queries, relative_height, relative_width, dtype):
    """Returns queries, scaled, and the pair of relative embeddings or (), all of one type."""
    # In float32: bfloat16 would round the factor.
    scaled = ops.cast(queries, _at_least_float32(queries.dtype)) * shape_of(queries)[-1] ** -0.5
    queries = ops.cast(scaled, dtype)
    if relative_height is None:
        return queries, ()
    return queries, (ops.cast(relative_height, dtype), ops.cast(relative_width, dtype))


def _at_least_float32(dtype):
    return keras.backend.result_type(dtype, "float32")


def _flat(tensor):
    """Flattens the positions of a tensor (B, heads, H, W, channels) row by row: (B, heads, HW, channels)."""
    _, num_heads, height, width, channels = shape_of(tensor)
    return ops.reshape(tensor, (-1, num_heads, height * width, channels))


def choose_implementation(spec: AttentionSpec) -> str:
    """Returns the implementation that "auto" means for an `AttentionSpec`.

    - "fused" where the backend has a kernel on its default device for this attention: on PyTorch in any type but
      float16, and in bfloat16 on NVIDIA GPUs with JAX (`aa_keras.attention.fused.fused_obstacle` has the details);
    - "dense" where the logits of one image, num_heads * (height * width) ** 2 of them, take no more than
      `LARGEST_DENSE_BYTES`: up to 32x32 positions with 8 heads;
    - "blockwise" beyond that, and where the height or width is known only when a graph runs.

    It never is "pallas" or "flex", which no GPU has measured yet.

    The rule looks at one image, since the batch is mostly unknown when a graph is made. If a batch is too large for the
    memory of a device, make it smaller or set "blockwise".
    """
    if kernel_obstacle("fused", spec) is None:
        return "fused"
    small = spec.is_known and spec.logits_bytes <= LARGEST_DENSE_BYTES
    return "dense" if small else "blockwise"


def check_implementation(implementation: str, spec: AttentionSpec) -> None:
    """Raises ValueError where `implementation` names a kernel that does not compute such an attention here."""
    obstacle = kernel_obstacle(implementation, spec) if implementation in KERNELS else None
    if obstacle is not None:
        raise ValueError(
            f'No fused kernel computes this attention: {obstacle}. "auto" uses one where there is one. '
            f"Received: implementation={implementation!r}"
        )
