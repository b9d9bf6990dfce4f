"""Exports in any format, which are checked before they are put in their place."""

import dataclasses
import math
import os
import pathlib
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from aa_keras.data import Progress
from aa_keras.errors import UserError, require_package
from aa_keras.export import check, saved_model
from aa_keras.export.rebuilding import not_dense, rebuilt
from aa_keras.export.servable import Servable, servable_for
from aa_keras.files import size_of

PRECISIONS = {"none": "float32", "float16": "weights in float16", "int8": "weights in int8"}
# The largest difference of a probability.
TOLERANCES = {"none": 1e-4, "float16": 0.02, "int8": 0.3}


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of exports.

    Attributes:
        title: its name.
        packages: packages that it needs besides the extra `train`.
        takes_any_size: whether it can resize images itself, and compute attention in blocks.
    """

    title: str
    packages: tuple[str, ...] = ()
    takes_any_size: bool = False


FORMATS = {
    "saved_model": Format("SavedModel", takes_any_size=True),
    "onnx": Format("ONNX", ("onnx", "tf2onnx", "onnxruntime")),
    "litert": Format("LiteRT", ("ai_edge_litert",)),
}


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """The result of an export.

    Attributes:
        path: its path.
        title: name of its format.
        task: task of the network.
        precision: precision of its weights and activations, in words.
        image_shape: (height, width, channels) of the raw images that it takes, None for any.
        size: size in bytes.
        agreement: `aa_keras.export.check.Agreement` with its network.
        drawn: whether that was measured on random images.
        notes: further sentences to print.
    """

    path: pathlib.Path
    title: str
    task: str
    precision: str
    image_shape: tuple[int | None, int | None, int]
    size: int
    agreement: check.Agreement
    drawn: bool
    notes: tuple[str, ...]

    def __str__(self):
        agreement = self.agreement
        shape = ", ".join("any" if length is None else str(length) for length in self.image_shape)
        kind = "random" if self.drawn else "real"
        lines = [
            f"{self.path}: {self.title}, {self.size / 1e6:.2f} MB, {self.precision}, uint8 images (batch, {shape})",
            f"Checked in a separate process on {agreement.images} {kind} images, 1 and 3 at a time: largest "
            f"difference {agreement.difference:.1e} from Keras, {agreement.in_words}",
            f"One image takes {1e3 * agreement.latency:.1f} ms, with Keras {1e3 * agreement.keras_latency:.1f} ms",
        ]
        return "\n".join([*self.notes, *lines])


def export_model(
    model: keras.Model,
    path: str | os.PathLike,
    format: str = "saved_model",  # noqa: A002  as Keras calls it
    dataset: str | None = None,
    class_names: Sequence[str] | None = None,
    **options: Any,
) -> ExportReport:
    """Exports a network of raw images, after a check of the export on some images.

    Preprocessing is part of the export: it takes uint8 images, in batches of any size, and returns probabilities, or
    the boxes of a detector. It computes in float32, whatever the network's precision. It contains the names of the
    classes: see `aa_keras.export.saved_model.write`, `onnx.write` and `litert.write`.

    Args:
        model: Keras model of images: a classifier whose outputs are probabilities, or a detector of this library.
        path: folder of a SavedModel, or file, to write.
        format: "saved_model", "onnx" or "litert".
        dataset: name of the data set whose mean, standard deviation and class names the network needs:
            "imagenet2012", "cifar100", "coco" or "bccd"; "none" for a network that takes pixels from 0 to 255. None
            takes the preprocessing of the network (`include_preprocessing=True`), or that of the builder with its name.
        class_names: names of the classes; None takes those of the data set if it has as many, and numbers otherwise.
        **options: further arguments of `export_servable`.

    Returns:
        An `ExportReport`, whose text (`print`) has size, agreement and latency.

    Raises:
        ValueError: for an argument that cannot be used, if the format has no operators for the network, and if the
            predictions of the export differ from those of the network. Then no file is left, and no existing file is
            lost.
        ModuleNotFoundError: without the extra `onnx` or `litert`.

    Example:

    >>> model = AAWideResNet16_4(weights="cifar100")
    >>> print(export_model(model, "cifar100.onnx", format="onnx"))
    """
    return export_servable(servable_for(model, dataset, class_names), path, format, **options)


def export_servable(
    servable: Servable,
    path: str | os.PathLike,
    format: str = "saved_model",  # noqa: A002
    size: tuple[int, int] | None = None,
    quantize: str = "none",
    calibration: Sequence[np.ndarray] | None = None,
    images: Iterable[np.ndarray] | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Exports a `Servable`.

    Args:
        servable: `Servable`.
        path: folder of a SavedModel, or file, to write.
        format: "saved_model", "onnx" or "litert".
        size: (height, width) of the images that the export takes; tables of relative positions are resized. None
            keeps the size of the network.
        quantize: for LiteRT, "none", "float16" or "int8": see `aa_keras.export.litert.write`.
        calibration: with "int8", raw images, a list of uint8 arrays (height, width, 3), for activations in 8 bits.
        images: raw images to compare the export with its network on; None takes those for calibration, or random ones.
        tolerance: the largest difference of a probability, or of a box's confidence, that is accepted; None takes
            1e-4, or with `quantize` 0.02 for "float16" and 0.3 for "int8".
        overwrite: whether an existing export may be replaced.

    Returns:
        An `ExportReport`.

    Raises:
        ValueError: as `export_model` does.
    """
    if format not in FORMATS:
        raise UserError(f"format must be one of {', '.join(FORMATS)}. Received: format={format}")
    kind = FORMATS[format]
    saved_model.check_backend()
    _check_quantization(format, quantize, calibration)
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise UserError(f"tolerance must be a number, at least 0. Received: tolerance={tolerance}")
    path = pathlib.Path(path)
    _check_free(path, format, overwrite)
    for package in kind.packages:
        require_package(package)
    given = servable
    servable, notes = _prepared(given, kind, size)
    # If the size is the same, the export must agree with the network as it was given.
    by_keras = (given if size is None else servable).predictor()
    images = calibration if images is None else images
    compared = check.images_for(servable, images)
    with Progress(f"Running {given.model.name} in Keras"):
        predictions = by_keras.predict(compared)
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    with tempfile.TemporaryDirectory(dir=parent, prefix=".aa-keras-") as folder:
        staged = pathlib.Path(folder) / path.name
        with Progress(f"Writing the {kind.title}"):
            _write(servable, staged, format, quantize, calibration)
        with Progress(f"Checking the {kind.title}"):
            agreement = check.compare(servable.spec, format, staged, compared, predictions, by_keras)
        tolerance = TOLERANCES[quantize] if tolerance is None else tolerance
        _check_agreement(agreement, by_keras, compared, kind, tolerance, servable.spec.least_same(quantize))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():  # moved away first: at every moment, one of the two exists
            os.replace(path, staged.with_name(f"{path.name}.old"))
        os.replace(staged, path)
    spec = servable.spec
    drawn = images is None
    precision = "int8" if calibration is not None else PRECISIONS[quantize]
    return ExportReport(
        path, kind.title, spec.task, precision, spec.image_shape, size_of(path), agreement, drawn, tuple(notes)
    )


def _write(servable, path, format, quantize, calibration):  # noqa: A002
    """Writes an export; the arguments are those of `export_servable`."""
    if format == "litert":
        from aa_keras.export import litert

        fitted = (
            None if calibration is None else np.stack([servable.spec.preprocess(image)[0] for image in calibration])
        )
        litert.write(servable, path, quantize, fitted)
    elif format == "onnx":
        from aa_keras.export import onnx

        onnx.write(servable, path)
    else:
        saved_model.write(servable, path)


def _check_quantization(format, quantize, calibration):  # noqa: A002
    if quantize not in PRECISIONS:
        raise UserError(f"quantize must be one of {', '.join(PRECISIONS)}. Received: quantize={quantize}")
    if quantize != "none" and format != "litert":
        raise UserError(f"quantize is for format=litert. Received: quantize={quantize}, format={format}")
    if calibration is not None and quantize != "int8":
        raise UserError(f"calibration is for quantize=int8. Received: quantize={quantize}")
    if calibration is not None and not len(calibration):
        raise UserError("calibration must have at least one image. Received: none")


def _check_free(path, format, overwrite):  # noqa: A002
    """Raises UserError unless an export can be written to `path` without losing anything."""
    if not path.exists():
        return
    if format == "saved_model":
        saved_model.check_replaceable(path)
    elif not path.is_file():
        raise UserError(f"output must be a file. Received: output={path}, which is not a file")
    is_empty = path.is_dir() and not os.listdir(path)
    if not overwrite and not is_empty:
        raise UserError(f"output must not exist unless overwrite is given. Received: output={path}, which exists")


def _prepared(servable, kind, size):
    """Returns a servable with a network that the format can hold, and sentences about the changes."""
    notes = []
    model, spec = servable.model, servable.spec
    old_size = tuple(model.input_shape[1:3])
    if size is None and None in old_size and not kind.takes_any_size:
        raise UserError(
            f"size must be the size of the images that the network {model.name!r} takes, since {kind.title} has no "
            "unknown sizes. Received: size=None"
        )
    network = rebuilt(model, size)
    if size not in (None, old_size):
        notes.append(
            f"The network is built for images of {size[0]}x{size[1]}, its tables of relative positions resized"
        )
    if not kind.takes_any_size:
        blockwise = not_dense(network)
        if blockwise:
            largest = max(spec.logits_bytes for spec in blockwise) / 2**20
            notes.append(
                f"Attention is computed densely in {kind.title}, instead of in blocks: {largest:,.0f} MiB of logits an "
                "image"
            )
        network = rebuilt(network, dense=True)
    servable = servable.with_model(network)
    if not kind.takes_any_size:
        if spec.takes_any_size:
            height, width, _ = network.input_shape[1:]
            notes.append(f"Images must be resized to {height}x{width} before, as `aa-keras predict` does")
        servable = servable.at_fixed_size()
    return servable, notes


def _check_agreement(agreement, by_keras, compared, kind, tolerance, least):
    """Raises UserError if the predictions of an export differ from those of its network."""

    def is_close(difference, same):
        return difference <= tolerance and same >= least

    if is_close(agreement.difference, agreement.same):
        return
    differs = (
        f"The {kind.title} differs from the network by {agreement.difference:.2g} in {by_keras.spec.quantity}, and "
        f"at most {tolerance:.2g} is allowed"
    )
    if agreement.difference <= tolerance:
        differs = (
            f"The {kind.title} finds only {agreement.same:.1%} of the network's boxes, and at least {least:.0%} are "
            "required"
        )
    own, own_same, _ = check.compare_with_itself(by_keras, compared)
    by_itself = ""
    if not is_close(own, own_same):
        by_itself = (
            f". In Keras, the network's own predictions differ by {own:.2g} between batches of 1 and of "
            f"{len(compared)} images"
        )
        if own > TOLERANCES["none"]:
            by_itself += ": they depend on rounding. Is it trained?"
    raise UserError(f"{differs}: nothing was written{by_itself}")
