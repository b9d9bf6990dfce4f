"""Images with boxes, and data sets of them."""

import abc
import dataclasses
import itertools

from aa_keras.data.class_names import matching_labels
from aa_keras.data.coco import BadBoxes, Categories
from aa_keras.data.decoding import displayed_and_stored
from aa_keras.data.encoded import EncodedImages


class DetectionImages(EncodedImages):
    """Encoded images with boxes.

    In place of a class, `records` has a dictionary: "boxes", a float32 tensor (objects, 4) of the pixels top,
    left, bottom and right; "labels", int32 (objects,); and "is_crowd", boolean (objects,).

    Boxes are in the pixels that are displayed, as annotators see them: images are turned as their EXIF data ask.
    """

    def decode_encoded(self, index, encoded, is_sound, when_dark):
        return displayed_and_stored(encoded, is_sound, when_dark)[0]

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
        test_source: the annotations of the images to report on, in words; "" if the data set is in no folder.
    """

    name: str
    categories: Categories
    train: DetectionImages
    validation: DetectionImages | None
    test: DetectionImages
    bad_boxes: BadBoxes
    test_source: str = ""

    @property
    def class_names(self):
        """The names of the classes, in the order of their labels."""
        return self.categories.names

    def matched(self, class_names):
        """Returns the data set with the classes of a detector, matched by name, and the list of those without boxes.

        The classes keep the numbers of the annotations, so that these can be compared with the detections.

        Args:
            class_names: names of the detector's classes.

        Raises:
            UserError: if there are test boxes of a class that the detector does not know.
        """
        found = self.categories
        where = self.test_source or self.name
        labels, lacking = matching_labels(found.names, self.test.classes, class_names, where)
        numbers = {label: number for label, number in zip(labels.tolist(), found.ids, strict=True) if label >= 0}
        unused = (number for number in itertools.count(1) if number not in found.ids)
        ids = tuple(numbers[label] if label in numbers else next(unused) for label in range(len(class_names)))
        categories = Categories(tuple(class_names), ids)
        return dataclasses.replace(self, categories=categories, test=self.test.relabelled(labels)), lacking
