"""SavedModels of detectors, for serving with TensorFlow alone."""

import os
import pathlib
import shutil

import keras

from aa_keras.errors import UserError, described
from aa_keras.files import partial_path

OUTPUTS = ("boxes", "confidence", "labels", "num_detections")


def export_saved_detector(model, preprocessing, class_names, path):
    """Writes a TensorFlow SavedModel that takes raw images of any size, and `labels.txt` beside it.

    Resizing, normalisation and decoding are part of it, so that a server needs TensorFlow alone:

        served = tf.saved_model.load(path)
        detections = served.signatures["serving_default"](images=images)

    "boxes" are the pixels top, left, bottom and right of the images that went in, "confidence" and "labels" go with
    them, the best first, and "num_detections" of each image are valid.

    Args:
        model: `RetinaNet` of normalised images.
        preprocessing: `aa_keras.data.DetectionPreprocessing` of the images that it was trained on.
        class_names: names of the classes, written one a line.
        path: folder to write; one that exists is replaced, once the new one is complete.
    """
    import tensorflow as tf

    def serve(images):
        fitted, scale = preprocessing.for_evaluation(images)
        detections = model.decode_predictions(model(fitted, training=False), fitted)
        size = tf.cast(tf.shape(images)[1:3], tf.float32)
        boxes = tf.clip_by_value(detections["boxes"] / scale, 0.0, tf.tile(size, (2,)))
        is_box = detections["labels"][..., None] >= 0
        return {**detections, "boxes": tf.where(is_box, boxes, -1.0)}

    path = pathlib.Path(path)
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((None, None, None, model.input_shape[-1]), tf.uint8, name="images")]
    archive.add_endpoint("serve", serve, input_signature=signature)
    partial = partial_path(path)
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
    path.with_name("labels.txt").write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")


def load_saved_detector(path):
    """Returns a function of raw images that returns detections, from a SavedModel that `export_saved_detector` wrote.

    Args:
        path: its folder.

    Raises:
        UserError: if it is no SavedModel, or one of another input or output.
    """
    import tensorflow as tf

    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise UserError(f"--saved_model must be the folder of a SavedModel. Received: --saved_model={path}")
    try:
        signature = tf.saved_model.load(path).signatures["serving_default"]
        images = signature.structured_input_signature[1]["images"]
        if images.dtype != tf.uint8 or not set(OUTPUTS) <= set(signature.structured_outputs):
            raise KeyError(f"images of {images.dtype.name} to {', '.join(signature.structured_outputs)}")
    except Exception as error:  # of TensorFlow's or of protocol buffers, for what a file may hold
        raise UserError(
            "--saved_model must be one that train.py wrote of a detector, with `images` as its input and "
            f"{', '.join(OUTPUTS)} as its outputs. Received: --saved_model={path}: {described(error)}"
        ) from None
    return lambda images: signature(images=tf.constant(images))
