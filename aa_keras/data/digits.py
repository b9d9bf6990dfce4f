"""scikit-learn's handwritten digits, and a task made of them that asks where things are: no download for either."""

import numpy as np

from aa_keras.data.types import ImageDataset, LabelledImages

CLASS_NAMES = tuple(str(digit) for digit in range(10))
# The size of the images of `digit_neighbours`, in digits.
ROWS, COLUMNS = 3, 4
# The number of these images in each split.
NEIGHBOURS = {"train": 8000, "validation": 1000, "test": 2000}


def digits():
    """Returns the 1,797 digits, grey images of 8x8 pixels in ten classes, in a fixed split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # 0 to 16 in the original, 0 to 255 like any other grey image here.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int32)
    # The same split whatever the seed of a run, so that runs can be compared.
    order = np.random.default_rng(0).permutation(len(labels))
    train, validation, test = (LabelledImages(images[part], labels[part]) for part in np.split(order, [1257, 1437]))
    return ImageDataset("digits", CLASS_NAMES, train, validation, test)


def digit_neighbours():
    """Returns images of several digits, one of them marked, whose class is the next digit to the left of that one.

    Images have 24x32 pixels, three rows of four cells. About half of the cells hold a digit; one is marked by its
    inverted colours, and there is at least one to the left of it in its row. Local pixels alone say nothing about the
    class: a network must find the mark, look to its left, past empty cells, and read the digit there. The digits of a
    split are those of the same split of `digits`.
    """
    source = digits()
    splits = (_compose(getattr(source, split), count, split) for split, count in NEIGHBOURS.items())
    return ImageDataset("digit_neighbours", CLASS_NAMES, *splits)


def _compose(source, count, split):
    generator = np.random.default_rng(list(NEIGHBOURS).index(split))  # the same images whatever the seed of a run
    images = np.zeros((count, ROWS, COLUMNS, 8, 8), np.uint8)
    labels = np.zeros(count, np.int32)
    for image, index in zip(images, range(count), strict=True):
        row, column = generator.integers(ROWS), generator.integers(1, COLUMNS)
        held = generator.random((ROWS, COLUMNS)) < 0.5
        held[row, column] = True
        held[row, generator.integers(column)] |= not held[row, :column].any()
        drawn = generator.integers(len(source), size=(ROWS, COLUMNS))
        image[held] = source.images[drawn[held], ..., 0]
        image[row, column] = 255 - image[row, column]
        neighbour = np.flatnonzero(held[row, :column])[-1]
        labels[index] = source.labels[drawn[row, neighbour]]
    images = images.transpose(0, 1, 3, 2, 4).reshape(count, ROWS * 8, COLUMNS * 8, 1)
    return LabelledImages(images, labels)
