"""SavedModels of raw images for TensorFlow alone: how they are written and read, and those of classifiers."""

import os
import pathlib
import shutil

import keras

from aa_keras.errors import UserError, described
from aa_keras.files import partial_path


def export_saved_model(model, preprocessing, class_names, path):
    """Writes a TensorFlow SavedModel of a classifier that takes raw images, and `labels.txt` beside it.

    Preprocessing is part of it, resizing included where the network was trained on images of any size, so that a server
    needs TensorFlow alone:

        served = tf.saved_model.load(path)
        probabilities = served.signatures["serving_default"](images=images)["probabilities"]

    Args:
        model: Keras model of normalised images with outputs of probabilities.
        preprocessing: `aa_keras.data.Preprocessing` of the images that it was trained on.
        class_names: names of the classes, written one a line.
        path: folder to write; one that exists is replaced, once the new one is complete.
    """
    image_shape = model.input_shape[1:]
    if preprocessing.image_size is not None:
        image_shape = (None, None, image_shape[-1])

    def serve(images):
        return {"probabilities": model(preprocessing.for_evaluation(images), training=False)}

    write_saved_model(model, serve, image_shape, class_names, path)


def load_saved_model(path, raw_shape):
    """Returns a function of raw images that returns probabilities, from a SavedModel that `export_saved_model` wrote.

    Args:
        path: its folder.
        raw_shape: (height, width, channels) of the images that it has to take; height and width may be None.

    Raises:
        UserError: if it is no SavedModel, or one of another input or output.
    """
    signature = load_signature(path, raw_shape, ("probabilities",), "for images of the data set")
    return lambda images: signature(images)["probabilities"]


def write_saved_model(model, serve, image_shape, class_names, path):
    """Writes a SavedModel whose signature "serve" takes `images`, and `labels.txt` beside it.

    Args:
        model: the Keras model whose variables it holds.
        serve: function of a uint8 tensor (batch, *image_shape) that returns a dictionary of tensors.
        image_shape: (height, width, channels); height and width may be None.
        class_names: names of the classes, written one a line.
        path: folder to write; one that exists is replaced, once the new one is complete.
    """
    import tensorflow as tf

    path = pathlib.Path(path)
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((None, *image_shape), tf.uint8, name="images")]
    archive.add_endpoint("serve", serve, input_signature=signature)
    partial = partial_path(path)
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
    path.with_name("labels.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")


def load_signature(path, raw_shape, outputs, meant):
    """Returns a function of raw images that returns a dictionary, from a SavedModel that `write_saved_model` wrote.

    Args:
        path: its folder.
        raw_shape: (height, width, channels) of the images that it has to take; height and width may be None.
        outputs: the names that it has to return.
        meant: what it should be, in words.

    Raises:
        UserError: if it is no SavedModel, or one of another input or output.
    """
    import tensorflow as tf

    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise UserError(f"--saved_model must be the folder of a SavedModel. Received: --saved_model={path}")
    try:
        signature = tf.saved_model.load(path).signatures["serving_default"]
        images = signature.structured_input_signature[1]["images"]
        fits = images.dtype == tf.uint8 and images.shape[1:].is_compatible_with(raw_shape)
        if not fits or not set(outputs) <= set(signature.structured_outputs):
            raise KeyError(f"images of {images.shape}, {images.dtype.name}")
    except Exception as error:  # of TensorFlow's or of protocol buffers, for what a file may hold
        raise UserError(
            f"--saved_model must be one that train.py wrote {meant}, with `images` as its input and "
            f"`{'`, `'.join(outputs)}` as its output. Received: --saved_model={path}: {described(error)}"
        ) from None
    return lambda images: signature(images=tf.constant(images))
