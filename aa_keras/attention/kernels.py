"""The kernels that compute attention without its logits in memory, and why one does not run here."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras

from aa_keras.attention import devices, fused
from aa_keras.attention.kernel_check import kernel_fault
from aa_keras.attention.spec import AttentionSpec

# JAX and PyTorch are imported where their kernels are used.


def _pallas(queries, keys, values, position_logits=()):
    from aa_keras.attention.pallas import pallas_attention

    return pallas_attention(queries, _centered(keys), values, position_logits)


def _flex(queries, keys, values, position_logits=()):
    from aa_keras.attention.flex import flex_attention

    return flex_attention(queries, _centered(keys), values, position_logits)


def _centered(keys):
    """Subtracts their mean from keys.

    The gradient of a query is the sum of keys times gradients of its logits. The sum of the latter is zero but for
    rounding, which a mean of the keys would multiply.
    """
    return fused.without_mean(keys, axis=2)


def _fused_obstacle(spec):
    return fused.fused_obstacle(spec.dtype, fused.head_length(spec), spec.height * spec.width)


def _pallas_obstacle(spec):
    obstacle = _backend_obstacle("Pallas", "jax") or devices.nvidia_obstacle(devices.jax_device())
    return obstacle or _dtype_obstacle(spec) or fault_obstacle("pallas", spec)


def _flex_obstacle(spec):
    obstacle = _backend_obstacle("FlexAttention", "torch")
    if obstacle is None and not devices.torch_has_a_gpu():
        obstacle = "FlexAttention is compiled for GPUs, and PyTorch sees none"
    return obstacle or _dtype_obstacle(spec) or fault_obstacle("flex", spec)


def _backend_obstacle(name, backend):
    present = keras.backend.backend()
    if present == backend:
        return None
    return f"{name} is for the {backend} backend of Keras, and this is the {present} backend"


def _dtype_obstacle(spec):
    return None if spec.dtype != "float64" else "the kernel computes logits in float32, and the compute type is float64"


@functools.cache
def fault_obstacle(name: str, spec: AttentionSpec) -> str | None:
    """Tries a kernel with an attention, once, and returns why it is not used, or None if it is right."""

    def attend(queries, keys, values, *position_logits):
        return KERNELS[name].attend(queries, keys, values, position_logits)

    size = (spec.height, spec.width) if spec.relative else ()
    fault = kernel_fault(attend, spec.dtype, spec.key_dim, spec.height * spec.width, spec.value_dim, size)
    return None if fault is None else f"the kernel of this GPU was tried, and {fault}"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel of attention.

    Attributes:
        attend: function of queries, scaled, keys, values and position logits: see `fused.fused_attention`.
        obstacle: function of an `AttentionSpec` of a known size that returns why the kernel does not compute it here,
            or None if it does.
    """

    attend: Callable[..., Any]
    obstacle: Callable[[AttentionSpec], str | None]


KERNELS = {
    "fused": Kernel(fused.fused_attention, _fused_obstacle),
    "pallas": Kernel(_pallas, _pallas_obstacle),
    "flex": Kernel(_flex, _flex_obstacle),
}


def kernel_obstacle(name: str, spec: AttentionSpec) -> str | None:
    """Returns why a kernel, of a name in `KERNELS`, does not compute an attention here, or None if it does."""
    if not spec.is_known:
        return "the height or width of the map is known only when the graph runs"
    return KERNELS[name].obstacle(spec)
