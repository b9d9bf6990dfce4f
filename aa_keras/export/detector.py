"""SavedModels of detectors, for serving with TensorFlow alone."""

from aa_keras.export.saved_model import load_signature, write_saved_model

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

    write_saved_model(model, serve, (None, None, model.input_shape[-1]), class_names, path)


def load_saved_detector(path):
    """Returns a function of raw images that returns detections, from a SavedModel that `export_saved_detector` wrote.

    Args:
        path: its folder.

    Raises:
        UserError: if it is no SavedModel, or one of another input or output.
    """
    return load_signature(path, (None, None, 3), OUTPUTS, "of a detector")
