"""Loads trained networks, whatever kind of file or folder they are in."""

import contextlib
import os
import pathlib

import keras

from aa_keras import applications
from aa_keras.applications.weights import Weights
from aa_keras.applications.weights.architecture import recorded
from aa_keras.applications.weights.finding import HUB, find
from aa_keras.applications.weights.info import INFO, MODEL
from aa_keras.errors import UserError, described
from aa_keras.export import saved_model
from aa_keras.export.predictor import Predictor
from aa_keras.export.saved_model import SPEC
from aa_keras.export.servable import Servable, servable_for
from aa_keras.export.spec import ServingSpec
from aa_keras.files import local_path, read_text

# What files of exports begin with, at some offset.
_LITERT, _LITERT_OFFSET, _ZIP = b"TFL3", 4, b"PK\x03\x04"


def load_predictor(path: str | os.PathLike, dataset: str | None = None, class_names=None) -> Predictor:
    """Loads a trained network, ready to predict with raw images.

    Args:
        path: any of
            - a run directory of `train.py`, whose last network is loaded;
            - a file `.keras`, in a run directory or not;
            - a folder that `aa_keras.save_pretrained` wrote, or "hf://USER/REPOSITORY";
            - a SavedModel, an ONNX file or a LiteRT file that `aa_keras.export` wrote.
        dataset: for a file `.keras` that is in no run directory: see `aa_keras.export.servable_for`.
        class_names: names of its classes instead of its own.

    Raises:
        ValueError: if there is no such network.

    Example:

    >>> predictor = aa_keras.export.load_predictor("digits.onnx")
    >>> for prediction in predictor.predict_files(["one.png", "two.png"]):
    ...     print(prediction.image, predictor.spec.seen(prediction.outputs)[0])
    """
    kind = export_kind(path)
    if kind is None:
        if not os.fspath(path).startswith(HUB) and not os.path.exists(path):
            raise UserError(f"path must be that of a trained network. Received: path={path}, which does not exist")
        return load_servable(path, dataset, class_names).predictor()
    if dataset is not None or class_names is not None:
        raise UserError(
            f"dataset and class_names must be None for an export, which has its own. Received: dataset={dataset}, "
            f"class_names={class_names}"
        )
    return load_export(kind, path)


def export_kind(path):
    """Returns "saved_model", "onnx" or "litert" for the path of such an export, or None for any other."""
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        return "saved_model"
    if not path.is_file() or path.suffix == ".keras":
        return None
    with path.open("rb") as file:
        begin = file.read(_LITERT_OFFSET + len(_LITERT))
    if begin.startswith(_ZIP):
        return None
    return "litert" if begin[_LITERT_OFFSET:] == _LITERT else "onnx"


def load_export(kind, path, **arguments) -> Predictor:
    """Returns the `Predictor` of an export.

    Args:
        kind: "saved_model", "onnx" or "litert".
        path: its path.
        **arguments: those of `saved_model.load`.

    Raises:
        UserError: if it is not such an export.
    """
    from aa_keras.export import litert, onnx

    if kind != "saved_model" and not pathlib.Path(path).is_file():
        raise UserError(f"path must be a file. Received: path={path}, which is none")
    return {"saved_model": saved_model, "onnx": onnx, "litert": litert}[kind].load(path, **arguments)


def class_names_of(kind, path):
    """Returns the names of the classes of an export, or None if it has none; the arguments are those of `load_export`.

    A SavedModel is not loaded for this.
    """
    if kind == "saved_model":
        return saved_model.class_names_of(path)
    with contextlib.suppress(UserError):  # which loading it to evaluate it raises again
        return load_export(kind, path).spec.class_names
    return None


def load_servable(path, dataset=None, class_names=None) -> Servable:
    """Returns the `Servable` of a Keras network; the arguments are those of `load_predictor`."""
    weights = weights_at(path)
    spec = weights.folder.resolve() / SPEC
    if dataset is None and weights.info is None and spec.is_file():
        servable = servable_with(weights.path, ServingSpec.from_json(read_text(spec)))
        return servable if class_names is None else servable.with_class_names(class_names)
    return servable_of_weights(weights, dataset, class_names)


def servable_with(path, spec) -> Servable:
    """Returns the network in a file with the spec of its run, or raises UserError if it has another number of classes.

    Args:
        path: file `.keras`.
        spec: `ServingSpec`, or a function of the Keras model that returns it.
    """
    model = load_model(path)
    spec = spec(model) if callable(spec) else spec
    classes, names = spec.count_classes(model), spec.class_names
    if classes != len(names):
        raise UserError(
            f"{path} is not a network of the run that it is in: it has {classes} classes, and the run {len(names)}"
        )
    return Servable(model, spec)


def servable_of_weights(weights, dataset, class_names) -> Servable:
    """Returns the network of a `Weights` that belong to no run; the other arguments are those of `load_predictor`."""
    try:
        architecture = applications.architecture_of(weights)
    except ValueError as error:
        if weights.info is not None:  # a folder is from this library, and may be from a stranger
            raise UserError(f"{weights.path} cannot be loaded: {error}") from None
        architecture = None  # Keras may read it: a model of another kind
    model = load_model(weights.path)
    model.weights_info = weights.info
    if architecture is not None:
        model = recorded(model, architecture)
    return servable_for(model, dataset, class_names)


def weights_at(path) -> Weights:
    """Returns the `Weights` in a file, in a run directory, in a folder of `save_pretrained`, or on the hub."""
    path = os.fspath(path)
    if not path.startswith(HUB):
        path = pathlib.Path(local_path("path", path))
        if path.name == MODEL and (path.parent / INFO).is_file():
            path = path.parent
        elif path.is_file():
            return Weights(path)
        elif (path / SPEC).is_file() and (path / "model.keras").is_file():
            return Weights(path / "model.keras")
        if not (path / INFO).is_file():
            if (path / "config.json").is_file() and (path / "model.keras").is_file():
                raise UserError(
                    f"path must have a file {SPEC}. Received: path={path}, a run of an earlier version: export it, or "
                    "load its file model.keras with a dataset and class_names"
                )
            raise UserError(
                "path must be a file of a Keras model, .keras, a folder that aa_keras.save_pretrained wrote, or "
                f"{HUB}USER/REPOSITORY. Received: path={path}, which is none"
            )
    try:
        found = find("", path, "path")
    except ValueError as error:
        raise UserError(str(error).replace("`path`", "path")) from None
    assert found is not None  # which is for None alone
    return found


def load_model(path):
    """Returns the Keras model in a file, or raises UserError."""
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises errors of many kinds for what a file may hold
        raise UserError(f"{path} cannot be loaded: {described(error)}") from None
