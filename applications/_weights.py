"""Loading of weights from a file into a network of another input size, or without the file's classifier."""

import collections
import contextlib
import json
import logging
import pathlib
import re
import tempfile
import zipfile

import h5py

from aa_keras import attention
from aa_keras.layers import AttentionAugmentedConv2D

_LOGGER = logging.getLogger("aa_keras")
# How Keras names these in its files: by attribute, and by class for the layers of a model.
_TABLES = "/relative_embedding/vars/"
_CLASSIFIER = "layers/dense/"


def load_weights(model, path, include_top):
    """Loads weights of the same architecture, whatever the size of the images and the number of classes.

    Tables of relative positions that were learned at another size are resized, and a log line says so. Without a top,
    the classifier in the file is left out. Nothing else may differ.

    What has no weights, such as the number of heads or the pooling before attention, is compared too where the file
    tells it: a whole model (`.keras`) does, bare weights (`.weights.h5`) do not.

    Args:
        model: Keras model from one of the builders.
        path: file that `save_weights` (`.weights.h5`) or `save` (`.keras`) wrote.
        include_top: whether the model has a classifier.

    Raises:
        ValueError: if the file is of another kind or holds weights of another architecture; the message names the first
            difference.
    """
    with tempfile.TemporaryDirectory() as folder:
        _check_attention(model, path)
        # Keras decides how weights are named in files: so let it write the model's own, to be replaced one by one.
        own_path = pathlib.Path(folder) / "own.weights.h5"
        model.save_weights(own_path)
        with _weights_file(path, folder) as file, h5py.File(own_path, "r+") as own:
            resized = _copy(_weights(file), _weights(own), _layer_names(model), path, include_top)
        model.load_weights(own_path)
    if resized:
        _LOGGER.warning("%s: resized %d tables of relative positions for %s", path, len(resized), model.name)


def _copy(theirs, ours, layer_names, path, include_top):
    """Copies weights between two dictionaries of HDF5 data sets; returns the names of those that were resized."""
    resized = []
    for name, weight in ours.items():
        if name not in theirs:
            raise _difference(
                path, f"the file lacks {_described(name, layer_names)}, of shape {weight.shape} in the model"
            )
        value = theirs[name][()]
        if _TABLES in name and value.shape[1:] == weight.shape[1:] and len(value) != len(weight):
            value = attention.resized_table(value, (len(weight) + 1) // 2)
            resized.append(name)
        if value.shape != weight.shape:
            raise _difference(
                path,
                f"{_described(name, layer_names)} has the shape {value.shape} in the file, {weight.shape} in the model",
            )
        weight[...] = value
    for name in theirs:
        if name not in ours and (include_top or not name.startswith(_CLASSIFIER)):
            raise _difference(path, f"the model lacks {name}, of shape {theirs[name].shape} in the file")
    return resized


def _difference(path, difference):
    return ValueError(
        f"`weights` must be of the same architecture. Received: weights={str(path)!r}, where {difference}"
    )


def _described(name, layer_names):
    """Names a weight by its layer, and says what helps where that is the classifier."""
    layer_path = "/".join(name.split("/")[:2])
    hint = " (include_top=False leaves it out)" if name.startswith(_CLASSIFIER) else ""
    return f"{name} (layer {layer_names.get(layer_path, 'unknown')!r}){hint}"


def _layer_names(model):
    """The names of a model's layers by their paths in its file, which count the layers of each class."""
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


def _check_attention(model, path):
    """Raises ValueError where the file holds a whole model whose augmented convolutions attend in another way."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            layers = json.loads(archive.read("config.json"))["config"]["layers"]
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return  # not a functional model: its weights will tell
    configs = {layer["config"].get("name"): layer["config"] for layer in layers}
    for layer in model.layers:
        if isinstance(layer, AttentionAugmentedConv2D) and layer.name in configs:
            ours, theirs = layer.get_config(), configs[layer.name]
            for argument in ("num_heads", "position_encoding", "attention_pooling"):
                if argument in theirs and theirs[argument] != ours[argument]:
                    raise _difference(
                        path,
                        f"{argument} of the layer {layer.name!r} is {theirs[argument]!r} in the file, "
                        f"{ours[argument]!r} in the model",
                    )


@contextlib.contextmanager
def _weights_file(path, folder):
    """Opens the HDF5 file of weights that `path` is or, as an archive of a whole model, contains."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                path = archive.extract("model.weights.h5", folder)
        file = h5py.File(path, "r")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            "`weights` must be a whole file that Keras wrote, .weights.h5 or .keras. "
            f"Received: weights={str(path)!r} ({error})"
        ) from None
    with file:
        yield file


def _weights(file):
    """Returns the data sets of a file's layers by name; the state of an optimizer is not among them."""
    found = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return {name: item for name, item in found.items() if name.startswith("layers/")}
