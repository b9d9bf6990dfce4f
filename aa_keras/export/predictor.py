"""Predictions of a network in any runtime."""

import dataclasses
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np

from aa_keras.data.decoding import CorruptImageError
from aa_keras.data.probabilities import SUM_TOLERANCE
from aa_keras.data.reading import ImageReader, map_in_order
from aa_keras.export.prediction import Prediction
from aa_keras.export.spec import ServingSpec


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A network in any runtime, with its preprocessing: see `aa_keras.export.load_predictor`.

    Attributes:
        spec: its `ServingSpec`.
        run: function of a uint8 array (batch, *image_shape) that returns the outputs, a dictionary of arrays.
        sum_tolerance: by how much the sum of the probabilities of an image may differ from 1.
        model: the Keras model of normalized images, in float32; None for an export.
    """

    spec: ServingSpec
    run: Callable[[np.ndarray], dict[str, np.ndarray]]
    sum_tolerance: float = SUM_TOLERANCE
    model: keras.Model | None = None

    def predict(self, images: Iterable[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Predicts with a batch of raw images.

        Args:
            images: uint8 arrays (height, width, channels), each of its own size. A network of one channel takes three
                channels too, and makes them grey.

        Returns:
            A dictionary of arrays for each image. Those of a classifier have "probabilities" (classes,). Those of a
            detector have "boxes" (objects, 4), the pixels top, left, bottom and right of the raw image, "confidence"
            (objects,) and "labels" (objects,), the best first.

        Raises:
            UserError: if the network's outputs are not probabilities, or boxes, that are numbers.

        Example:

        >>> predictor = aa_keras.export.load_predictor("runs/digits")
        >>> predictor.predict([image])[0]["probabilities"]
        """
        return self._predict_examples([(image, *self.spec.preprocess(image)) for image in images])

    def predict_files(self, paths: Iterable[str | os.PathLike], batch_size: int = 32) -> Iterator[Prediction]:
        """Predicts with images in files, as many as there are: memory does not grow with them.

        Threads read and resize the next `batch_size` images meanwhile.

        Args:
            paths: paths of the images.
            batch_size: number of files in a batch. The results of a batch depend on it alone, up to the last digit.

        Yields:
            A `Prediction` for each path, in order, also for files that cannot be read, which it has the `error` of.

        Raises:
            UserError: as `predict` does.

        Example:

        >>> for prediction in predictor.predict_files(["one.jpg", "two.jpg"]):
        ...     print(prediction.image, prediction.error or prediction.outputs["probabilities"].argmax())
        """
        read = ImageReader(self.spec.turns_images)

        def example(path):
            try:
                image = read(path)
            except (CorruptImageError, OSError) as error:
                return path, error
            return path, (image, *self.spec.preprocess(image))

        examples = map_in_order(example, paths, ahead=batch_size)
        while batch := list(itertools.islice(examples, batch_size)):
            outputs = iter(self._predict_examples([found for _, found in batch if isinstance(found, tuple)]))
            for path, found in batch:
                if isinstance(found, tuple):
                    yield Prediction(os.fspath(path), found[0].shape[:2], next(outputs))
                else:
                    yield Prediction(os.fspath(path), None, {}, found)

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the outputs of the network, checked, for a uint8 array (batch, *image_shape)."""
        outputs = {name: np.asarray(values) for name, values in self.run(images).items()}
        return self.spec.checked(outputs, self.sum_tolerance)

    def _predict_examples(self, examples):
        """Returns the outputs for triples of a raw image, the same as the network takes it, and its scale."""
        predictions = []
        for batch in _batches(examples):
            outputs = self.outputs(np.stack([fitted for _, fitted, _ in batch]))
            for index, (image, _, scale) in enumerate(batch):
                of_image = {name: values[index] for name, values in outputs.items()}
                predictions.append(self.spec.postprocess(of_image, image, scale))
        return predictions

    def ask(self, images):
        """The former name of `predict`."""
        warnings.warn("Predictor.ask is now called predict", DeprecationWarning, stacklevel=2)
        return self.predict(images)


def _batches(examples):
    """Returns examples in batches of equal shape, in order: all of them in one, or one by one."""
    same = len({fitted.shape for _, fitted, _ in examples}) == 1
    return [examples] if same else [[example] for example in examples]
