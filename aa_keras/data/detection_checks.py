"""Checks that there is something to learn from boxes, and something to measure."""

import numpy as np

from aa_keras.errors import UserError

_PURPOSES = {
    "train": "There are no boxes to learn from",
    "validate": "There are no boxes in the validation images to measure the average precision with",
    "report": "There are no boxes in the test images to measure the average precision with",
}


def check_boxes(examples, purpose, bad_boxes, preprocessing):
    """Raises UserError if none of the boxes of some images can be used, with the reasons.

    Args:
        examples: `DetectionImages`; where the boxes would have to be read from all images, nothing is checked.
        purpose: "train", "validate" or "report".
        bad_boxes: `BadBoxes`, with what was left out.
        preprocessing: `DetectionPreprocessing`. Boxes that it makes smaller than a pixel cannot be learned from.
    """
    if examples.classes is None:
        return
    annotated = examples.annotated
    boxes = np.concatenate([np.zeros((0, 4)), *(image.boxes for image in annotated)])
    crowds = sum(int(image.is_crowd.sum()) for image in annotated)
    too_small = sum(_too_small(image, preprocessing) for image in annotated)
    unused = too_small if purpose == "train" else 0
    if len(boxes) - crowds - unused > 0:
        return
    reasons = [f"{len(annotated):,} images have {len(boxes):,} boxes"]
    if crowds:
        reasons.append(f"{crowds:,} are crowds, which are not counted")
    if unused:
        reasons.append(f"{unused:,} are less than a pixel wide or high in the images that the network takes")
    if bad_boxes.skipped:
        where, reason = next(iter(bad_boxes.skipped.items()))
        reasons.append(
            f"{len(bad_boxes.skipped):,} boxes or images were left out by config.bad_boxes=skip, the first {where}: "
            f"{reason}"
        )
    if len(boxes) and boxes.max() <= 1:
        reasons.append(
            "all boxes lie within one pixel, as if they were fractions of the image: COCO's are pixels, left, top, "
            "width and height"
        )
    raise UserError(f"{_PURPOSES[purpose]}: {'; '.join(reasons)}")


def _too_small(image, preprocessing):
    """Returns how many boxes of an image, crowds apart, are smaller than a pixel at the size of the network."""
    factor = min(np.array(preprocessing.image_size) / (image.height, image.width)) * preprocessing.scale_jitter[1]
    sides = (image.boxes[:, 2:] - image.boxes[:, :2])[~image.is_crowd]
    return int(np.sum(sides.min(axis=1, initial=np.inf) * factor < 1)) if len(sides) else 0
