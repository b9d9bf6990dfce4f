"""Export of trained models for serving."""

import os
import pathlib
import shutil

import keras
import numpy as np


def export_saved_model(model, preprocessing, class_names, path):
    """Writes a TensorFlow SavedModel that takes raw images, and `labels.txt` beside it.

    Preprocessing is part of it, so that a server needs TensorFlow alone:

        served = tf.saved_model.load(path)
        probabilities = served.signatures["serving_default"](images=images)["probabilities"]

    Args:
        model: Keras model of normalised images with outputs of probabilities.
        preprocessing: `aa_keras.data.Preprocessing` of the images that it was trained on.
        class_names: names of the classes, written one a line.
        path: folder to write; one that exists is replaced, once the new one is complete.
    """
    import tensorflow as tf

    path = pathlib.Path(path)
    image = keras.Input(model.input_shape[1:], dtype="uint8", name="images")
    normalization = keras.layers.Normalization(
        mean=preprocessing.mean, variance=np.square(preprocessing.std), dtype="float32", name="normalization"
    )
    serving = keras.Model(image, model(normalization(image)), name="serving")

    archive = keras.export.ExportArchive()
    archive.track(serving)
    archive.add_endpoint(
        "serve",
        lambda images: {"probabilities": serving(images, training=False)},
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")],
    )
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
    path.with_name("labels.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
