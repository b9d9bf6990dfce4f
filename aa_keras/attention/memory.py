"""The memory that attention takes in training, estimated before a network is built."""

import dataclasses

from aa_keras.attention import blockwise, fused
from aa_keras.attention.choice import choose_implementation
from aa_keras.attention.kernels import KERNELS
from aa_keras.attention.spec import AttentionSpec


@dataclasses.dataclass(frozen=True)
class AttentionMemory:
    """The memory that attention adds to a training step, for each image.

    Attributes:
        kept: bytes that stay allocated from the forward to the backward pass.
        transient: bytes beyond these while the layer's gradient is computed.
    """

    kept: int
    transient: int


def attention_memory(spec: AttentionSpec, implementation: str = "auto") -> AttentionMemory:
    """Estimates the memory of an attention as TensorFlow takes it on CPUs.

    Queries, keys and values are kept. "dense" also keeps the probabilities, heads * (HW)^2 of them in the type of
    the logits, and its gradient allocates 2.25 arrays of this size at once. "blockwise" keeps five copies of queries,
    keys and values, whole and cut into blocks, and its gradient allocates eight more and five arrays of the size of a
    block's probabilities. Measured peaks of augmented convolutions alone are within a quarter of the estimate
    (`tests/attention/test_memory.py`). In a network, which needs other memory before and after, the peak grew by 0.7
    to 1.5 times the estimate where attention dominates. "fused", "pallas" and "flex" count what their kernels read and
    write, and were not measured.
    XLA on CPUs reuses less memory, and takes up to twice as much for dense attention.

    Args:
        spec: `AttentionSpec` of a known height and width, such as
            `AttentionAugmentedConv2D(...).attention_spec((height, width))`.
        implementation: one of `IMPLEMENTATIONS`.

    Returns:
        An `AttentionMemory`.
    """
    if implementation == "auto":
        implementation = choose_implementation(spec)
    positions = spec.height * spec.width
    itemsize = 2 if spec.dtype in ("float16", "bfloat16") else 4
    # Queries also exist in the type of logits.
    kept = positions * spec.num_heads * (spec.key_dim * (spec.logits_itemsize + itemsize) + spec.value_dim * itemsize)
    if implementation == "dense":
        if spec.logits_dtype == "bfloat16":  # queries and keys that include their positions
            axes = (spec.height + spec.width) * spec.relative
            kept += 2 * spec.logits_itemsize * spec.num_heads * positions * axes
        return AttentionMemory(kept + spec.logits_bytes, kept + 9 * spec.logits_bytes // 4)
    if implementation in KERNELS:
        # Queries, keys, values and outputs, and in float32 the sum of each query; as much for their gradients.
        if implementation == "fused":
            of_query = 4 * itemsize * fused.head_length(spec) + 4
        else:  # which take the logits of both axes apart, in float32
            of_query = 2 * itemsize * (spec.key_dim + spec.value_dim) + 4
            of_query += 4 * (spec.height + spec.width) * spec.relative
        of_image = positions * spec.num_heads * of_query
        return AttentionMemory(of_image, of_image)
    block = min(blockwise.BLOCK_BYTES, spec.logits_bytes)
    return AttentionMemory(5 * kept, 5 * block + 8 * kept)
