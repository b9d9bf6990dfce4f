"""Images with boxes, and data sets of them."""

import abc
import dataclasses

from aa_keras.data.coco import BadBoxes, Categories
from aa_keras.data.encoded import EncodedImages


class DetectionImages(EncodedImages):
    """Encoded images with boxes.

    In place of a class, `records` has a dictionary: "boxes", a float32 tensor (objects, 4) of the pixels top,
    left, bottom and right; "labels", int32 (objects,); and "is_crowd", boolean (objects,).
    """

    @property
    @abc.abstractmethod
    def most_boxes(self):
        """Returns how many boxes an image may have in training: further ones are left out."""

    @property
    @abc.abstractmethod
    def annotated(self):
        """Returns the tuple of `AnnotatedImage`s, in the order of `records`."""


@dataclasses.dataclass(frozen=True)
class DetectionDataset:
    """A detection data set.

    Attributes:
        name: its name.
        categories: the `Categories`.
        train: the `DetectionImages` to train on.
        validation: those held out; may be None.
        test: those to report on.
        bad_boxes: `BadBoxes`, with the boxes that were left out.
    """

    name: str
    categories: Categories
    train: DetectionImages
    validation: DetectionImages | None
    test: DetectionImages
    bad_boxes: BadBoxes
