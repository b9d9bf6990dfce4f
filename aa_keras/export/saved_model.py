"""SavedModels of TensorFlow: writing and running them."""

import contextlib
import os
import pathlib
import shutil

import keras
import tensorflow as tf

from aa_keras.errors import UserError, described
from aa_keras.export import runtimes
from aa_keras.export.predictor import Predictor
from aa_keras.export.spec import ServingSpec
from aa_keras.files import partial_path, read_text

LABELS, SPEC = "labels.txt", "aa_keras.json"
# The contents of the folder of a SavedModel.
_CONTENTS = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra", LABELS, SPEC}


def write(servable, path):
    """Writes a TensorFlow SavedModel that takes raw images, with `labels.txt` in its folder.

    A server needs TensorFlow alone:

        served = tf.saved_model.load(path)
        outputs = served.signatures["serving_default"](images=images)

    The outputs of a classifier are "probabilities" (batch, classes). Its second signature, "top_k", returns those of
    the five best classes, or of all classes if there are fewer, and their names, "labels" (batch, 5). The outputs of a
    detector are "boxes" (batch, 100, 4), the pixels top, left, bottom and right of the input images; the "confidence"
    and "labels" of these boxes, the best first; and "num_detections", the number of valid ones for each image.

    Args:
        servable: `Servable`.
        path: folder to write; an existing SavedModel is replaced once the new one is complete.

    Raises:
        UserError: if the folder has other contents, or Keras does not run on TensorFlow.
    """
    check_backend()
    path = pathlib.Path(path)
    check_replaceable(path)
    archive = keras.export.ExportArchive()  # without `track`, which writes all weights twice (Keras 3.15)
    for name, function in servable.spec.signatures(servable.model).items():
        archive.add_endpoint(name, function, input_signature=servable.signature)
    partial = partial_path(path)
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    (partial / LABELS).write_text("".join(f"{name}\n" for name in servable.spec.class_names), encoding="utf-8")
    (partial / SPEC).write_text(servable.spec.as_json() + "\n", encoding="utf-8")
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)


def check_backend():
    """Raises UserError unless Keras runs on TensorFlow, whose graphs are exported."""
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            "Exports are made with the TensorFlow backend: set KERAS_BACKEND=tensorflow. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}"
        )


def check_replaceable(path):
    """Raises UserError unless a path does not exist, or is a SavedModel and nothing else."""
    path = pathlib.Path(path)
    if path.exists() and not (path.is_dir() and set(os.listdir(path)) <= _CONTENTS):
        raise UserError(f"output must be a new folder, or the folder of a SavedModel. Received: output={path}")


def load(path, spec=None):
    """Returns the `Predictor` of a SavedModel that `write` wrote.

    Args:
        path: its folder.
        spec: the `ServingSpec` of one of an earlier version, which has no record of it; or None.

    Raises:
        UserError: if it is not such a SavedModel.
    """
    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise UserError(f"path must be the folder of a SavedModel. Received: path={path}")
    if spec is None or (pathlib.Path(path) / SPEC).exists():
        spec = _spec_of(path)
    return Predictor(spec, _load_signature(path, spec.image_shape, spec.outputs))


def _spec_of(path):
    try:
        return ServingSpec.from_json(read_text(pathlib.Path(path) / SPEC))
    except UserError as error:
        raise UserError(f"path={path}: {error}") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, KeyError, TypeError):
        raise UserError(
            f"path must be one that `aa-keras export` or `train.py` wrote, with a file {SPEC} in it. "
            f"Received: path={path}"
        ) from None


def class_names_of(path):
    """Returns the names of the classes in the folder of a SavedModel, or None if it has none."""
    path = pathlib.Path(path)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return ServingSpec.from_json(read_text(path / SPEC)).class_names
    with contextlib.suppress(OSError, ValueError):
        return tuple(read_text(path / LABELS).splitlines())
    return None


def _load_signature(path, raw_shape, outputs):
    """Returns a function of raw images that returns a dictionary of arrays, from a SavedModel.

    Args:
        path: its folder.
        raw_shape: (height, width, channels) of the images that it must take; height and width may be None.
        outputs: names of the outputs that it must return.

    Raises:
        UserError: if it has another input or output.
    """
    try:
        run = runtimes.saved_model(str(path))
        signature = run.loaded.signatures["serving_default"]
        images = signature.structured_input_signature[1]["images"]
        fits = images.dtype == tf.uint8 and images.shape[1:].is_compatible_with(raw_shape)
        if not fits or not set(outputs) <= set(signature.structured_outputs):
            raise KeyError(f"images of {images.shape}, {images.dtype.name}")
    except Exception as error:  # TensorFlow and protocol buffers raise errors of many kinds for other files
        raise UserError(
            "path must be one that train.py wrote for such images, with `images` as its input and "
            f"`{'`, `'.join(outputs)}` as its output. Received: path={path}: {described(error)}"
        ) from None
    return run
