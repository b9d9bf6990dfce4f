"""Trained weights by name: `AAWideResNet16_4(weights="cifar100")`."""

import dataclasses
import os
import pathlib
import tempfile
import zipfile

import h5py
import keras
import numpy as np

from aa_keras.files import checksum

FOLDER = pathlib.Path(__file__).parent / "trained"


@dataclasses.dataclass(frozen=True)
class PretrainedWeights:
    """One file of trained weights.

    Attributes:
        builder: name of its builder in `aa_keras.applications`.
        name: its name for `weights=`.
        file: name of the file: a whole Keras model with weights in float16.
        sha256: checksum of the file.
        scores: pairs of name and percentage, measured by `evaluate.py` on the test images.
        recipe: the name of the recipe of its training.
        licence: licence of the weights.
        url: URL of the file; None if it is in the package.
    """

    builder: str
    name: str
    file: str
    sha256: str
    scores: tuple[tuple[str, float], ...]
    recipe: str
    licence: str
    url: str | None = None

    def path(self):
        """Returns the path of the file, downloaded into Keras's cache if needed.

        Raises:
            ValueError: if the file has another checksum.
            OSError: if it is missing.
        """
        path = FOLDER / self.file
        if self.url is not None:
            path = pathlib.Path(
                keras.utils.get_file(self.file, self.url, cache_subdir="models/aa_keras", file_hash=self.sha256)
            )
        found = checksum(path)
        if found != self.sha256:
            raise ValueError(
                f"The weights {self.name!r} of {self.builder} are damaged: {path} has the SHA-256 {found}, and "
                f"should have {self.sha256}. Remove the file, and download or install it again"
            )
        return path


PRETRAINED = (
    PretrainedWeights(
        builder="AARetinaNet",
        name="bccd",
        file="aa_retinanet_bccd.keras",
        sha256="7902608e20731e9279b364e785f425dbafaf63a366d008e340b98a3562695b31",
        scores=(("ap", 49.16), ("ap50", 83.11), ("ap75", 57.05)),
        recipe="bccd_aa_retinanet",
        licence="Apache-2.0",
    ),
    PretrainedWeights(
        builder="AAWideResNet16_4",
        name="cifar100",
        file="aa_wide_resnet16_4_cifar100.keras",
        sha256="a59a61c89a464fc7b1c573287b00e938a3f13dcfa5af143f858f0674192cf58c",
        scores=(("top1", 75.57), ("top5", 93.56)),
        recipe="cifar100_aa_wide_resnet16_4",
        licence="Apache-2.0",
    ),
)


def named(builder, weights):
    """Returns the entry of a builder with some name, or None: `weights` may be anything else."""
    return next((entry for entry in PRETRAINED if (entry.builder, entry.name) == (builder, weights)), None)


def find(builder, weights, argument="weights"):
    """Returns the entry of the name that a builder's argument is, or None if it is the path of a file.

    Args:
        builder: name of the builder.
        weights: its argument.
        argument: the name of the argument.

    Raises:
        ValueError: if there is no such name or file.
    """
    entry = named(builder, weights)
    if entry is None and not (isinstance(weights, (str, os.PathLike)) and os.path.isfile(weights)):
        raise ValueError(
            f"`{argument}` must be None, the path of a file of weights (.weights.h5 or .keras), of a checkpoint of "
            "timm or of a folder that `aa_keras.save_pretrained` wrote, 'timm/NAME', 'hf://USER/REPOSITORY', a URL "
            f"with a checksum, or the name of trained weights ({listed()}). Received: {argument}={weights!r}"
        )
    return entry


def listed():
    """Returns the names of the trained weights, as a phrase."""
    return ", ".join(f"{entry.name!r} of {entry.builder}" for entry in PRETRAINED) or "none so far"


def save_in_float16(model, path):
    """Writes a whole model with its weights in float16, at half the size, for a file in `PRETRAINED`.

    Keras reads them back into variables of the model's own types.

    Args:
        model: Keras model.
        path: the file, `.keras`.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole = pathlib.Path(folder) / "whole.keras"
        model.save(whole)
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(folder)
            names = archive.namelist()
        weights = pathlib.Path(folder) / "model.weights.h5"
        halved = pathlib.Path(folder) / "halved.weights.h5"
        with h5py.File(weights, "r") as full, h5py.File(halved, "w") as half:
            full.visititems(lambda name, item: _copy(name, item, half))
        partial = pathlib.Path(path).with_suffix(".partial")  # a reader finds a whole file or none
        others = [name for name in names if name != weights.name and not name.endswith("/")]
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in others:
                archive.write(pathlib.Path(folder) / name, name)
            archive.write(halved, weights.name)
    partial.replace(path)


def _copy(name, item, target):
    if isinstance(item, h5py.Group):
        copy = target.require_group(name)
    else:
        values = item[()]
        if values.dtype == np.float32:
            values = _halved(name, values)
        copy = target.create_dataset(name, data=values)
    for key, value in item.attrs.items():
        copy.attrs[key] = value


def _halved(name, values):
    with np.errstate(over="ignore"):
        halved = values.astype(np.float16)
    if not np.all(np.isfinite(halved)):
        raise ValueError(
            f"`model` must have weights that float16 can hold. Received: {name} up to {np.abs(values).max()}"
        )
    return halved
