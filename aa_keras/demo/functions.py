"""What the page does with a network: functions of the file of an image, which know nothing of the page."""

import dataclasses
import functools
import io
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from aa_keras import explain
from aa_keras.data.decoding import CorruptImageError, has_more_pixels
from aa_keras.data.reading import ImageReader
from aa_keras.errors import UserError, described, is_number
from aa_keras.explain.overlays import enlarged, overlay, with_query
from aa_keras.explain.scores import attention_layers, attention_map_sizes, deepest_of_largest
from aa_keras.export import Prediction, Predictor

# The number of classes to show.
TOP = 5
MAX_PIXELS = 50_000_000
# The longer side of the picture with boxes: that of a photograph would take seconds to draw.
MAX_SIDE = 1024
# The least longer side of the pictures of all heads.
SMALL_SIDE = 160
# Numbers of images, and of maps of attention, that are kept: a click on a picture does not predict again.
KEPT = 16


@dataclasses.dataclass(frozen=True)
class SeenImage:
    """An image, and what the network predicts for it.

    Attributes:
        image: uint8 array (height, width, 3) of at most `MAX_SIDE` pixels a side.
        fitted: uint8 array of the network's input shape; None for an export, which nothing explains.
        prediction: the `Prediction`, in pixels of the whole image.
    """

    image: np.ndarray
    fitted: np.ndarray | None
    prediction: Prediction


class PageFunctions:
    """What the page does with a network. Images are named by the paths of their files, whose content never changes.

    Args:
        predictor: the `Predictor`. Only one of a Keras network, not that of an export, explains its predictions.

    Attributes:
        spec: its `ServingSpec`.
        names: names of its classes, each one another.
        layers: sizes of the maps of its attention layers by name; empty if it has none, or is an export.
        layer: the layer to show first, or None.
        heads: the largest number of heads of a layer.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self.spec: Any = predictor.spec  # which has `draw` if it `draws`
        self._model = predictor.model
        self._read = ImageReader(self.spec.turns_images)
        self.seen = functools.lru_cache(KEPT)(self._seen)
        self._attention = functools.lru_cache(KEPT)(self._attention_of)
        names = self.spec.class_names
        self.names = [name if names.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(names)]
        self.layers: dict[str, tuple[int, int]] = {}
        self.heads = 0
        if self._model is not None:
            self.heads = max((layer.num_heads for layer in attention_layers(self._model).values()), default=0)
            blank = np.zeros([length or 64 for length in self._model.input_shape[1:]], np.uint8)
            self.layers = attention_map_sizes(self._model, self._pixels(blank))
        self.layer = deepest_of_largest(self.layers) if self.layers else None

    @property
    def explains(self) -> bool:
        """Whether the network can be explained: exports cannot."""
        return self._model is not None

    def classes(self, path: str) -> list[tuple[int, float]]:
        """Returns the classes with their best scores, the best first."""
        return self.spec.best_of_each(self.seen(path).prediction.outputs)

    def predictions(self, path: str, min_score: float) -> list[dict]:
        """Returns the predictions for an image as `aa-keras predict` writes them: classes, or boxes.

        Raises:
            UserError: if `min_score` is not a number from 0 to 1.
        """
        if not is_number(min_score) or not 0 <= min_score <= 1:
            raise UserError(f"min_score must be a number from 0 to 1. Received: min_score={min_score!r:.100}")
        prediction = self.seen(path).prediction
        outputs = self.spec.confident(prediction.outputs, min_score)
        return self.spec.as_line(dataclasses.replace(prediction, outputs=outputs), TOP)["predictions"]

    def drawn(self, path: str, min_score: float) -> np.ndarray:
        """Returns the image with its boxes, a uint8 array (height, width, 3), if the task `draws`."""
        seen = self.seen(path)
        outputs = self.spec.confident(seen.prediction.outputs, min_score)
        outputs = self.spec.resized(outputs, seen.image.shape[0] / seen.prediction.size[0])
        picture = io.BytesIO()
        self.spec.draw(seen.image, outputs, picture)
        return np.asarray(Image.open(picture).convert("RGB"))

    def shown_size(self, path: str) -> tuple[int, int]:
        """Returns the (height, width) of the pictures of `grad_cam` and of `attention`."""
        height, width, _ = enlarged(self.seen(path).fitted).shape
        return height, width

    def grad_cam(self, path: str, number: int) -> np.ndarray:
        """Returns the image as the network takes it, with what speaks for a class: a uint8 array (height, width, 3).

        Raises:
            UserError: for a network that Grad-CAM does not explain.
        """
        fitted = self.seen(path).fitted
        try:
            values = explain.grad_cam(self._model, self._pixels(fitted), number)[0]
        except ValueError as error:
            raise UserError(f"Grad-CAM does not explain this network: {described(error)}") from None
        return overlay(enlarged(fitted), values, smooth=True)

    def attention(
        self, path: str, layer: str, head: int, pixel: tuple[float, float]
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, str]]]:
        """Returns where a pixel looks.

        Args:
            path: the file of the image.
            layer: the name of a layer.
            head: number of a head of it, from 0; the last one if it has fewer.
            pixel: its place, (y, x) in parts of the height and of the width.

        Returns:
            The attention of the head over the image as the network takes it, and a list of pairs: a smaller picture of
            each head, and its number with its largest attention.
        """
        fitted = self.seen(path).fitted
        sides = zip(pixel, fitted.shape[:2], strict=True)
        y, x = (min(int(part * length), length - 1) for part, length in sides)
        maps = self._attention(path, layer, y, x)
        size = maps.shape[1:]
        query = tuple(place * cells // length for place, cells, length in zip((y, x), size, fitted.shape, strict=False))
        largest = np.maximum(maps.max(axis=(1, 2)), 1e-12)

        def picture(image, number):
            return with_query(overlay(image, maps[number] / largest[number]), query, size)

        small = enlarged(fitted, SMALL_SIDE)
        captions = [f"{number}: {100 * share:.3g} %" for number, share in enumerate(largest, 1)]
        pictures = [(picture(small, number), caption) for number, caption in enumerate(captions)]
        return picture(enlarged(fitted), min(head, len(maps) - 1)), pictures

    def _seen(self, path):
        name = pathlib.Path(path).name
        try:
            encoded = pathlib.Path(path).read_bytes()
        except OSError:
            raise UserError(f"{name} is not there any more: upload it again") from None
        if has_more_pixels(encoded, MAX_PIXELS):
            raise UserError(f"{name} has more than {MAX_PIXELS // 10**6} megapixels: make it smaller")
        try:
            image = self._read.decode(name, encoded)
        except CorruptImageError as error:
            raise UserError(f"{name} cannot be read: {error}") from None
        fitted = self.spec.preprocess(image)[0] if self.explains else None
        (outputs,) = self._predictor.predict([image])
        prediction = Prediction(name, image.shape[:2], outputs)
        factor = MAX_SIDE / max(image.shape[:2])
        if factor < 1:
            height, width = (max(1, round(factor * length)) for length in image.shape[:2])
            image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
        return SeenImage(image, fitted, prediction)

    def _attention_of(self, path, layer, y, x):
        """Returns the attention of a pixel in a layer, an array (heads, map height, map width)."""
        pixels = self._pixels(self.seen(path).fitted)
        return explain.attention_at(self._model, pixels, [(y, x)], [layer])[layer][0, :, 0]

    def _pixels(self, fitted):
        return np.asarray(self.spec.preprocessing.normalize(tf.constant(fitted[None])))
