"""Files of weights from any source: reading them safely, and errors for the rest."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import tempfile
import zipfile
from typing import Any

import h5py
import ml_dtypes
import numpy as np

from .architecture import IN_ARCHIVE, Architecture, encoder_of, of_detector

# The name under which Keras saves detectors of this library.
DETECTOR = "aa_keras>RetinaNet"
# The names of tables of relative positions in Keras files, by attribute.
TABLES = "/relative_embedding/vars/"
# The most positions along an axis that a table may be for.
_MOST_POSITIONS = 2**16
_AUGMENTED = "layers/attention_augmented_conv2d"


@dataclasses.dataclass(frozen=True)
class FileContent:
    """What a file of weights holds besides the numbers.

    Attributes:
        path: the file.
        shapes: the shapes of the tensors of the model's layers by their names in the file.
        config: the config of a whole model; {} for bare weights.
        architecture: the recorded `Architecture`, or None.
    """

    path: pathlib.Path
    shapes: dict[str, tuple[int, ...]]
    config: dict[str, Any]
    architecture: Architecture | None

    @property
    def encoder(self):
        """The config of the network within a detector, {} in other files."""
        return encoder_of(self.config) if "backbone" in self.config else {}

    @functools.cached_property
    def layers(self):
        """The configs of the layers of a whole model by their names."""
        return {layer["config"]["name"]: layer["config"] for layer in self.config.get("layers", ())}

    @property
    def images_and_classes(self):
        """The `input_shape` and, with a classifier, the `classes` of a whole classification model; {} for others."""
        inputs = [config for config in self.layers.values() if "batch_shape" in config]
        found = {"input_shape": tuple(inputs[0]["batch_shape"][1:])} if len(inputs) == 1 else {}
        classifier = self.layers.get("predictions")
        return {**found, "classes": classifier["units"]} if classifier else {**found, "include_top": False}

    @property
    def is_augmented(self):
        """Whether there are augmented convolutions, with or without tables of relative positions."""
        return any(name.startswith(_AUGMENTED) for name in self.shapes)

    @functools.cached_property
    def table_sizes(self):
        """The (height, width) of the tables of each augmented convolution, in their order."""
        sizes = {}
        for name, shape in self.shapes.items():
            match = re.fullmatch(rf"{_AUGMENTED}(?:_(\d+))?/.*{TABLES}([01])", name)
            if match:
                length = (_table_rows(name, shape, self.path) + 1) // 2
                sizes.setdefault(int(match[1] or 0), [None, None])[int(match[2])] = length
        return [tuple(sizes[number]) for number in sorted(sizes) if None not in sizes[number]]

    @functools.cached_property
    def settings(self):
        """The arguments of builders that the file decides if they are None: a dictionary, {} for bare weights.

        They change neither the names nor the shapes of weights: "padding"; or they are adopted without being asked for:
        "channel_attention_bias". A file of before they were recorded shows them by its layers.
        """
        arguments = self.architecture.arguments if self.architecture else None
        if self.encoder:
            arguments = self.encoder["arguments"]
        if arguments is not None:
            names = ("padding", "channel_attention_bias")
            return {name: arguments[name] for name in names if arguments.get(name) is not None}
        if not self.layers:
            return {}
        is_padded = any(re.search(r"_conv\d?_pad$", name) for name in self.layers)
        excitation = [
            config["use_bias"] for name, config in self.layers.items() if name.endswith("_se") and "use_bias" in config
        ]
        found = {"padding": "symmetric" if is_padded else "same"}
        return {**found, "channel_attention_bias": excitation[0]} if excitation else found


def read_content(path):
    """Returns the `FileContent` of a file that Keras wrote, .weights.h5 or .keras.

    Raises:
        ValueError: if it is not such a file, or one that must not be trusted.
    """
    config, architecture = _read_archive(path) if zipfile.is_zipfile(path) else ({}, None)
    with stored_weights(path) as weights:
        content = FileContent(path, {name: item.shape for name, item in weights.items()}, config, architecture)
    return content


def _read_archive(path):
    """Returns the config of the whole model in an archive, and its recorded architecture or None."""
    try:
        with zipfile.ZipFile(path) as archive:
            whole = json.loads(archive.read("config.json"))
            text = archive.read(IN_ARCHIVE) if IN_ARCHIVE in archive.namelist() else None
        config = whole["config"]
        if whole.get("registered_name") != DETECTOR:
            config = {
                name: value for name, value in config.items() if name != "backbone"
            }  # models of others may have one
        content = FileContent(path, {}, config, None if text is None else Architecture.from_json(text))
        if content.encoder and text is None:
            content = dataclasses.replace(content, architecture=of_detector(config))
        assert isinstance(content.layers, dict)  # raises for what is missing
    except (KeyError, TypeError, ValueError, AttributeError, OSError, zipfile.BadZipFile) as error:
        reason = f"config.json lacks {error}" if isinstance(error, KeyError) else str(error)
        raise not_whole(path, f"its layers have no configurations: {reason}") from None
    return content.config, content.architecture


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


def _table_rows(name, shape, path):
    """Returns the rows of a table of relative positions with this shape; raises ValueError unless they make sense."""
    rows = shape[0] if shape else 0
    if rows % 2 == 0 or rows > 2 * _MOST_POSITIONS:
        raise not_whole(path, f"{name} is a table of {rows} rows, and the number of rows must be odd")
    return rows


def values_of(name, item, path):
    """Returns the numbers of an HDF5 data set with a checked shape as an array; those of bfloat16 as float32.

    Args:
        name: its name.
        item: the data set.
        path: the file, for the error.

    Raises:
        ValueError: if it holds anything but finite numbers.
    """
    if TABLES in name:
        _table_rows(name, item.shape, path)
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
