"""LiteRT files, for phones and small machines: writing and running them."""

import pathlib
import tempfile
import warnings
import zipfile

import numpy as np
import tensorflow as tf

from aa_keras._startup import quiet_import
from aa_keras.data.probabilities import SUM_TOLERANCE
from aa_keras.errors import UserError, described
from aa_keras.export import runtimes, saved_model
from aa_keras.export.predictor import Predictor
from aa_keras.export.spec import ServingSpec


def write(servable, path, quantize="none", calibration=None):
    """Writes a LiteRT file for raw images of the network's size, with a signature "serve" and batches of any size.

    It needs builtin operators alone. After the model, the file is a zip archive, as in LiteRT's metadata:
    `unzip FILE labels.txt` extracts the names of the classes, one on each line; `aa_keras.json` is the `ServingSpec`.

    Args:
        servable: `Servable` of a fixed size.
        path: file to write.
        quantize: "none"; "float16" for weights in half precision; or "int8" for weights in 8 bits, which LiteRT
            multiplies with activations that it scales to 8 bits at run time (dynamic range).
        calibration: with "int8", raw images that fit, a uint8 array (count, *image_shape): activations stay in 8 bits
            between operators, in the ranges of these images. None for dynamic range.

    Raises:
        UserError: if LiteRT has no such operators.
    """
    with tempfile.TemporaryDirectory() as folder:
        exported = pathlib.Path(folder) / "model"
        saved_model.write(servable, exported)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(exported), signature_keys=["serve"])
        if quantize != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if calibration is not None:
            converter.representative_dataset = lambda: (("serve", {"images": image[None]}) for image in calibration)
        try:
            with quiet_import(), warnings.catch_warnings(action="ignore"):  # an error of the images for calibration
                content = converter.convert()
        except Exception as error:  # the converter raises errors of many kinds
            raise UserError(f"LiteRT cannot convert {servable.model.name!r}: {described(error)}") from None
        path = pathlib.Path(path)
        path.write_bytes(content)
        with zipfile.ZipFile(path, "a") as archive:
            for name in (saved_model.LABELS, saved_model.SPEC):
                archive.write(exported / name, name)


def load(path):
    """Returns the `Predictor` of a file that `write` wrote.

    Raises:
        UserError: if it is not such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            spec = ServingSpec.from_json(archive.read(saved_model.SPEC).decode("utf-8"))
        with quiet_import():  # the interpreter logs its delegate
            run = runtimes.litert(str(path))
            run(np.zeros((1, *spec.image_shape), np.uint8))
    except ModuleNotFoundError:  # the extra
        raise
    except UserError as error:
        raise UserError(f"path={path}: {error}") from None
    except Exception as error:  # the interpreter raises errors of many kinds for other files
        raise UserError(
            f"path must be a file that `aa-keras export` wrote. Received: path={path}: {described(error)}"
        ) from None
    # Activations in 8 bits are rounded to 1/256.
    sum_tolerance = max(SUM_TOLERANCE, len(spec.class_names) / 256)
    return Predictor(spec, lambda images: run(np.ascontiguousarray(images)), sum_tolerance)
