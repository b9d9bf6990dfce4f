"""LiteRT files, for phones and small machines: how they are written, and asked."""

import pathlib
import tempfile
import warnings
import zipfile

import numpy as np
import tensorflow as tf

from aa_keras._startup import quiet_import
from aa_keras.errors import UserError, described
from aa_keras.export import runtimes, saved_model
from aa_keras.export.predictor import Predictor
from aa_keras.export.spec import ServingSpec


def write(servable, path, quantize="none", calibration=None):
    """Writes a LiteRT file of raw images of the network's own size, with a signature "serve" and batches of any number.

    Its builtin operators are all that it needs. Behind the model the file is a zip archive, as LiteRT's metadata are:
    `unzip FILE labels.txt` gets the names of the classes, a line each; `aa_keras.json` is the `ServingSpec`.

    Args:
        servable: `Servable` of a fixed size.
        path: file to write.
        quantize: "none"; "float16" for weights in half precision; or "int8" for weights of 8 bits, by which LiteRT
            multiplies activations of 8 bits that it scales as it goes (dynamic range).
        calibration: with "int8", raw images that fit, a uint8 array (count, *image_shape): activations stay 8 bits
            from one operator to the next, in the ranges that these images have. None for dynamic range.

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
            with quiet_import(), warnings.catch_warnings(action="ignore"):  # of the calibration's own parts
                content = converter.convert()
        except Exception as error:  # of the converter's, of many kinds
            raise UserError(f"LiteRT does not convert {servable.model.name!r}: {described(error)}") from None
        path = pathlib.Path(path)
        path.write_bytes(content)
        with zipfile.ZipFile(path, "a") as archive:
            for name in (saved_model.LABELS, saved_model.SPEC):
                archive.write(exported / name, name)


def load(path):
    """Returns the `Predictor` of a file that `write` wrote.

    Raises:
        UserError: if it is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            spec = ServingSpec.from_json(archive.read(saved_model.SPEC).decode("utf-8"))
        with quiet_import():  # of the interpreter, which tells of its delegate
            run = runtimes.litert(str(path))
            run(np.zeros((1, *spec.image_shape), np.uint8))
    except ModuleNotFoundError:  # the extra
        raise
    except Exception as error:  # of the interpreter's, of many kinds, for what a file may hold
        raise UserError(
            f"--litert must be a file that `aa-keras export` wrote. Received: --litert={path}: {described(error)}"
        ) from None
    return Predictor(spec, lambda images: run(np.ascontiguousarray(images)))
