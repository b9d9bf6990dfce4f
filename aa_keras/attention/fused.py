"""Attention with a fused kernel of the backend, and where there is one."""

import functools
import logging
from typing import Any

import keras
from keras import ops

from aa_keras.attention import devices
from aa_keras.attention.kernel_check import kernel_fault
from aa_keras.attention.positions import with_key_positions, with_position_logits
from aa_keras.attention.shapes import padded_channels, shape_of
from aa_keras.attention.spec import AttentionSpec

# Fused kernels need heads in multiples of this.
HEAD_MULTIPLE = 8

_LOGGER = logging.getLogger("aa_keras")


def fused_attention(queries: Any, keys: Any, values: Any, position_logits: tuple = ()) -> Any:
    """Computes relative attention with a fused kernel, which never holds (HW, HW) numbers.

    Queries and keys include their positions (`with_position_logits`). Heads are padded to a multiple of 8, and
    values to the length of keys, as kernels require.

    The kernel sees logits whose mean over the keys of a query is zero. Softmax is the same without a constant, and so
    are all gradients; but the sum of a query's exponentials is at least its number of keys then, whatever the logits,
    where kernels in bfloat16 have failed with small sums (see `kernel_check`).

    Args:
        queries: tensor of shape (B, heads, HW, key_dim), scaled.
        keys: tensor of shape (B, heads, HW, key_dim).
        values: tensor of shape (B, heads, HW, value_dim).
        position_logits: pair of the queries' logits for the row and for the column of a key, (B, heads, HW, H) and
            (B, heads, HW, W), from `relative_logits`; () for none.

    Returns:
        The outputs, of shape (B, heads, HW, value_dim).
    """
    value_dim = shape_of(values)[-1]
    keys = without_mean(keys, axis=2)
    position_logits = tuple(without_mean(of_axis, axis=-1) for of_axis in position_logits)
    queries = ops.cast(with_position_logits(queries, position_logits), values.dtype)
    if position_logits:
        keys = with_key_positions(keys, *(shape_of(of_axis)[-1] for of_axis in position_logits))
    length = _padded_length(max(shape_of(queries)[-1], value_dim))
    queries, keys, values = (_heads_last_but_one(padded_channels(tensor, length)) for tensor in (queries, keys, values))
    return ops.transpose(_kernel(queries, keys, values), (0, 2, 1, 3))[..., :value_dim]


def _kernel(queries, keys, values):
    """Calls the kernel with queries, scaled, keys and values, and returns the outputs; all are (B, HW, heads, head)."""
    # On a GPU with JAX, Keras would otherwise hold all logits silently where it expects that the kernel does not run.
    flash_attention = True if keras.backend.backend() == "jax" and devices.jax_device().platform == "gpu" else None
    return ops.dot_product_attention(queries, keys, values, scale=1.0, flash_attention=flash_attention)


def without_mean(tensor: Any, axis: int) -> Any:
    """Subtracts the mean along an axis, which the gradient takes for a constant: softmax and its gradients stay."""
    # In float32: the mean of many bfloat16 numbers would be rounded on the way.
    precise = ops.cast(tensor, keras.backend.result_type(tensor.dtype, "float32"))
    return ops.cast(precise - ops.stop_gradient(ops.mean(precise, axis=axis, keepdims=True)), tensor.dtype)


def head_length(spec: AttentionSpec) -> int:
    """Returns the channels of a head that the kernel sees: keys with their positions, and values as long as them."""
    return _padded_length(max(spec.key_dim + (spec.height + spec.width if spec.relative else 0), spec.value_dim))


def _padded_length(length):
    return -(-length // HEAD_MULTIPLE) * HEAD_MULTIPLE


def _heads_last_but_one(tensor):
    return ops.transpose(tensor, (0, 2, 1, 3))


def fused_obstacle(dtype: str, head: int, positions: int) -> str | None:
    """Returns why the backend, on its default device, has no fused kernel for an attention, or None if it has one.

    - PyTorch's `scaled_dot_product_attention` has one for every device and length of head;
    - JAX has cuDNN's, for NVIDIA GPUs since Ampere, in bfloat16, for heads of up to 128, or 256 since Hopper, and for
      an even number of positions;
    - none takes float16 here: the logits of positions are part of a query, where float16 could overflow;
    - that of TPUs is not used: Keras 3.15 calls it with a causal mask.

    On GPUs, the kernel is run once for each length of head and number of positions, forward and backward, and must
    compute what dense attention does (`kernel_fault`).

    Args:
        dtype: name of the type of queries, keys and values.
        head: length of a head, before it is padded.
        positions: number of positions, HW.
    """
    backend = keras.backend.backend()
    if backend not in ("jax", "torch"):
        return f"the {backend} backend of Keras has no fused attention kernel (those of JAX and PyTorch have)"
    if dtype == "float16":
        return "the logits of positions, which are part of the queries of a fused kernel, could overflow float16"
    head = _padded_length(head)
    if backend == "jax":
        return _jax_obstacle(dtype, head, positions)
    return _kernel_obstacle(dtype, head, positions) if devices.torch_has_a_gpu() else None


def _jax_obstacle(dtype, head, positions):
    device = devices.jax_device()
    if device.platform == "tpu":
        return "the kernel for TPUs that Keras calls attends to earlier positions alone"
    obstacle = devices.nvidia_obstacle(device)
    if obstacle is not None:
        return obstacle
    if dtype != "bfloat16":
        return f"the kernel for GPUs takes bfloat16, and the compute type is {dtype}"
    longest = 256 if devices.compute_capability(device) >= 9 else 128
    if head > longest:
        return f"the kernel takes heads of up to {longest} on this GPU, and this one has {head}"
    if positions % 2:  # seen with cuDNN of JAX 0.11: "Unsupported sequence length" in the backward pass
        return f"the kernel for GPUs takes an even number of positions, and this map has {positions}"
    return _kernel_obstacle(dtype, head, positions)


@functools.cache
def _kernel_obstacle(dtype, head, positions):
    """Returns why the kernel is not used for heads of a length that it takes, or None if it is right for them."""
    fault = kernel_fault(fused_attention, dtype, head, positions)
    if fault is None:
        return None
    obstacle = f"the kernel of this GPU was tried, and {fault}"
    of = f"{positions} positions, heads of {head}, {dtype}"
    _LOGGER.warning(f"No fused attention for {of}: {obstacle}")
    return obstacle
