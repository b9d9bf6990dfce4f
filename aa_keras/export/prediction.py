"""The prediction of a network for an image."""

import dataclasses
import warnings

import numpy as np

from aa_keras.data.decoding import CorruptImageError


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The prediction of a network for an image in a file.

    Attributes:
        image: the path of the image.
        size: its (height, width), or None if it cannot be read.
        outputs: a dictionary of arrays, see `Predictor.predict`; empty if it cannot be read.
        error: why it cannot be read: `aa_keras.data.decoding.CorruptImageError` or `OSError`; None if it can.
    """

    image: str
    size: tuple[int, int] | None
    outputs: dict[str, np.ndarray]
    error: CorruptImageError | OSError | None = None

    @property
    def answer(self):
        """The former name of `outputs`."""
        warnings.warn("Prediction.answer is now called outputs", DeprecationWarning, stacklevel=2)
        return self.outputs
