"""Loading of weights from a file into a network of another input size, or without the file's classifier."""

import contextlib
import logging
import pathlib
import tempfile
import zipfile

import h5py

from aa_keras import attention

_LOGGER = logging.getLogger("aa_keras")
# How Keras names these in its files: by attribute, and by class for the layers of a model.
_TABLES = "/relative_embedding/vars/"
_CLASSIFIER = "layers/dense/"


def load_weights(model, path, include_top):
    """Loads weights of the same architecture, whatever the size of the images and the number of classes.

    Tables of relative positions that were learned at another size are resized, and a log line says so. Without a top,
    the classifier in the file is left out. Nothing else may differ.

    Args:
        model: Keras model from one of the builders.
        path: file that `save_weights` (`.weights.h5`) or `save` (`.keras`) wrote.
        include_top: whether the model has a classifier.

    Raises:
        ValueError: if the file is of another kind or holds weights of another architecture; the message names the first
            difference.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Keras decides how weights are named in files: so let it write the model's own, to be replaced one by one.
        own_path = pathlib.Path(folder) / "own.weights.h5"
        model.save_weights(own_path)
        with _weights_file(path, folder) as file, h5py.File(own_path, "r+") as own:
            resized = _copy(_weights(file), _weights(own), path, include_top)
        model.load_weights(own_path)
    if resized:
        _LOGGER.warning("%s: resized %d tables of relative positions for %s", path, len(resized), model.name)


def _copy(theirs, ours, path, include_top):
    """Copies weights between two dictionaries of HDF5 data sets; returns the names of those that were resized."""
    resized = []
    for name, weight in ours.items():
        if name not in theirs:
            hint = " (include_top=False leaves the classifier out)" if name.startswith(_CLASSIFIER) else ""
            raise ValueError(_difference(path, f"the file lacks {name}, of shape {weight.shape} in the model{hint}"))
        value = theirs[name][()]
        if _TABLES in name and value.shape[1:] == weight.shape[1:] and len(value) != len(weight):
            value = attention.resized_table(value, (len(weight) + 1) // 2)
            resized.append(name)
        if value.shape != weight.shape:
            hint = " (include_top=False leaves the classifier out)" if name.startswith(_CLASSIFIER) else ""
            raise ValueError(
                _difference(path, f"{name} has the shape {value.shape} in the file, {weight.shape} in the model{hint}")
            )
        weight[...] = value
    for name in theirs:
        if name not in ours and (include_top or not name.startswith(_CLASSIFIER)):
            raise ValueError(_difference(path, f"the model lacks {name}, of shape {theirs[name].shape} in the file"))
    return resized


def _difference(path, difference):
    return f"`weights` must be of the same architecture. Received: weights={str(path)!r}, where {difference}"


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
