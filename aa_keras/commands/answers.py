"""The answers of a network for images, as a table, CSV or JSON."""

import csv
import dataclasses
import io
import json

import numpy as np


@dataclasses.dataclass(frozen=True)
class Answered:
    """The answer of a network for an image.

    Attributes:
        image: the path of the image.
        size: its (height, width).
        answer: a dictionary of arrays: see `aa_keras.export.Predictor.ask`.
    """

    image: str
    size: tuple[int, int]
    answer: dict[str, np.ndarray]


def table(spec, answered, top):
    """Returns a table: one line for each image with its `top` most probable classes, or one for each box.

    Args:
        spec: the network's `ServingSpec`.
        answered: list of each `Answered`.
        top: number of classes to print.
    """
    if spec.task == "classification":
        rows = [
            [each.image, *(f"{label} {probability:.1%}" for _, label, probability in _best(spec, each, top))]
            for each in answered
        ]
        return _aligned([["image", *(str(rank + 1) for rank in range(len(rows[0]) - 1))], *rows])
    rows = []
    for each in answered:
        boxes = [
            [label, f"{score:.1%}", *(f"{side:.0f}" for side in box)] for _, label, score, *box in _boxes(spec, each)
        ]
        rows += [[each.image, *box] for box in boxes or [["nothing", *[""] * 5]]]
    return _aligned([["image", "class", "score", "left", "top", "right", "bottom"], *rows])


def as_csv(spec, answered, top):
    """Returns the same as CSV, one line for each class or box; the arguments are those of `table`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if spec.task == "classification":
        writer.writerow(["image", "rank", "class", "label", "probability"])
        for each in answered:
            for rank, (index, label, probability) in enumerate(_best(spec, each, top), 1):
                writer.writerow([each.image, rank, index, label, f"{probability:.6f}"])
    else:
        writer.writerow(["image", "class", "label", "score", "left", "top", "right", "bottom"])
        for each in answered:
            for index, label, score, *box in _boxes(spec, each):
                writer.writerow([each.image, index, label, f"{score:.6f}", *(f"{side:.2f}" for side in box)])
    return text.getvalue()


def as_json(spec, answered, top):
    """Returns the same as JSON, in COCO's format for a detector; the arguments are those of `table`."""
    if spec.task == "classification":
        content = [
            {
                "image": each.image,
                "predictions": [
                    {"class": index, "label": label, "probability": round(probability, 6)}
                    for index, label, probability in _best(spec, each, top)
                ],
            }
            for each in answered
        ]
        return json.dumps(content, indent=1) + "\n"
    identifiers = spec.category_ids or range(len(spec.class_names))
    content = {
        "images": [
            {"id": number, "file_name": each.image, "height": each.size[0], "width": each.size[1]}
            for number, each in enumerate(answered, 1)
        ],
        "categories": [
            {"id": identifier, "name": name} for identifier, name in zip(identifiers, spec.class_names, strict=True)
        ],
        "annotations": [],
    }
    for image, each in enumerate(answered, 1):
        for index, _, score, left, top_edge, right, bottom in _boxes(spec, each):
            bbox = [round(side, 2) for side in (left, top_edge, right - left, bottom - top_edge)]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image,
                    "category_id": identifiers[index],
                    "bbox": bbox,
                    "area": round(bbox[2] * bbox[3], 2),
                    "iscrowd": 0,
                    "score": round(score, 6),
                }
            )
    return json.dumps(content, indent=1) + "\n"


FORMATS = {".csv": as_csv, ".json": as_json}


def _best(spec, answered, top):
    """Returns the most probable classes: (index, label, probability), the highest first."""
    probabilities = answered.answer["probabilities"]
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [(int(index), spec.class_names[index], float(probabilities[index])) for index in best]


def _boxes(spec, answered):
    """Returns boxes: (index, label, score, left, top, right, bottom), the best first."""
    answer = answered.answer
    return [
        (int(label), spec.class_names[label], float(score), float(left), float(top), float(right), float(bottom))
        for label, score, (top, left, bottom, right) in zip(
            answer["labels"], answer["confidence"], answer["boxes"], strict=True
        )
    ]


def _aligned(rows):
    """Returns rows of text as lines, their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
