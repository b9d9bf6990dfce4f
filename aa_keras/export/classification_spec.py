"""The inputs and outputs of served classifiers."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from aa_keras.data import Preprocessing, as_probabilities
from aa_keras.errors import UserError
from aa_keras.export.runtimes import TOP_K
from aa_keras.export.spec import ServingSpec


@dataclasses.dataclass(frozen=True)
class ClassificationSpec(ServingSpec):
    """The inputs and outputs of a classifier, which returns the probabilities of its classes."""

    task: ClassVar = "classification"
    outputs: ClassVar = ("probabilities",)
    columns: ClassVar = ("image", "rank", "class", "label", "probability")
    quantity: ClassVar = "a probability"

    @classmethod
    def serves(cls, model):
        """Whether a Keras model without a recipe is a classifier, as all are that no other task serves."""
        return True

    @classmethod
    def count_classes(cls, model):
        """Returns the number of classes of a classifier: a single output, that of a sigmoid, is for two."""
        if not isinstance(model.output_shape, tuple) or len(model.output_shape) != 2 or not model.output_shape[1]:
            raise UserError(
                f"The network must return probabilities (batch, classes). {model.name!r} returns {model.output_shape}: "
                "was it built without a top?"
            )
        return max(model.output_shape[1], 2)

    @classmethod
    def of_network(cls, model, mean, std, class_names, dataset, info):
        """Returns the spec of a network without a recipe.

        Args:
            model: the Keras model.
            mean: mean of each channel, for pixels in [0, 255].
            std: standard deviation of each channel, likewise.
            class_names: names of the classes.
            dataset: `aa_keras.applications.datasets.Dataset` that it is for, or None.
            info: `WeightsInfo` of its weights, or None.
        """
        size = tuple(model.input_shape[1:3])
        fraction = 1.0 if dataset is None else dataset.central_fraction
        preprocessing = Preprocessing(mean, std, image_size=None if None in size else size, central_fraction=fraction)
        if info is not None:
            preprocessing = dataclasses.replace(
                preprocessing, central_fraction=info.central_fraction, interpolation=info.interpolation
            )
        return cls(class_names, model.input_shape[1:], preprocessing)

    def named(self, outputs):
        """Returns the probabilities that a model returns as a dictionary, those of a sigmoid for two classes."""
        is_single = outputs.shape[-1] == 1  # for the second of two classes
        return {"probabilities": tf.concat([1 - outputs, outputs], axis=-1) if is_single else outputs}

    def signatures(self, model):
        """Returns the signatures of a SavedModel; "top_k" has the most probable classes, with their names."""

        def top(images):
            count = min(5, len(self.class_names))
            probabilities, indices = tf.math.top_k(self.serve(model, images)["probabilities"], count)
            return {"probabilities": probabilities, "labels": tf.gather(tf.constant(self.class_names), indices)}

        return {**super().signatures(model), TOP_K: top}

    def checked(self, outputs, sum_tolerance):
        """Returns the outputs for a batch; raises UserError if they are not probabilities."""
        return {"probabilities": as_probabilities(outputs["probabilities"], sum_tolerance)}

    @staticmethod
    def compare(outputs, found):
        """Returns the largest difference of a probability, whether the best class is the same, and 1."""
        first, second = outputs["probabilities"], found["probabilities"]
        return float(np.abs(first - second).max()), np.argmax(first) == np.argmax(second), 1

    @staticmethod
    def agreement(same, compared):
        """Returns in words in how many images the best class is the same."""
        return f"{same:.1%} of the best classes the same"

    def seen(self, outputs):
        """Returns the classes with their probabilities, the most probable first."""
        probabilities = outputs["probabilities"]
        return [(int(index), float(probabilities[index])) for index in np.argsort(-probabilities, kind="stable")]

    def rows(self, predictions, top):
        """Yields a row for each of the `top` most probable classes of each image."""
        for each in predictions:
            for rank, (index, probability) in enumerate(self.seen(each.outputs)[:top], 1):
                yield each.image, rank, index, self.class_names[index], probability

    def as_table(self, predictions, top):
        """Returns a row for each image."""
        lines = []
        for each in predictions:
            best = self.seen(each.outputs)[:top]
            lines.append([each.image, *(f"{self.class_names[index]} {share:.1%}" for index, share in best)])
        return [["image", *(str(rank + 1) for rank in range(len(lines[0]) - 1))], *lines]

    def as_content(self, predictions, top):
        """Returns a list with the `top` predictions of each image."""
        return [self.as_line(each, top) for each in predictions]

    def as_line(self, prediction, top):
        """Returns the `top` predictions of an image."""
        best = [
            {"class": index, "label": label, "probability": round(probability, 6)}
            for _, _, index, label, probability in self.rows([prediction], top)
        ]
        return {"image": prediction.image, "predictions": best}
