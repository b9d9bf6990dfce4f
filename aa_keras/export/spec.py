"""The inputs and outputs of a served network."""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from aa_keras.data import DetectionPreprocessing, Preprocessing, as_probabilities
from aa_keras.data.decoding import to_grey
from aa_keras.errors import UserError

OUTPUTS = {"classification": ("probabilities",), "detection": ("boxes", "confidence", "labels", "num_detections")}
# The fields of the two kinds of preprocessing that evaluation uses.
_PREPROCESSING = {
    "classification": ("mean", "std", "image_size", "central_fraction", "interpolation"),
    "detection": ("mean", "std", "image_size"),
}
NO_SCALE = np.ones(4, np.float32)


@dataclasses.dataclass(frozen=True)
class ServingSpec:
    """The inputs and outputs of a served network, which every export contains.

    Attributes:
        task: "classification" or "detection".
        class_names: names of the classes, in the order of their indices.
        image_shape: (height, width, channels) of the raw images, which are uint8; height and width are None if the
            network takes images of any size.
        preprocessing: the `Preprocessing` or `DetectionPreprocessing` of images. If the network takes one size, the
            caller does the first half of it, `fit`.
        category_ids: the numbers of the classes in COCO's sense, in the same order; () if these are the indices.
    """

    task: str
    class_names: tuple[str, ...]
    image_shape: tuple[int | None, int | None, int]
    preprocessing: Preprocessing | DetectionPreprocessing
    category_ids: tuple[int, ...] = ()

    @property
    def outputs(self):
        """The names of the outputs."""
        return OUTPUTS[self.task]

    @property
    def turns_images(self):
        """Whether images are turned as their EXIF data ask: those of detectors, whose boxes are in displayed pixels."""
        return self.task == "detection"

    @property
    def takes_any_size(self):
        """Whether the network takes images of any size."""
        return None in self.image_shape

    def fit(self, image):
        """Returns a raw image in the shape that the network takes, and the factors of its boxes.

        Args:
            image: uint8 array of shape (height, width, 3), or with the network's own channels.

        Returns:
            A uint8 array of `image_shape`, and a float32 array of shape (4,).
        """
        if self.image_shape[-1] == 1 and image.shape[-1] != 1:
            image = to_grey(image)
        if self.takes_any_size:
            return image, NO_SCALE
        fitted = self.preprocessing.fit(tf.constant(image))
        fitted, scale = fitted if self.task == "detection" else (fitted, NO_SCALE)
        return np.asarray(fitted).astype(np.uint8), np.asarray(scale)

    def checked(self, outputs, sum_tolerance):
        """Returns the outputs of the network for a batch, a dictionary of arrays, checked.

        Raises:
            UserError: if they are not probabilities, with a sum that differs by at most `sum_tolerance` from 1; or for
                a detector, if they are not all numbers.
        """
        if self.task == "classification":
            return {"probabilities": as_probabilities(outputs["probabilities"], sum_tolerance)}
        if not all(np.isfinite(outputs[name]).all() for name in ("boxes", "confidence")):
            raise UserError(
                "The network's outputs are not all numbers: its weights, or its batch statistics, overflowed"
            )
        return outputs

    def answer(self, outputs, image, scale):
        """Returns the answer for a raw image from the outputs of the network: see `Predictor.ask`.

        Args:
            outputs: dictionary of arrays.
            image: the raw image.
            scale: factors that `fit` returned with it.
        """
        if self.task == "classification":
            return {"probabilities": outputs["probabilities"]}
        number = int(outputs["num_detections"])
        limits = np.float32([*image.shape[:2]] * 2)
        boxes = np.clip(outputs["boxes"][:number] / scale, 0, limits)
        is_seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not in the padding of the image
        confidence, labels = (outputs[name][:number] for name in ("confidence", "labels"))
        return {"boxes": boxes[is_seen], "confidence": confidence[is_seen], "labels": labels[is_seen]}

    def as_json(self):
        """Returns the spec as text."""
        preprocessing = {name: getattr(self.preprocessing, name) for name in _PREPROCESSING[self.task]}
        return json.dumps({**dataclasses.asdict(self), "preprocessing": preprocessing})

    @classmethod
    def from_json(cls, text):
        """Returns the spec from the text of `as_json`; raises ValueError, KeyError or TypeError for other text."""
        fields = json.loads(text)
        kind = DetectionPreprocessing if fields["task"] == "detection" else Preprocessing
        settings = {"interpolation": "bilinear", **fields["preprocessing"]}  # exports of earlier versions lack it
        preprocessing = {name: _as_tuple(settings[name]) for name in _PREPROCESSING[fields["task"]]}
        return cls(
            **{**{name: _as_tuple(value) for name, value in fields.items()}, "preprocessing": kind(**preprocessing)}
        )


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value
