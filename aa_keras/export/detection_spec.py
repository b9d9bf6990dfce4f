"""The inputs and outputs of served detectors."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from aa_keras.applications import datasets
from aa_keras.data import DetectionPreprocessing
from aa_keras.export.spec import NO_SCALE, ServingSpec

# The least intersection over union with which two boxes are the same.
SAME_BOX = 0.9
# The least share of a detector's boxes that an export must find.
SAME_BOXES = {"none": 0.99, "float16": 0.9, "int8": 0.5}


@dataclasses.dataclass(frozen=True)
class DetectionSpec(ServingSpec):
    """The inputs and outputs of a detector, which returns boxes in pixels of the raw image.

    Attributes:
        category_ids: the numbers of the classes in COCO's sense, in the same order; () if these are the indices.
    """

    category_ids: tuple[int, ...] = ()

    task: ClassVar = "detection"
    outputs: ClassVar = ("boxes", "confidence", "labels", "num_detections")
    columns: ClassVar = ("image", "class", "label", "score", "left", "top", "right", "bottom")
    decimals: ClassVar = dict.fromkeys(("left", "top", "right", "bottom"), 2)
    quantity: ClassVar = "a probability"
    turns_images: ClassVar = True  # boxes are in the pixels that people see
    draws: ClassVar = True
    preprocessing_type: ClassVar = DetectionPreprocessing
    preprocessing_fields: ClassVar = ("mean", "std", "image_size")

    @classmethod
    def serves(cls, model):
        """Whether a Keras model is a detector of this library."""
        return hasattr(model, "decode_predictions")

    @classmethod
    def count_classes(cls, model):
        """Returns the number of classes of a detector."""
        return model.num_classes

    @classmethod
    def of_network(cls, model, mean, std, class_names, dataset, info):
        """Returns the spec of a network without a recipe; see `ClassificationSpec.of_network`."""
        is_coco = dataset is datasets.COCO and class_names == dataset.class_names
        numbers = tuple(int(number) for number, _ in dataset.identified_classes) if is_coco else ()
        preprocessing = DetectionPreprocessing(mean, std, tuple(model.input_shape[1:3]))
        return cls(class_names, (None, None, len(mean)), preprocessing, numbers)

    def serve(self, model, images):
        """Returns the detections of a detector in raw images, a dictionary of tensors."""
        fitted, scale = self.preprocessing.fit(images) if self.takes_any_size else (images, NO_SCALE)
        pixels = self.preprocessing.normalize(fitted)
        detections = model.decode_predictions(model(pixels, training=False), pixels)
        size = tf.cast(tf.shape(images)[1:3], tf.float32)
        boxes = tf.clip_by_value(detections["boxes"] / scale, 0.0, tf.tile(size, (2,)))
        is_box = detections["labels"][..., None] >= 0
        return {**detections, "boxes": tf.where(is_box, boxes, -1.0)}

    def resize(self, image):
        """Returns a raw image, a tensor, in the size of the network, and the factors of its boxes."""
        return self.preprocessing.fit(image)

    def postprocess(self, outputs, image, scale):
        """Returns the boxes that are in a raw image."""
        number = int(outputs["num_detections"])
        limits = np.float32([*image.shape[:2]] * 2)
        boxes = np.clip(outputs["boxes"][:number] / scale, 0, limits)
        is_seen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not in the padding of the image
        confidence, labels = (outputs[name][:number] for name in ("confidence", "labels"))
        return {"boxes": boxes[is_seen], "confidence": confidence[is_seen], "labels": labels[is_seen]}

    @staticmethod
    def compare(outputs, found):
        """Returns the largest difference in confidence, the share of boxes in both predictions, and their number."""
        confidences, left = [], list(range(len(found["labels"])))
        for box, confidence, label in zip(outputs["boxes"], outputs["confidence"], outputs["labels"], strict=True):
            candidates = [index for index in left if found["labels"][index] == label]
            if not candidates:
                continue
            overlaps = [_overlap(box, found["boxes"][index]) for index in candidates]
            if max(overlaps) >= SAME_BOX:
                index = candidates[int(np.argmax(overlaps))]
                left.remove(index)
                confidences.append(abs(float(confidence) - float(found["confidence"][index])))
        most = max(len(outputs["labels"]), len(found["labels"]))
        return max(confidences, default=0.0), len(confidences) / most if most else 1.0, most

    @staticmethod
    def agreement(same, compared):
        """Returns in words which share of the boxes is the same."""
        return f"{same:.1%} of {compared:,} boxes the same" if compared else "no boxes"

    @staticmethod
    def least_same(quantize):
        """Returns the least share of the boxes that an export must find."""
        return SAME_BOXES[quantize]

    def confident(self, outputs, min_score):
        """Returns the boxes with a score of at least `min_score`."""
        is_confident = outputs["confidence"] >= min_score
        return {name: values[is_confident] for name, values in outputs.items()}

    def is_empty(self, outputs):
        """Whether there are no boxes."""
        return not len(outputs["labels"])

    def seen(self, outputs):
        """Returns the class and the score of each box, the best first."""
        best = np.argsort(-outputs["confidence"], kind="stable")
        return [(int(outputs["labels"][index]), float(outputs["confidence"][index])) for index in best]

    def resized(self, outputs, factor):
        """Returns the boxes in an image whose sides are `factor` times as long."""
        return {**outputs, "boxes": outputs["boxes"] * factor}

    def draw(self, image, outputs, path):
        """Draws the boxes into an image, as a PNG file."""
        from aa_keras.explain.boxes import draw_boxes

        draw_boxes(image, outputs, self.class_names, path)

    def rows(self, predictions, top):
        """Yields a row for each box of each image, the best first."""
        for each in predictions:
            values = (each.outputs[name] for name in ("labels", "confidence", "boxes"))
            for label, score, (above, left, below, right) in zip(*values, strict=True):
                sides = map(float, (left, above, right, below))
                yield each.image, int(label), self.class_names[label], float(score), *sides

    def as_table(self, predictions, top):
        """Returns a row for each box, and one for an image without any."""
        lines = []
        for each in predictions:
            boxes = [
                [label, f"{score:.1%}", *(f"{side:.0f}" for side in box)]
                for _, _, label, score, *box in self.rows([each], top)
            ]
            lines += [[each.image, *box] for box in boxes or [["nothing", *[""] * 5]]]
        return [["image", "class", "score", "left", "top", "right", "bottom"], *lines]

    def as_line(self, prediction, top):
        """Returns the boxes of an image, with its size."""
        (height, width), line = prediction.size, super().as_line(prediction, top)
        return {"image": line["image"], "height": height, "width": width, "predictions": line["predictions"]}

    def as_content(self, predictions, top):
        """Returns the boxes in COCO's format."""
        identifiers = self.category_ids or range(len(self.class_names))
        images, annotations = [], []
        for image, each in enumerate(predictions, 1):
            height, width = each.size
            images.append({"id": image, "file_name": each.image, "height": height, "width": width})
            for _, index, _, score, left, above, right, below in self.rows([each], top):
                bbox = [round(side, 2) for side in (left, above, right - left, below - above)]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": identifiers[index],
                        "bbox": bbox,
                        "area": round(bbox[2] * bbox[3], 2),
                        "iscrowd": 0,
                        "score": round(score, 6),
                    }
                )
        categories = [
            {"id": identifier, "name": name} for identifier, name in zip(identifiers, self.class_names, strict=True)
        ]
        return {"images": images, "categories": categories, "annotations": annotations}


def _overlap(first, second):
    """Returns the intersection over union of two boxes."""
    height, width = np.maximum(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0)
    areas = sum(float(np.prod(box[2:] - box[:2])) for box in (first, second))
    return height * width / max(areas - height * width, 1e-9)
