"""Conversion of timm's checkpoints of networks that this library has.

timm (github.com/huggingface/pytorch-image-models) has the same ResNets, with and without squeeze-and-excitation, and
BoTNets. The names and shapes of the tensors in a checkpoint determine its network. That network is built, and each
tensor is used once.
"""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from .checkpoints import unusable


@dataclasses.dataclass(frozen=True)
class TimmRules:
    """The rules to convert timm's networks of a family.

    Attributes:
        names: pairs of a pattern of our layers' names and of timm's name, in which {0} is the first group of the
            pattern.
        structure: function of a checkpoint's tensors that returns the name of the builder and the arguments of the
            family's function for their network. It raises ValueError, or KeyError for a missing tensor.
    """

    names: tuple[tuple[str, str], ...]
    structure: Callable


def convert(state, rules, build, source):
    """Returns the network of a checkpoint, with the tensors as its weights.

    Args:
        state: dictionary from timm's names to arrays, as `read_checkpoint` returns it.
        rules: `TimmRules` of the family.
        build: function of the name of a builder and of arguments of its family that builds a network.
        source: source of the tensors, for errors.

    Returns:
        The name of the network's builder, and the Keras model.

    Raises:
        ValueError: if they are of another network, or if a tensor is missing, superfluous or of another shape; the
            message names the first one.
    """
    try:
        builder, arguments = rules.structure(state)
        model = build(builder, {**arguments, "padding": "symmetric"})
    except KeyError as error:
        raise unusable(source, f"it lacks {error.args[0]}") from None
    except (IndexError, ValueError) as error:
        raise unusable(source, error) from None
    left = dict(state)
    values = []
    for layer in model.layers:
        for variable, name, converted in _variables(layer, rules.names):
            if name not in left:
                raise unusable(source, f"it looks like {builder}, but lacks {name}")
            tensor = left.pop(name)
            value = converted(tensor)
            if value.shape != tuple(variable.shape):
                raise unusable(
                    source,
                    f"it looks like {builder}, but {name} has the shape {tensor.shape}, which becomes {value.shape} "
                    f"in Keras, where {layer.name} has {tuple(variable.shape)}",
                )
            values.append((variable, value))
    if left:
        raise unusable(source, f"it looks like {builder}, which has no weight for {next(iter(left))}")
    for variable, value in values:
        variable.assign(value)
    return builder, model


def _variables(layer, names):
    """Yields each variable of a layer with timm's name for it, and the function that converts timm's tensor."""
    if not layer.weights:
        return
    prefix = _timm_name(layer.name, names)
    kind = type(layer).__name__
    if kind == "Conv2D":
        yield layer.kernel, f"{prefix}.weight", _kernel
    elif kind == "BatchNormalization":
        yield layer.gamma, f"{prefix}.weight", np.asarray
        yield layer.beta, f"{prefix}.bias", np.asarray
        yield layer.moving_mean, f"{prefix}.running_mean", np.asarray
        yield layer.moving_variance, f"{prefix}.running_var", np.asarray
    elif kind == "Dense":
        yield layer.kernel, f"{prefix}.weight", np.transpose
        yield layer.bias, f"{prefix}.bias", np.asarray
    elif kind == "SqueezeExcite":
        for dense, part in ((layer.squeeze, "fc1"), (layer.excite, "fc2")):
            yield dense.kernel, f"{prefix}.{part}.weight", lambda tensor: tensor.reshape(tensor.shape[:2]).T
            if dense.use_bias:
                yield dense.bias, f"{prefix}.{part}.bias", np.asarray
    elif kind == "EfficientChannelAttention":
        yield layer.convolution.kernel, f"{prefix}.conv.weight", lambda tensor: tensor.reshape(1, -1, 1, 1)
    elif kind == "SelfAttention2D":
        yield layer.query_key_value.kernel, f"{prefix}.qkv.weight", _kernel
        # timm does not scale the logits of positions; here they are scaled like those of contents.
        scale = np.float32(layer.key_dim**0.5)
        for variable, axis in zip(layer.relative_embedding.weights, ("height", "width"), strict=True):
            yield variable, f"{prefix}.pos_embed.{axis}_rel", lambda tensor: tensor * scale
    else:
        raise AssertionError(f"There is no rule for the layer {layer.name}, a {kind}")


def _kernel(tensor):
    """Transposes PyTorch's (outputs, inputs, height, width) to Keras's (height, width, inputs, outputs)."""
    return np.transpose(tensor, (2, 3, 1, 0)) if tensor.ndim == 4 else tensor


def _timm_name(name, names):
    """Returns timm's name of a layer. timm counts blocks from 0, and the stages of BoTNets as well."""
    for pattern, timms in names:
        match = re.fullmatch(pattern, name)
        if match:
            parts = list(match.groups())
            if name.startswith("stage"):
                parts[1] = int(parts[1]) - 1
                if timms.startswith("stages."):
                    parts[0] = int(parts[0]) - 1
            return timms.format(*parts)
    raise AssertionError(f"There is no rule for the layer {name}")
