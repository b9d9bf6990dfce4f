"""Attention with any of its implementations, and the one that "auto" chooses."""

import dataclasses
from typing import Any

import keras
from keras import ops

from aa_keras.attention import blockwise, dense, fused, softmax_product
from aa_keras.attention.positions import relative_logits
from aa_keras.attention.shapes import shape_of

IMPLEMENTATIONS = ("auto", "dense", "blockwise", "fused")
# The most bytes of logits of one image: beyond that, memory soon limits the batch.
LARGEST_DENSE_BYTES = 2**25


@dataclasses.dataclass(frozen=True)
class AttentionSpec:
    """The properties of an attention that decide its cost and the choice of its implementation.

    Attributes:
        num_heads: number of heads.
        height: positions along the vertical axis: an integer, or a tensor or None where it is known only when a graph
            runs.
        width: positions along the horizontal axis, likewise.
        key_dim: channels of a key in each head.
        value_dim: channels of a value in each head.
        relative: whether there are relative positions.
        dtype: name of the compute type.
    """

    num_heads: int
    height: Any
    width: Any
    key_dim: int
    value_dim: int
    relative: bool
    dtype: str

    @property
    def is_known(self) -> bool:
        """Whether the height and the width are known."""
        return isinstance(self.height, int) and isinstance(self.width, int)

    @property
    def logits_dtype(self) -> str:
        """The name of the type in which logits are formed, other than in a fused kernel."""
        return dense.logits_dtype(self.dtype, self.height, self.width, self.relative)

    @property
    def logits_itemsize(self) -> int:
        """The bytes of a logit, other than in a fused kernel."""
        return {"bfloat16": 2, "float32": 4, "float64": 8}[self.logits_dtype]

    @property
    def logits_bytes(self) -> int:
        """The bytes of the logits of an image, of a known height and width."""
        return self.logits_itemsize * self.num_heads * (self.height * self.width) ** 2


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
            "fused" none, in a kernel of the backend. "auto" is what `choose_implementation` returns.
        return_scores: boolean, whether to return the attention probabilities too, which takes a dense computation.

    Returns:
        The outputs, of shape (B, heads, H, W, value_dim) and the values' type; with `return_scores` a pair of them and
        the attention probabilities, of shape (B, heads, HW, HW) and at least float32, rows being queries.

    Raises:
        ValueError: if `implementation` is "fused" and the backend has no such kernel for this attention.
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
    # A fused kernel rounds its inputs once, itself.
    in_type = _at_least_float32(dtype) if implementation == "fused" else spec.logits_dtype
    queries, relative = _scaled(queries, relative_height, relative_width, in_type)
    inputs = _flat(queries), _flat(keys), _flat(values)
    if implementation == "blockwise":
        outputs = blockwise.blockwise_attention(*inputs, relative)
    else:
        position_logits = tuple(map(_flat, relative_logits(queries, *relative))) if relative else ()
        attend = fused.fused_attention if implementation == "fused" else dense.dense_attention
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

    The rule looks at one image, since the batch is mostly unknown when a graph is made. If a batch is too large for the
    memory of a device, make it smaller or set "blockwise".
    """
    if _fused_obstacle(spec) is None:
        return "fused"
    small = spec.is_known and spec.logits_bytes <= LARGEST_DENSE_BYTES
    return "dense" if small else "blockwise"


def _fused_obstacle(spec):
    """Returns why no fused kernel computes such an attention, or None if one does."""
    if not spec.is_known:
        return "the height or width of the map is known only when the graph runs"
    # A kernel sees keys with their position, and values as long as them.
    head = max(spec.key_dim + (spec.height + spec.width if spec.relative else 0), spec.value_dim)
    return fused.fused_obstacle(spec.dtype, head, spec.height * spec.width)


def check_implementation(implementation: str, spec: AttentionSpec) -> None:
    """Raises ValueError where `implementation` is "fused" and the backend has no kernel for such an attention."""
    if implementation != "fused":
        return
    obstacle = _fused_obstacle(spec)
    if obstacle is not None:
        raise ValueError(
            f'No fused kernel computes this attention: {obstacle}. "auto" uses one where there is one. '
            "Received: implementation='fused'"
        )
