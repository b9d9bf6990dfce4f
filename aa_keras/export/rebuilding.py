"""A copy of a trained network for an export: in float32, for another image size, with dense attention."""

import keras
import numpy as np

from aa_keras import attention
from aa_keras._keras_compat import all_layers
from aa_keras.applications.builders import BUILDERS
from aa_keras.applications.weights.architecture import encoder_of
from aa_keras.errors import UserError, described
from aa_keras.layers import SelfAttention2D

_ATTENTION = ("aa_keras>AttentionAugmentedConv2D", "aa_keras>SelfAttention2D")
_TABLES = ("height_table", "width_table")


def rebuilt(model, size=None, dense=False):
    """Returns a network in float32, whatever its precision, with the same weights; itself if nothing changes.

    Args:
        model: Keras model of images, functional or a detector of this library.
        size: (height, width) of the images that the copy takes; the tables of relative positions are resized. None
            keeps the size.
        dense: whether attention must be computed densely, for images of a fixed size.

    Raises:
        UserError: if the network cannot be copied in this way.
    """
    if size == tuple(model.input_shape[1:3]):
        size = None
    if size is None and is_float32(model) and not (dense and not_dense(model)):
        return model
    serialized = keras.saving.serialize_keras_object(model)
    if size is not None:
        _check_size(model, size)
        _set_input_size(serialized["config"], size)
    is_fixed = None not in (size or model.input_shape[1:3])
    _change(serialized, dense and is_fixed, is_fixed)
    try:
        copy = keras.saving.deserialize_keras_object(serialized, safe_mode=False)
        _copy_weights(model, copy)
    except UserError:
        raise
    except Exception as error:  # Keras raises errors of many kinds for what layers do not take
        shape = f"for images of {'x'.join(map(str, size))} " if size is not None else ""
        raise UserError(f"The network {model.name!r} cannot be rebuilt {shape}in float32: {described(error)}") from None
    return copy


def is_float32(model):
    """Whether all layers of a network compute in float32."""
    return all(layer.compute_dtype == "float32" for layer in all_layers(model) if layer.variables)


def not_dense(model):
    """Returns an `AttentionSpec` for each layer of a network whose attention is not computed densely."""
    specs = []
    for layer in all_layers(model):
        if isinstance(layer, SelfAttention2D):
            spec = layer.attention_spec(layer.get_build_config()["input_shape"][1:3])
            automatic = layer.implementation == "auto"
            if (attention.choose_implementation(spec) if automatic else layer.implementation) != "dense":
                specs.append(spec)
    return specs


def _check_size(model, size):
    stride = getattr(model, "largest_stride", 1)
    if any(length % stride for length in size):
        raise UserError(
            f"size must have sides that are multiples of {stride}, the stride of the detector's pyramid. "
            f"Received: size={'x'.join(map(str, size))}"
        )


def _set_input_size(config, size):
    """Sets the size of the images in the config of a network: that of its input, or of a detector's backbone."""
    if "backbone" in config:
        encoder = encoder_of(config)
        for part in (config["backbone"]["config"], encoder):
            part["image_shape"] = [*size, part["image_shape"][-1]]
        if "network" in encoder:  # one without a builder, which is described whole
            _set_input_size(encoder["network"]["config"], size)
        return
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            batch, _, _, channels = layer["config"]["batch_shape"]
            layer["config"]["batch_shape"] = [batch, *size, channels]


def _change(node, dense, is_fixed):
    """Changes the configs of layers, at any depth: their precision, their attention, their build config."""
    if isinstance(node, (list, tuple)):
        for item in node:
            _change(item, dense, is_fixed)
    if not isinstance(node, dict):
        return
    if node.get("class_name") == "QuantizedDTypePolicy":
        raise UserError("A network that `quantize` was called on cannot be exported: export the one before it")
    if node.get("class_name") == "DTypePolicy":
        node["config"]["name"] = "float32"
    node.pop("build_config", None)  # built for another size
    if node.get("registered_name") in _ATTENTION:
        if dense:
            node["config"]["implementation"] = "dense"
        if is_fixed:
            node["config"]["max_size"] = None
    if node.get("registered_name") == "aa_keras>PyramidEncoder" and dense:
        _compute_densely(node["config"])
    for item in node.values():
        _change(item, dense, is_fixed)


def _compute_densely(encoder):
    """Sets the implementation of attention in the config of a detector's encoder, if its builder has attention."""
    builder = BUILDERS.get(encoder["builder"])
    if builder is not None and "implementation" in builder.definition.signature.parameters:
        encoder["arguments"]["implementation"] = "dense"


def _copy_weights(model, copy):
    values = []
    for old, new in zip(model.weights, copy.weights, strict=True):
        value = np.asarray(old)
        if old.name in _TABLES and old.shape != new.shape:
            value = attention.resized_table(value, (new.shape[0] + 1) // 2)
        values.append(value)
    for variable, value in zip(copy.weights, values, strict=True):
        variable.assign(value)
