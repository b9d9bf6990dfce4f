"""Files of PyTorch weights: their tensors by name."""

import argparse
import pathlib
import pickle
import re

import numpy as np

from aa_keras.errors import importing_extra

# Files that PyTorch pickles, and those of safetensors.
PICKLED = (".bin", ".pt", ".pth", ".pth.tar", ".ckpt")
SUFFIXES = (".safetensors", *PICKLED)
# The keys of training scripts for the weights, in timm's order: averaged weights come first.
_AVERAGED = ("state_dict_ema", "model_ema")
_NESTED = (*_AVERAGED, "state_dict", "model", "model_state_dict")
# What wrappers put before the names of all tensors: data parallelism, `torch.compile`, Lightning, detectors.
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
# Counters, which are no weights.
_COUNTERS = ("num_batches_tracked", "n_averaged")


def is_checkpoint(path):
    """Whether a file has the name of PyTorch weights."""
    return str(path).lower().endswith(SUFFIXES)


def read_checkpoint(path):
    """Returns the tensors of a checkpoint.

    Nothing in the file is executed: safetensors hold numbers alone, and PyTorch's pickles are read with
    `weights_only=True`. Of a training script's weights and their moving average, the latter is taken, as timm does.
    Prefixes that wrappers put before the names of all tensors are left out.

    Args:
        path: path of a file, `.safetensors`, which the package safetensors reads, or one of `PICKLED`, which PyTorch
            reads.

    Returns:
        A dictionary from the tensors' names to float32 arrays, in the order of the file, without counters; and a
        phrase that says which weights of the file they are, "" if there is no choice.

    Raises:
        ValueError: if the file is damaged or holds anything but tensors of finite numbers, and without PyTorch if the
            file needs it.
        ImportError: without the package safetensors.
    """
    path = pathlib.Path(path)
    is_pickled = path.suffix.lower() != ".safetensors"
    tensors, which = _read_pickled(path) if is_pickled else (_read_safetensors(path), "")
    state = {}
    for name, tensor in _without_prefixes(tensors).items():
        if name.split(".")[-1] in _COUNTERS:
            continue
        state[name] = np.asarray(tensor, np.float32)
        if not np.isfinite(state[name]).all():
            raise unusable(path, f"{name} holds numbers that are infinite or NaN")
    return state, which


def _without_prefixes(tensors):
    """Returns tensors by name, without the prefixes that all names have, counters apart."""
    named = [name for name in tensors if name.split(".")[-1] not in _COUNTERS]
    prefix = next((prefix for prefix in _PREFIXES if named and all(name.startswith(prefix) for name in named)), None)
    if prefix is None:
        return tensors
    return _without_prefixes({name.removeprefix(prefix): tensor for name, tensor in tensors.items()})


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
        with torch.serialization.safe_globals([argparse.Namespace]):  # the settings that timm's script keeps
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = "it is damaged"
        if found:
            reason = (
                f"besides tensors it holds an object, {found[1]}, which is not read, since that might run code: save "
                "its state_dict alone"
            )
        raise unusable(path, reason) from None
    except Exception as error:  # PyTorch raises errors of many kinds for other files
        raise unusable(path, f"it is damaged: {str(error).splitlines()[0] if str(error) else error!r}") from None
    which = ""
    if isinstance(content, dict):
        keys = [key for key in _NESTED if isinstance(content.get(key), dict)]
        if keys:
            content = content[keys[0]]
            kind = "averaged" if keys[0] in _AVERAGED else "last"
            which = f"{keys[0]}, the {kind} weights" if len(keys) > 1 else keys[0]
    if not isinstance(content, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise unusable(path, "it does not hold tensors by name")
    return {str(name): tensor.float().numpy() for name, tensor in content.items()}, which
