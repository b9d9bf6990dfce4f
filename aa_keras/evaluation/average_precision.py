"""COCO's average precision, by pycocotools, and its intervals."""

import contextlib
import io

import numpy as np

from aa_keras.data import Progress

# The first fields of COCOeval.stats.
INTERVALS = ("ap", "ap50", "ap75")


def compared(annotated, categories, results):
    """Returns a `COCOeval` that has compared detections with the boxes of each image, and accumulated nothing.

    Args:
        annotated: sequence of `AnnotatedImage`s.
        categories: `Categories`.
        results: list of detections in COCO's results format; may be empty.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with _silent():
        truth = COCO()
        truth.dataset = ground_truth(annotated, categories)
        truth.createIndex()
        if results:
            found = truth.loadRes(results)
        else:  # pycocotools has no field for it
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
    return evaluation


def accumulated(evaluation):
    """Returns a `COCOeval` with its precisions and statistics."""
    with _silent():
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def intervals_of(annotated, categories, results, samples, seed=0):
    """Returns the 95 % intervals of the `INTERVALS`, pairs by name, from samples of the images with replacement.

    The images are compared with their boxes once, and for each sample their precisions are accumulated again.
    """
    evaluation = compared(annotated, categories, results)
    # pycocotools lists images within areas within categories.
    parameters = evaluation.params
    by_image = np.empty((len(parameters.catIds) * len(parameters.areaRng), len(parameters.imgIds)), object)
    by_image.ravel()[:] = evaluation.evalImgs
    random, values = np.random.default_rng(seed), []
    with Progress("Measuring samples of the images", samples, "samples") as progress:
        for _ in range(samples):
            chosen = random.integers(by_image.shape[1], size=by_image.shape[1])
            evaluation.evalImgs = list(by_image[:, chosen].ravel())
            statistics = accumulated(evaluation).stats[: len(INTERVALS)]
            values.append(np.where(statistics < 0, np.nan, statistics))
            progress.done += 1
    bounds = np.nanpercentile(np.array(values), (2.5, 97.5), axis=0).T
    return {name: tuple(map(float, pair)) for name, pair in zip(INTERVALS, bounds, strict=True)}


def _silent():
    """Returns a context without the lines that pycocotools prints for each step."""
    return contextlib.redirect_stdout(io.StringIO())


def ground_truth(annotated, categories):
    """Returns annotations as a dictionary for pycocotools."""
    annotations = []
    for image in annotated:
        for box, label, area, is_crowd in zip(image.boxes, image.labels, image.areas, image.is_crowd, strict=True):
            top, left, bottom, right = map(float, box)
            annotations.append(
                {
                    "id": len(annotations) + 1,  # 0 would count as no match
                    "image_id": image.id,
                    "category_id": categories.ids[label],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": float(area),
                    "iscrowd": int(is_crowd),
                }
            )
    return {
        "info": {},
        "images": [{"id": image.id, "height": image.height, "width": image.width} for image in annotated],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name} for number, name in zip(categories.ids, categories.names, strict=True)
        ],
    }
