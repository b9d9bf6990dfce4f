"""Export of trained models for serving."""

import os
import pathlib
import shutil

import keras

from aa_keras.files import partial_path


def export_saved_model(model, preprocessing, class_names, path):
    """Writes a TensorFlow SavedModel that takes raw images, and `labels.txt` beside it.

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
    import tensorflow as tf

    path = pathlib.Path(path)
    image_shape = model.input_shape[1:]
    if preprocessing.image_size is not None:
        image_shape = (None, None, image_shape[-1])
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda images: {"probabilities": model(preprocessing.for_evaluation(images), training=False)},
        input_signature=[tf.TensorSpec((None, *image_shape), tf.uint8, name="images")],
    )
    partial = partial_path(path)
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
    path.with_name("labels.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
