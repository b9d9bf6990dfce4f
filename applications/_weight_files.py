"""Files of weights from any source: reading them safely, and errors for the rest."""

import contextlib
import json
import pathlib
import re
import tempfile
import zipfile

import h5py
import ml_dtypes
import numpy as np

# The names of tables of relative positions in Keras files, by attribute.
TABLES = "/relative_embedding/vars/"
# The most positions along an axis that a table may be for.
_MOST_POSITIONS = 2**16


def not_whole(path, reason):
    """Returns the error for a file that cannot be read."""
    return ValueError(
        "`weights` must be a whole file that Keras wrote, .weights.h5 or .keras. "
        f"Received: weights={str(path)!r} ({reason})"
    )


@contextlib.contextmanager
def stored_weights(path):
    """Opens the HDF5 file of weights at `path`, or in the archive of a whole model at `path`.

    Yields:
        Dictionary of the HDF5 data sets of the model's layers by name, without the state of an optimizer.

    Raises:
        ValueError: if it is not such a file, or one that must not be trusted.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        try:
            file = path
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    file = archive.extract("model.weights.h5", folder)
            file = opened.enter_context(h5py.File(file, "r"))
        except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
            raise not_whole(path, error) from None
        if "layer_names" in file.attrs or "model_weights" in file:
            raise not_whole(path, "it is a legacy HDF5 file: load it with Keras, and save it as .keras")
        found = {}
        _collect(file, path, found)
        yield {name: item for name, item in found.items() if name.startswith("layers/")}


def _collect(group, path, found):
    """Adds the data sets below an HDF5 group to `found`.

    HDF5 can take data from other files on the reader's machine, by links, external storage and virtual data sets: an
    untrusted file could turn them into weights, which then leave the machine.
    """
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise not_whole(path, f"{group.name}/{name} is a link into another file")
        if not isinstance(link, h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            _collect(item, path, found)
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise not_whole(path, f"{item.name} takes its data from other files")
            found[item.name.lstrip("/")] = item


def values_of(name, item, path):
    """Returns the numbers of an HDF5 data set with a checked shape as an array; those of bfloat16 as float32.

    Args:
        name: its name.
        item: the data set.
        path: the file, for the error.

    Raises:
        ValueError: if it holds anything but finite numbers.
    """
    rows = item.shape[0] if item.shape else 0
    if TABLES in name and (rows % 2 == 0 or rows > 2 * _MOST_POSITIONS):
        raise not_whole(path, f"{name} is a table of {rows} rows, and the number of rows must be odd")
    if item.dtype.kind not in "fiu" and not _is_bfloat16(item):
        raise not_whole(path, f"{name} must hold numbers, and holds {item.dtype}")
    if item.dtype.itemsize == 1:
        raise not_whole(path, f"it is a quantized model: {name} has the type {item.dtype}")
    try:
        values = np.array(item, dtype=ml_dtypes.bfloat16).astype(np.float32) if _is_bfloat16(item) else item[()]
    except (OSError, RuntimeError) as error:
        raise not_whole(path, error) from None
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise not_whole(path, f"{name} holds numbers that are infinite or NaN")
    return values


def write_values(item, values):
    """Writes numbers into an HDF5 data set, in the type that Keras gave it.

    HDF5 does not convert them: it knows no bfloat16, and makes large numbers of those that are tiny in float16.
    """
    dtype = ml_dtypes.bfloat16 if _is_bfloat16(item) else item.dtype
    item[...] = values.astype(dtype).view(item.dtype)


def _is_bfloat16(item):
    """Whether Keras stored bfloat16 in an HDF5 data set: as bytes, with a note."""
    return item.attrs.get("dtype") == "bfloat16" and item.dtype.itemsize == 2


def is_augmented(path):
    """Whether a file has weights of augmented convolutions, with or without tables of relative positions."""
    with stored_weights(path) as weights:
        return any(name.startswith("layers/attention_augmented_conv2d") for name in weights)


def table_sizes(path):
    """Returns the (height, width) of the tables of each augmented convolution in a file, in their order."""
    sizes = {}
    with stored_weights(path) as weights:
        for name, item in weights.items():
            match = re.fullmatch(rf"layers/attention_augmented_conv2d(?:_(\d+))?/.*{TABLES}([01])", name)
            if match:
                length = (values_of(name, item, path).shape[0] + 1) // 2
                sizes.setdefault(int(match[1] or 0), [None, None])[int(match[2])] = length
    return [tuple(sizes[number]) for number in sorted(sizes) if None not in sizes[number]]


def structure(path):
    """Returns the arguments of builders that the whole model in a file decides: a dictionary, {} for bare weights.

    They are arguments that do not change the names and shapes of weights, or that are adopted without being asked for:
    "padding", and "channel_attention_bias" if there are such layers.
    """
    configs = layer_configs(path)
    if not configs:
        return {}
    if "backbone" in configs:
        return {name: configs["backbone"].get(name) for name in ("padding", "channel_attention_bias")}
    is_padded = any(re.search(r"_conv\d?_pad$", name) for name in configs)
    excitation = [
        config["use_bias"] for name, config in configs.items() if name.endswith("_se") and "use_bias" in config
    ]
    found = {"padding": "symmetric" if is_padded else "same"}
    return {**found, "channel_attention_bias": excitation[0]} if excitation else found


def layer_configs(path):
    """Returns the configurations of the layers of a whole model by name, or {} for bare weights.

    For a detector they are the arguments of its backbone, named "backbone".

    Raises:
        ValueError: if the archive has no such configurations.
    """
    if not zipfile.is_zipfile(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        if "backbone" in config["config"]:  # a detector, whose backbone has the arguments of its builder
            return {"backbone": config["config"]["backbone"]["config"]["image_encoder"]["config"]["arguments"]}
        layers = config["config"].get("layers", [])
        return {layer["config"]["name"]: layer["config"] for layer in layers}
    except (KeyError, TypeError, ValueError, AttributeError, OSError, zipfile.BadZipFile) as error:
        reason = f"config.json lacks {error}" if isinstance(error, KeyError) else str(error)
        raise not_whole(pathlib.Path(path), f"its layers have no configurations: {reason}") from None
