"""The devices that kernels run on."""

from typing import Any


def jax_device() -> Any:
    """Returns the default device of JAX."""
    import jax

    return jax.devices()[0]


def torch_has_a_gpu() -> bool:
    """Whether PyTorch sees a GPU of CUDA or ROCm."""
    import torch

    return torch.cuda.is_available()


def compute_capability(device: Any) -> float:
    """Returns the generation of an NVIDIA GPU of JAX: 8.0 for Ampere, 9.0 for Hopper; 0 for GPUs of other makers."""
    try:
        return float(getattr(device, "compute_capability", 0))
    except ValueError:  # "gfx942"
        return 0.0


def nvidia_obstacle(device: Any) -> str | None:
    """Returns why a device of JAX is not one of NVIDIA's that kernels of attention are for, or None if it is."""
    if device.platform != "gpu":
        return f"JAX has a fused attention kernel for NVIDIA GPUs, and the device is a {device.platform.upper()}"
    if compute_capability(device) < 8:
        return f"the kernel is for NVIDIA GPUs of compute capability 8.0 or higher, and this is a {device.device_kind}"
    return None
