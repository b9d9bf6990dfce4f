"""Predictions of a network in any runtime."""

import dataclasses
from collections.abc import Callable

import numpy as np

from aa_keras.data.probabilities import SUM_TOLERANCE
from aa_keras.export.spec import ServingSpec


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A network in any runtime, with its preprocessing.

    Attributes:
        spec: its `ServingSpec`.
        run: function of a uint8 array (batch, *image_shape) that returns the outputs, a dictionary of arrays.
        sum_tolerance: by how much the sum of the probabilities of an image may differ from 1.
    """

    spec: ServingSpec
    run: Callable[[np.ndarray], dict[str, np.ndarray]]
    sum_tolerance: float = SUM_TOLERANCE

    def ask(self, images):
        """Returns the answer for each of some raw images, a list of dictionaries of arrays.

        Those of a classifier have "probabilities" (classes,). Those of a detector have "boxes" (objects, 4), the pixels
        top, left, bottom and right of the raw image, "confidence" (objects,) and "labels" (objects,), the best first.

        Args:
            images: list of uint8 arrays (height, width, 3), each of its own size, or with the network's own channels.

        Raises:
            UserError: if the network's outputs are not probabilities, or boxes, that are numbers.
        """
        fitted, scales = zip(*map(self.spec.preprocess, images), strict=True)
        answers = []
        for batch in _batches(fitted):
            outputs = {name: np.asarray(values) for name, values in self.run(np.stack(batch)).items()}
            outputs = self.spec.checked(outputs, self.sum_tolerance)
            for index in range(len(batch)):
                image, scale = images[len(answers)], scales[len(answers)]
                answers.append(self.spec.postprocess({name: outputs[name][index] for name in outputs}, image, scale))
        return answers


def _batches(images):
    """Returns images in batches of equal shape, in order: all of them in one, or one by one."""
    return [images] if len({image.shape for image in images}) == 1 else [[image] for image in images]
