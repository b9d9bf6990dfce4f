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
    """Estimates the memory of the attention in an augmented convolution.

    Queries, keys and values are kept; and by "dense" the probabilities, heads * (HW)^2 of them in float32, where their
    gradient and that of the logits are as large again for a while; by "blockwise" and "fused" the logits along the two
    axes, with the probabilities of one block of queries, or none, at a time.

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
    if implementation == "dense":
        probabilities = layer.num_heads * positions**2
        copy = itemsize if itemsize < 4 else 0
        return AttentionMemory(kept + (4 + copy) * probabilities, 2 * 4 * probabilities)
    if implementation == "fused":
        return AttentionMemory(2 * kept + axes, 2 * kept + axes)
    block = min(attention_kernels.BLOCK_BYTES, 4 * layer.num_heads * positions**2)
    return AttentionMemory(kept + axes, 3 * block + kept + axes)


def _itemsize(dtype):
    return 2 if dtype in ("float16", "bfloat16") else 4
