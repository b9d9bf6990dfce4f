"""Files of PyTorch weights: their tensors by name."""

import pathlib
import pickle

import numpy as np

from aa_keras.errors import importing_extra

# Files that PyTorch pickles, and those of safetensors.
PICKLED = (".bin", ".pt", ".pth")
SUFFIXES = (".safetensors", *PICKLED)
# The keys of training scripts for the weights.
_NESTED = ("state_dict", "model", "state_dict_ema", "model_ema")


def read_checkpoint(path):
    """Returns the tensors of a checkpoint.

    Nothing in the file is executed: safetensors hold numbers alone, and PyTorch's pickles are read with
    `weights_only=True`.

    Args:
        path: path of a file, `.safetensors`, which the package safetensors reads, or `.bin`, `.pt` or `.pth`, which
            PyTorch reads.

    Returns:
        A dictionary from the tensors' names to float32 arrays, in the order of the file. Counters of batches are left
        out.

    Raises:
        ValueError: if the file is damaged or holds anything but tensors of finite numbers, and without PyTorch if the
            file needs it.
        ImportError: without the package safetensors.
    """
    path = pathlib.Path(path)
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)
    state = {}
    for name, tensor in tensors.items():
        if name.split(".")[-1] == "num_batches_tracked":
            continue
        state[name] = np.asarray(tensor, np.float32)
        if not np.isfinite(state[name]).all():
            raise unusable(path, f"{name} holds numbers that are infinite or NaN")
    return state


def unusable(path, reason):
    """Returns the error for a checkpoint that cannot be converted."""
    return ValueError(
        "`weights` must be a whole checkpoint of timm, of a network that this library has. "
        f"Received: weights={str(path)!r} ({' '.join(str(reason).split())[:300]})"
    )


def _read_safetensors(path):
    with importing_extra():
        from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is not a dictionary
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise unusable(path, error) from None


def _read_pickled(path):
    try:
        import torch
    except ImportError:
        raise ValueError(
            "`weights` must be a file .safetensors without PyTorch, which reads the others: "
            f"pip install torch. Received: weights={str(path)!r}"
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise unusable(path, "it is damaged, or holds objects other than tensors, which are not read") from None
    except Exception as error:  # PyTorch raises errors of many kinds for other files
        raise unusable(path, f"it is damaged: {str(error).splitlines()[0] if str(error) else error!r}") from None
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise unusable(path, "it does not hold tensors by name")
    return {str(name): tensor.float().numpy() for name, tensor in content.items()}
