"""The boxes that a detector keeps, compared with a loop over the best pairs of box and class."""

import numpy as np
import pytest

from aa_keras._startup import quiet_import
from aa_keras.applications.detector import decoder

with quiet_import():
    pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")


def iou(first, second):
    top, left = np.maximum(first[:2], second[:2])
    bottom, right = np.minimum(first[2:], second[2:])
    both = max(bottom - top, 0) * max(right - left, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return both / (sum(areas) - both)


def suppressed(boxes, scores, candidates, threshold, most, limits):
    """Non-maximum suppression as a loop over the best pairs of box and class."""
    pairs = sorted(
        ((score, box, label) for box, row in enumerate(scores) for label, score in enumerate(row)), reverse=True
    )
    kept = []
    for score, index, label in pairs[:candidates]:
        box = np.clip(boxes[index], 0, limits)
        is_seen = box[0] < box[2] and box[1] < box[3]
        if is_seen and score > threshold and all(label != other or iou(box, there) <= 0.5 for _, there, other in kept):
            kept.append((score, box, label))
    return kept[:most]


@pytest.mark.parametrize("library", ["ours", "KerasHub's"])
def test_detections_are_suppressed_class_by_class(library, monkeypatch):
    if library == "KerasHub's":
        monkeypatch.setattr(decoder, "_suppress_in_tensorflow", decoder._suppress)
    generator = np.random.default_rng(0)
    corners = generator.uniform(-30, 50, (2, 60, 2))  # some boxes are out of sight
    boxes = np.concatenate([corners, corners + generator.uniform(5, 40, (2, 60, 2))], axis=-1).astype("float32")
    logits = generator.normal(size=(2, 60, 3)).astype("float32") - 1
    layer = decoder.ClassWiseNonMaxSuppression(candidates=120, score_threshold=0.2, max_detections=30)
    found = layer(boxes, logits, images=np.zeros((2, 64, 96, 3), "float32"))
    found = {name: np.asarray(value) for name, value in found.items()}
    for index in range(2):
        scores = 1 / (1 + np.exp(-logits[index]))
        expected = suppressed(boxes[index], scores, 120, 0.2, 30, (64, 96, 64, 96))
        number = found["num_detections"][index]
        assert 10 < number == len(expected)
        np.testing.assert_allclose(found["confidence"][index][:number], [score for score, *_ in expected], rtol=1e-5)
        np.testing.assert_allclose(found["boxes"][index][:number], [box for _, box, _ in expected], atol=1e-3)
        assert found["labels"][index][:number].tolist() == [label for *_, label in expected]
        for name in ("boxes", "confidence", "labels"):
            np.testing.assert_array_equal(found[name][index][number:], -1)
