"""The task made of several digits: its class is the next digit to the left of the inverted one."""

import numpy as np
import pytest

from aa_keras.data import load_dataset
from aa_keras.errors import UserError


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("digit_neighbours")


@pytest.fixture(scope="module")
def sources():
    """The class of each digit by its bytes, split by split."""
    digits = load_dataset("digits")
    return {
        split: {image.tobytes(): label for image, label in zip(part.images, part.labels, strict=True)}
        for split, part in (("train", digits.train), ("validation", digits.validation), ("test", digits.test))
    }


def cells(image):
    return image[..., 0].reshape(3, 8, 4, 8).transpose(0, 2, 1, 3)


@pytest.mark.parametrize(("split", "count"), [("train", 8000), ("validation", 1000), ("test", 2000)])
def test_labels_are_those_of_the_next_digit_to_the_left_of_the_marked_one(dataset, sources, split, count):
    part = getattr(dataset, split)
    assert part.images.shape == (count, 24, 32, 1)
    assert (part.images.dtype, part.labels.dtype, dataset.class_names) == ("uint8", "int32", tuple("0123456789"))
    classes = sources[split]
    for image, label in zip(part.images[:300], part.labels[:300], strict=True):
        grid = cells(image)
        known = {(row, column): classes.get(grid[row, column].tobytes()) for row in range(3) for column in range(4)}
        marked = [place for place, digit in known.items() if digit is None and grid[place].any()]
        assert len(marked) == 1
        ((row, column),) = marked
        assert (255 - grid[row, column]).tobytes() in classes
        to_the_left = [known[row, place] for place in range(column) if known[row, place] is not None]
        assert to_the_left[-1] == label


def test_neighbours_are_next_to_the_mark_and_beyond_empty_cells(dataset):
    distances, filled = [], []
    for image in dataset.train.images[:1000]:
        held = cells(image).reshape(3, 4, 64).any(axis=-1)
        means = cells(image).reshape(3, 4, 64).mean(axis=-1)
        row, column = np.unravel_index(means.argmax(), (3, 4))
        distances.append(column - np.flatnonzero(held[row, :column])[-1])
        filled.append(held.sum())
    assert set(distances) == {1, 2, 3}
    assert 6 < np.mean(filled) < 8


def test_it_is_the_same_each_time_and_other_arguments_are_refused(dataset):
    again = load_dataset("digit_neighbours")
    np.testing.assert_array_equal(again.test.images, dataset.test.images)
    with pytest.raises(UserError, match="dataset='digit_neighbours'"):
        load_dataset("digit_neighbours", image_size=32)
