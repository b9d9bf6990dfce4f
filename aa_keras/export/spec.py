"""What a served network takes and returns."""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from aa_keras.data import DetectionPreprocessing, Preprocessing
from aa_keras.data.decoding import to_grey

OUTPUTS = {"classification": ("probabilities",), "detection": ("boxes", "confidence", "labels", "num_detections")}
# The fields of the two kinds of preprocessing that evaluation depends on.
_PREPROCESSING = {
    "classification": ("mean", "std", "image_size", "central_fraction", "interpolation"),
    "detection": ("mean", "std", "image_size"),
}
NO_SCALE = np.ones(4, np.float32)


@dataclasses.dataclass(frozen=True)
class ServingSpec:
    """What a served network takes and returns. It travels with every export.

    Attributes:
        task: "classification" or "detection".
        class_names: names of the classes, in the order of their indices.
        image_shape: (height, width, channels) of the raw images, which are uint8; height and width are None where
            images of any size go in.
        preprocessing: the `Preprocessing` or `DetectionPreprocessing` that images go through: where the network takes
            one size, its first half has to be done before it, `fit`.
        category_ids: the classes' numbers in COCO's sense, in the same order; () where these are the indices.
    """

    task: str
    class_names: tuple[str, ...]
    image_shape: tuple[int | None, int | None, int]
    preprocessing: Preprocessing | DetectionPreprocessing
    category_ids: tuple[int, ...] = ()

    @property
    def outputs(self):
        """The names of what is returned."""
        return OUTPUTS[self.task]

    @property
    def takes_any_size(self):
        """Whether images of any size go in."""
        return None in self.image_shape

    def fit(self, image):
        """Returns a raw image in the shape that goes in, and what its boxes are multiplied by then.

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

    def answer(self, outputs, image, scale):
        """Returns the outputs for one image as what they say of the raw image: see `Predictor.ask`.

        Args:
            outputs: dictionary of arrays.
            image: the raw image.
            scale: what `fit` returned with it.
        """
        if self.task == "classification":
            return {"probabilities": outputs["probabilities"]}
        number = int(outputs["num_detections"])
        limits = np.float32([*image.shape[:2]] * 2)
        boxes = np.clip(outputs["boxes"][:number] / scale, 0, limits)
        is_seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # and does not lie in what fills the image up
        confidence, labels = (outputs[name][:number] for name in ("confidence", "labels"))
        return {"boxes": boxes[is_seen], "confidence": confidence[is_seen], "labels": labels[is_seen]}

    def as_json(self):
        """Returns it as text."""
        preprocessing = {name: getattr(self.preprocessing, name) for name in _PREPROCESSING[self.task]}
        return json.dumps({**dataclasses.asdict(self), "preprocessing": preprocessing})

    @classmethod
    def from_json(cls, text):
        """Returns what `as_json` made text of; raises ValueError, KeyError or TypeError for other text."""
        fields = json.loads(text)
        kind = DetectionPreprocessing if fields["task"] == "detection" else Preprocessing
        told = {"interpolation": "bilinear", **fields["preprocessing"]}  # which earlier exports do not tell
        preprocessing = {name: _as_tuple(told[name]) for name in _PREPROCESSING[fields["task"]]}
        return cls(
            **{**{name: _as_tuple(value) for name, value in fields.items()}, "preprocessing": kind(**preprocessing)}
        )


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value
