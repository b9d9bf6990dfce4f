"""The memory of a training step, estimated from a compiled model, and that of the machine."""

import dataclasses
import math
import pathlib

import keras

from aa_keras.attention import attention_memory
from aa_keras.attention.devices import jax_device, torch_has_a_gpu
from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D
from aa_keras.layers._graph import symbolic_calls


@dataclasses.dataclass(frozen=True)
class TrainingMemory:
    """The memory of a training step.

    Attributes:
        of_variables: bytes of weights, gradients and the optimizer's variables.
        of_image: bytes of the outputs of all layers, which are kept for the gradient, for one image.
    """

    of_variables: int
    of_image: int

    def of_step(self, batch_size):
        """Returns the bytes of a step of so many images."""
        return self.of_variables + batch_size * self.of_image


def training_memory(model):
    """Estimates the memory of a training step of a compiled functional model.

    Libraries take more for buffers of convolutions and less where they fuse layers: it is a guide, and no bound.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables, *model.trainable_variables]
    of_variables = sum(math.prod(variable.shape) * _itemsize(variable.dtype) for variable in variables)
    shape = model.inputs[0].shape[1:]
    of_image = sum(_bytes_kept(call) for call in symbolic_calls(model, [(1, *shape)]))
    return TrainingMemory(of_variables, of_image)


def _bytes_kept(call):
    outputs = [tensor for tensor in keras.tree.flatten(call.outputs) if hasattr(tensor, "shape")]
    kept = sum(math.prod(tensor.shape[1:]) * _itemsize(tensor.dtype) for tensor in outputs)
    if isinstance(call.layer, (AttentionAugmentedConv2D, SelfAttention2D)):
        inputs = keras.tree.flatten((call.args, call.kwargs))[0]
        spec = call.layer.attention_spec(tuple(inputs.shape[1:3]))
        kept += attention_memory(spec, call.layer.implementation).kept
    return kept


def _itemsize(dtype):
    return {"16": 2, "64": 8}.get(str(dtype)[-2:], 4)


def available_memory():
    """Returns the bytes of memory that a CPU's training can take, or None for other devices and systems."""
    if not _computes_on_a_cpu():
        return None
    try:
        lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _computes_on_a_cpu():
    backend = keras.backend.backend()
    if backend == "jax":
        return jax_device().platform == "cpu"
    if backend == "torch":
        return not torch_has_a_gpu()
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")
