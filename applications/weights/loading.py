"""Loading weights from a file into a network of another input size, or without the file's classifier."""

import collections
import logging
import pathlib
import re
import tempfile

import h5py
import keras
import numpy as np

from aa_keras import attention
from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D
from aa_keras.layers._transfer import kept_channels, normalizations_after, take_weights

from .files import TABLES, stored_weights, values_of, write_values

_LOGGER = logging.getLogger("aa_keras")
# Names in Keras files, by the class of the layer: a classifier; the last layer of a detector's class head.
_CLASSIFIER = ("layers/dense/", "layers/prediction_head_1/prediction_layer/")


def load_weights(model, weights, include_top):
    """Loads weights of the same architecture, whatever the size of the images and the number of classes.

    Tables of relative positions that were learned at another size are resized, and a log line says so. Without a top,
    the classifier in the file is left out. Unless the weights are exact, the classifier stays new if they are for other
    classes than the model's, and an augmented network takes what fits from a plain one; a log line says so. Nothing
    else may differ.

    Settings without weights, such as the number of heads or the pooling before attention, are compared too if the file
    has them: a whole model (`.keras`) does, bare weights (`.weights.h5`) do not.

    Args:
        model: Keras model from one of the builders.
        weights: the `Weights`.
        include_top: whether the model has a classifier.

    Returns:
        Whether a classifier for other classes is new, and whether attention is: both must be trained then.

    Raises:
        ValueError: if the file is of another kind or holds weights of another architecture; the message names the first
            difference.
    """
    if not weights.is_exact and any(map(_is_attention, model.layers)) and not weights.content.is_augmented:
        return _take_what_fits(model, weights, include_top), True
    with tempfile.TemporaryDirectory() as folder:
        # Keras decides the names of weights in files: let it write the model's own, and replace them one by one.
        own_path = pathlib.Path(folder) / "own.weights.h5"
        model.save_weights(own_path)
        with stored_weights(weights.path) as theirs, h5py.File(own_path, "r+") as own:
            ours = {name: item for name, item in _datasets(own).items() if name.startswith("layers/")}
            has_new_head = not weights.is_exact and include_top and _remove_other_classifier(theirs, ours)
            resized = _copy(theirs, ours, _layer_names(model), weights, include_top and not has_new_head)
        _check_structure(model, weights)
        model.load_weights(own_path)
    if resized:
        _LOGGER.warning("%s: resized %d tables of relative positions for %s", weights, len(resized), model.name)
    if has_new_head:
        _LOGGER.warning(
            "%s: the classifier of %s, for %d classes, is new and must be trained",
            weights,
            model.name,
            getattr(model, "num_classes", None) or model.output_shape[-1],
        )
    return has_new_head, False


def _take_what_fits(model, weights, include_top):
    """Copies what fits from a plain network to an augmented one, and counts it in a log line.

    In an augmented convolution, and in the batch normalization after it, the channels of the convolution are copied;
    attention stays new. Nothing else may differ, except the classes.

    Returns:
        Whether the classifier is new.
    """
    plain = {layer.name: layer for layer in keras.models.load_model(weights.path, compile=False).layers}
    augmented = list(filter(_is_attention, model.layers))
    followers = normalizations_after(model.layers, of=augmented)
    is_new = False
    whole, partial, new = 0, 0, 0
    for layer in model.layers:
        if not layer.weights:
            continue
        is_classifier = include_top and layer is model.layers[-1]
        values = plain[layer.name].get_weights() if layer.name in plain else None
        shapes = None if values is None else [value.shape for value in values]
        if is_classifier and shapes != [tuple(weight.shape) for weight in layer.weights]:
            new += len(layer.weights)
            is_new = True
            _LOGGER.warning("%s: the classifier of %s is new and must be trained", weights, model.name)
            continue
        if values is not None and _is_for_other_channels(layer.name, shapes[0], layer.weights[0].shape, weights):
            values = [_for_channels(values[0], layer.weights[0].shape[2], layer.name, weights)]
            shapes = [values[0].shape]
        if _is_attention(layer):
            kernel = (*layer.kernel_size, layer.input.shape[-1], layer.filters)
            if shapes != [kernel]:
                raise _difference(
                    weights,
                    f"the kernel of the layer {layer.name!r} must have the shape {kernel}, and the file has {shapes}",
                )
            partial += kept_channels(layer) > 0
            new += len(layer.self_attention.weights)
        elif shapes != [tuple(weight.shape) for weight in layer.weights]:
            own = [tuple(weight.shape) for weight in layer.weights]
            raise _difference(
                weights,
                f"the weights of the layer {layer.name!r} have the shapes {shapes} in the file, {own} in the model",
            )
        elif layer in followers:
            partial += len(values)
        else:
            whole += len(values)
        take_weights(layer, values, augmented, followers)
    _LOGGER.warning(
        "%s: %s took %d weights whole, and of %d the channels that are still a convolution's; "
        "%d are new and must be trained",
        *(weights, model.name, whole, partial, new),
    )
    return is_new


def _is_attention(layer):
    return isinstance(layer, AttentionAugmentedConv2D)


def _datasets(file):
    found = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def _remove_other_classifier(theirs, ours):
    """Removes the classifier from `ours` if that of the file is for other classes; returns whether it did."""
    classifier = [name for name in ours if name.startswith(_CLASSIFIER)]
    if all(name in theirs and theirs[name].shape == ours[name].shape for name in classifier):
        return False
    for name in classifier:
        del ours[name]
    return True


def _copy(theirs, ours, layer_names, weights, include_top):
    """Copies between two dictionaries of HDF5 data sets; returns the names of tables that were resized."""
    resized = []
    same = sum(name in theirs and theirs[name].shape == weight.shape for name, weight in ours.items())
    other = "the file has another model: " if same < len(ours) / 2 else ""
    for name, weight in ours.items():
        if name not in theirs:
            lacking = f"the file lacks {_described(name, layer_names)}, of shape {weight.shape} in the model"
            raise _difference(weights, other + lacking)
        is_table = TABLES in name and theirs[name].shape[1:] == weight.shape[1:]
        layer_name = layer_names.get(_layer_path(name), "unknown")
        has_other_channels = _is_for_other_channels(layer_name, theirs[name].shape, weight.shape, weights)
        if theirs[name].shape != weight.shape and not is_table and not has_other_channels:
            shapes = f"has the shape {theirs[name].shape} in the file, {weight.shape} in the model"
            raise _difference(weights, f"{other}{_described(name, layer_names)} {shapes}")
        value = values_of(name, theirs[name], weights.path)
        if has_other_channels:
            value = _for_channels(value, weight.shape[2], layer_name, weights)
        if is_table and len(value) != len(weight):
            value = attention.resized_table(value, (len(weight) + 1) // 2)
            resized.append(name)
        write_values(weight, value)
    for name in theirs:
        if name not in ours and (include_top or not name.startswith(_CLASSIFIER)):
            raise _difference(weights, f"{other}the model lacks {name}, of shape {theirs[name].shape} in the file")
    return resized


def _is_for_other_channels(layer_name, theirs, ours, weights):
    """Whether a weight is the first kernel of a network for color images, and the model has another number of channels.

    Args:
        layer_name: name of the weight's layer.
        theirs: the shape of the weight.
        ours: its shape in the model.
        weights: the `Weights`, of which exact ones must fit as they are.
    """
    is_first = layer_name.startswith("stem") and len(theirs) == len(ours) == 4 and theirs[2] == 3
    alike = is_first and (*theirs[:2], theirs[3]) == (*ours[:2], ours[3])
    return alike and theirs[2] != ours[2] and not weights.is_exact


def _for_channels(kernel, channels, layer_name, weights):
    """Returns the first kernel of a network for color images for another number of channels, as timm adapts it.

    For images in gray it is summed over the channels; for more than three it is repeated and scaled, so that outputs
    keep their size.
    """
    _LOGGER.warning("%s: the kernel of %s is adapted from 3 channels to %d", weights, layer_name, channels)
    kernel = kernel.astype("float32")
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    return np.tile(kernel, (1, 1, -(-channels // 3), 1))[:, :, :channels] * (3 / channels)


def _difference(weights, difference):
    return ValueError(
        f"`weights` must be of the same architecture. Received: weights={str(weights)!r}, where {difference}"
    )


def _described(name, layer_names):
    """Names a weight by its layer, with a hint if that is the classifier."""
    hint = " (include_top=False leaves it out)" if name.startswith(_CLASSIFIER) else ""
    return f"{name} (layer {layer_names.get(_layer_path(name), 'unknown')!r}){hint}"


def _layer_path(name):
    """Returns the path of a layer in a file from that of a weight."""
    return "/".join(name.split("/")[:2])


def _layer_names(model):
    """Returns the names of a model's layers by their paths in its file, which count the layers of each class."""
    names, counts = {}, collections.Counter()
    for layer in model.layers:
        kind = _to_snake_case(type(layer).__name__)
        names[f"layers/{kind}_{counts[kind]}" if counts[kind] else f"layers/{kind}"] = layer.name
        counts[kind] += 1
    return names


def _to_snake_case(name):
    """Returns "AttentionAugmentedConv2D" as "attention_augmented_conv2d", as Keras does."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _check_structure(model, weights):
    """Raises ValueError if the file has a whole model that pads or attends in another way."""
    configs = dict(weights.content.layers)
    own = {
        layer.name: layer.get_config()
        for layer in model.layers
        if layer.name in configs and isinstance(layer, (AttentionAugmentedConv2D, SelfAttention2D, keras.layers.Conv2D))
    }
    if weights.content.encoder:
        configs["backbone"] = weights.content.encoder["arguments"]
        own["backbone"] = getattr(model, "backbone_arguments", {})
    for name, ours in own.items():
        theirs = configs[name]
        for argument in ("padding", "num_heads", "position_encoding", "attention_pooling"):
            if argument in theirs and argument in ours and theirs[argument] != ours[argument]:
                raise _difference(
                    weights,
                    f"{argument} of the layer {name!r} is {theirs[argument]!r} in the file, "
                    f"{ours[argument]!r} in the model",
                )
