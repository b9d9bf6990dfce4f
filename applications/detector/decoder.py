"""From scored boxes to detections: non-maximum suppression, class by class."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("aa_keras")
class ClassWiseNonMaxSuppression(keras.layers.Layer):
    """Keeps the best boxes of each class that do not overlap: the decoder of a `RetinaNet`.

    The pairs of box and class with the highest scores are candidates. A candidate that overlaps a better one of the
    same class is dropped.

    Args:
        candidates: integer, number of candidates.
        score_threshold: float from 0 to 1, the score that a detection must exceed.
        iou_threshold: float from 0 to 1, the intersection over union beyond which two boxes are the same object.
        max_detections: integer, largest number of boxes for an image.

    Call arguments:
        box_prediction: tensor (batch, boxes, 4) of the pixels top, left, bottom, right.
        class_prediction: logits, tensor (batch, boxes, classes).
        images: the images, tensor (batch, height, width, channels), to which boxes are clipped.

    Returns:
        A dictionary of "boxes", float32 (batch, max_detections, 4), "confidence", float32 (batch, max_detections), the
        highest first, "labels", int32 (batch, max_detections), and "num_detections", int32 (batch,). Entries beyond
        that number are -1.
    """

    bounding_box_format = "yxyx"  # KerasHub's detectors read it

    def __init__(
        self, candidates=1000, score_threshold=0.05, iou_threshold=0.5, max_detections=100, dtype="float32", **kwargs
    ):
        super().__init__(dtype=dtype, **kwargs)
        self.candidates = candidates
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        # XLA has no non-maximum suppression.
        self.supports_jit = keras.backend.backend() != "tensorflow"
        self.built = True

    def call(self, box_prediction, class_prediction, images=None):
        classes = class_prediction.shape[-1]
        scores = ops.reshape(ops.sigmoid(class_prediction), (-1, class_prediction.shape[1] * classes))
        scores, indices = ops.top_k(scores, min(self.candidates, scores.shape[1]))
        labels = indices % classes
        boxes = ops.take_along_axis(box_prediction, (indices // classes)[..., None], axis=1)
        if images is not None:
            height, width = ops.shape(images)[1:3]
            limits = ops.cast(ops.stack([height, width, height, width]), "float32")
            boxes = ops.minimum(ops.maximum(boxes, 0.0), limits)
        # Boxes outside the image are not objects, and LiteRT's suppression fails on boxes without area.
        is_seen = ops.all(boxes[..., 2:] > boxes[..., :2], axis=-1)
        scores = ops.where(is_seen, scores, 0.0)
        suppress = _suppress_in_tensorflow if keras.backend.backend() == "tensorflow" else _suppress
        boxes, scores, labels, number = suppress(
            boxes, scores, labels, classes, self.max_detections, self.iou_threshold, self.score_threshold
        )
        is_valid = ops.arange(self.max_detections)[None] < number[:, None]
        return {
            "boxes": ops.where(is_valid[..., None], boxes, -1.0),
            "confidence": ops.where(is_valid, scores, -1.0),
            "labels": ops.where(is_valid, ops.cast(labels, "int32"), -1),
            "num_detections": number,
        }

    def get_config(self):
        names = ("candidates", "score_threshold", "iou_threshold", "max_detections")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _suppress_in_tensorflow(boxes, scores, labels, _, max_detections, iou_threshold, score_threshold):
    import tensorflow as tf

    def suppress_in_image(image):
        boxes, scores, labels = image
        kept, number = tf.raw_ops.NonMaxSuppressionV4(
            boxes=boxes
            + (tf.reduce_max(boxes) + 1.0) * tf.cast(labels, boxes.dtype)[:, None],  # an offset for each class
            scores=scores,
            max_output_size=max_detections,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            pad_to_max_output_size=True,
        )
        kept = tf.ensure_shape(kept, (max_detections,))
        return *(tf.gather(values, kept) for values in image), number

    # Image by image, since LiteRT has no `tf.image.combined_non_max_suppression`. It has no lists of tensors of unknown
    # shapes either.
    shapes = ((max_detections, 4), (max_detections,), (max_detections,), ())
    dtypes = (boxes.dtype, scores.dtype, labels.dtype, tf.int32)
    of_image = tuple(map(tf.TensorSpec, shapes, dtypes))
    return tf.map_fn(suppress_in_image, (boxes, scores, labels), fn_output_signature=of_image)


def _suppress(boxes, scores, labels, classes, max_detections, iou_threshold, score_threshold):
    """Does the same with KerasHub's suppression, which ignores classes: so each class gets its own offset."""
    import keras_hub

    suppression = keras_hub.layers.NonMaxSuppression(
        "yxyx",
        from_logits=False,
        iou_threshold=iou_threshold,
        confidence_threshold=score_threshold,
        max_detections=max_detections,
    )
    side = ops.max(boxes) + 1.0
    places = side * ops.cast(labels, boxes.dtype)[..., None]
    kept = suppression(boxes + places, scores[..., None] * ops.one_hot(labels, classes))
    labels = kept["labels"]
    boxes = kept["boxes"] - side * ops.cast(labels, boxes.dtype)[..., None]
    return boxes, kept["confidence"], labels, ops.cast(kept["num_detections"], "int32")
