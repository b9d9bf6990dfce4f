"""The agreement of the predictions of an export with those of its network."""

import numpy as np
import pytest

from aa_keras.export import ClassificationSpec, DetectionSpec, check


def boxes(*rows):
    """An answer of (top, left, bottom, right, confidence, label)."""
    rows = np.float32(rows).reshape(-1, 6)
    return {"boxes": rows[:, :4], "confidence": rows[:, 4], "labels": rows[:, 5].astype(int)}


FIRST, SECOND = (0, 0, 10, 10, 0.9, 1), (20, 30, 40, 60, 0.8, 0)


@pytest.mark.parametrize(
    ("found", "difference", "same"),
    [
        ([FIRST, SECOND], 0.0, 1.0),
        ([SECOND, FIRST], 0.0, 1.0),  # in another order
        ([FIRST, (20, 30, 40, 60, 0.7, 0)], 0.1, 1.0),
        ([FIRST, (20, 31, 40, 60, 0.8, 0)], 0.0, 1.0),  # of 29 / 30 in common
        ([FIRST, (20, 34, 40, 64, 0.8, 0)], 0.0, 0.5),  # of 26 / 34
        ([FIRST, (20, 30, 40, 60, 0.8, 2)], 0.0, 0.5),
        ([FIRST, FIRST, SECOND], 0.0, 2 / 3),  # one too many
        ([FIRST], 0.0, 0.5),
        ([], 0.0, 0.0),
    ],
)
def test_boxes_are_found_again(found, difference, same):
    compared = check._compared(DetectionSpec, [(boxes(FIRST, SECOND), boxes(*found))])
    assert compared == pytest.approx((difference, same, max(2, len(found))), abs=1e-6)


def test_the_share_is_one_of_all_boxes():
    pairs = [
        (boxes(FIRST, SECOND, FIRST), boxes(FIRST, SECOND, FIRST)),
        (boxes(FIRST), boxes(SECOND)),
        (boxes(), boxes()),
    ]
    assert check._compared(DetectionSpec, pairs) == pytest.approx((0.0, 3 / 4, 4))
    assert check._compared(DetectionSpec, [(boxes(), boxes())]) == (0.0, 1.0, 0)


def test_probabilities_are_compared_one_by_one():
    pairs = [([0.6, 0.4], [0.6, 0.4]), ([0.6, 0.4], [0.45, 0.55]), ([0.3, 0.7], [0.2, 0.8]), ([0.3, 0.7], [0.3, 0.7])]
    pairs = [tuple({"probabilities": np.float32(values)} for values in pair) for pair in pairs]
    assert check._compared(ClassificationSpec, pairs) == pytest.approx((0.15, 0.75, 4), abs=1e-6)
