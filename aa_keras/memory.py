"""The memory that attention takes in training, estimated before a network is built."""

import dataclasses

from aa_keras import attention, attention_kernels


@dataclasses.dataclass(frozen=True)
class AttentionMemory:
    """What an augmented convolution adds to the memory of a training step, for each image.

    Attributes:
        kept: bytes that are held from the forward to the backward pass.
        transient: bytes beyond these while the layer's gradient is computed.
    """

    kept: int
    transient: int


def attention_memory(layer, size):
    """Estimates the memory of the attention in an augmented convolution, as TensorFlow takes it on CPUs.

    Kept are queries, keys and values. By "dense" the probabilities are too, heads * (HW)^2 of them in float32, and
    three arrays of this size are there at once while the gradient is computed. By "blockwise" five copies of
    queries, keys and values are kept, whole and cut into blocks, and the gradient takes eight more and seven arrays of
    the size of a block's probabilities. Measured peaks of such layers alone are within a quarter of it
    (`tests/test_memory.py`); in a network, which needs other memory before and after, the peak grew by 0.7 to 1.5 times
    as much where attention is most of it. "fused" is what its
    kernel is given, and was not measured; XLA on CPUs reuses less memory, and takes up to twice as much for dense
    attention.

    Args:
        layer: `AttentionAugmentedConv2D`, built or not.
        size: (height, width) of its input, known.

    Returns:
        An `AttentionMemory`.
    """
    height, width = layer.attention_size(size)
    positions = height * width
    relative = layer.position_encoding == "relative"
    dtype = layer.compute_dtype
    key_dim, value_dim = layer.key_depth // layer.num_heads, layer.value_depth // layer.num_heads
    implementation = layer.implementation
    if implementation == "auto":
        implementation = attention.choose_implementation(
            layer.num_heads, height, width, key_dim, value_dim, relative, dtype
        )
    itemsize = _itemsize(dtype)
    kept = positions * (layer.key_depth * (4 + itemsize) + layer.value_depth * itemsize)  # queries are in float32
    axes = 4 * layer.num_heads * positions * (height + width) * relative
    probabilities = layer.num_heads * positions**2
    if implementation == "dense":
        copy = itemsize if itemsize < 4 else 0
        return AttentionMemory(kept + (4 + copy) * probabilities, kept + 3 * 4 * probabilities)
    if implementation == "fused":
        return AttentionMemory(2 * kept + axes, 2 * kept + axes)
    block = min(attention_kernels.BLOCK_BYTES, 4 * probabilities)
    return AttentionMemory(5 * kept, 7 * block + 8 * kept)


def _itemsize(dtype):
    return 2 if dtype in ("float16", "bfloat16") else 4
