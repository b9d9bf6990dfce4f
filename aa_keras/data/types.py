"""Labelled images, and data sets of them."""

import dataclasses

import numpy as np

from aa_keras.data.encoded import EncodedImages


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images of one size and their classes, in memory.

    Attributes:
        images: uint8 array of shape (examples, height, width, channels).
        labels: int32 array of shape (examples,).
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @property
    def image_shape(self):
        """(height, width, channels) of an image."""
        return self.images.shape[1:]

    @property
    def classes(self):
        """The set of the classes of the images."""
        return set(self.labels.tolist())

    def relabelled(self, labels):
        """Returns the same images with the class `labels[c]` in place of each class c."""
        return dataclasses.replace(self, labels=np.asarray(labels, np.int32)[self.labels])


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """A classification data set.

    Attributes:
        name: its name.
        class_names: names of the classes in the order of their labels.
        train: the images to train on.
        validation: images that are held out from training; may be empty.
        test: the images to report on.
        test_source: the folder of these images, in words; "" if the data set is no folder of images.
    """

    name: str
    class_names: tuple[str, ...]
    train: LabelledImages | EncodedImages
    validation: LabelledImages | EncodedImages
    test: LabelledImages | EncodedImages
    test_source: str = ""

    @property
    def image_shape(self):
        """(height, width, channels) of an image that a network sees."""
        return self.train.image_shape
