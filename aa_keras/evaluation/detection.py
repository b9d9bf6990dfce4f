"""Measuring detectors: COCO's average precision, by pycocotools."""

import numpy as np

from aa_keras.data import Progress
from aa_keras.errors import UserError
from aa_keras.evaluation.average_precision import accumulated, compared
from aa_keras.evaluation.detection_results import STATISTICS, DetectionEvaluation


def detect(predict, batches, batch_size, annotated, categories):
    """Returns the detections in images, in COCO's results format.

    Args:
        predict: function of an array of `batch_size` images that returns what a `RetinaNet`, or a SavedModel of one,
            predicts.
        batches: iterable of pairs of images and of the factors of their boxes. The last batch may be smaller:
            it is padded for `predict`, which thus sees one shape.
        batch_size: images in a full batch.
        annotated: sequence of `AnnotatedImage`s, in the same order.
        categories: `Categories`.
    """
    results = []
    with Progress("Detecting", len(annotated)) as progress:
        for images, scales in batches:
            images, scales = np.asarray(images), np.asarray(scales)
            padded = np.pad(images, ((0, batch_size - len(images)), (0, 0), (0, 0), (0, 0)))
            predictions = {name: np.asarray(values) for name, values in predict(padded).items()}
            for index, scale in enumerate(scales):
                results += _results(annotated[progress.done + index], categories, predictions, index, scale)
            progress.done += len(images)
    return results


def _results(image, categories, predictions, index, scale):
    number = predictions["num_detections"][index]
    boxes, scores, labels = (predictions[name][index][:number] for name in ("boxes", "confidence", "labels"))
    return coco_results(image, categories, boxes / scale, scores, labels)


def coco_results(image, categories, boxes, scores, labels):
    """Returns the detections of an image in COCO's results format.

    Args:
        image: its `AnnotatedImage`.
        categories: `Categories`.
        boxes: array (detections, 4), top, left, bottom and right in the image's own pixels; they are clipped to it.
        scores: array (detections,).
        labels: integer array (detections,).
    """
    limits = np.array([image.height, image.width] * 2, np.float64)
    top, left, bottom, right = np.clip(np.asarray(boxes, np.float64).reshape(-1, 4), 0, limits).T
    return [
        {
            "image_id": image.id,
            "category_id": categories.ids[int(label)],
            "bbox": [round(float(number), 4) for number in bbox],
            "score": round(float(score), 6),
        }
        for label, score, *bbox in zip(labels, scores, left, top, right - left, bottom - top, strict=True)
    ]


def measure(annotated, categories, results):
    """Returns the `DetectionEvaluation` of detections.

    Args:
        annotated: sequence of `AnnotatedImage`s.
        categories: `Categories`.
        results: list that `coco_results` returns; may be empty.

    Raises:
        UserError: if a detection is NaN or infinite.
    """
    if not all(np.isfinite([*result["bbox"], result["score"]]).all() for result in results):
        raise UserError("The detector's boxes are not all numbers: its weights, or its batch statistics, overflowed")
    with Progress("Measuring the average precision"):
        evaluation = accumulated(compared(annotated, categories, results))
    # (intersections over union, recalls, classes, areas, numbers of detections); -1 where there are no objects.
    precision = np.where(evaluation.eval["precision"] < 0, np.nan, evaluation.eval["precision"])[..., 0, -1]
    statistics = np.where(evaluation.stats < 0, np.nan, evaluation.stats)[: len(STATISTICS)]
    return DetectionEvaluation(
        len(annotated),
        *map(float, statistics),
        class_ap=precision.mean(axis=(0, 1)),
        class_ap50=precision[0].mean(axis=0),
        precision=precision[0].T,
        results=results,
        categories=categories,
        annotated=annotated,
    )
