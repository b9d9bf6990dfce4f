"""The answers of a network for images, as a table, CSV or JSON."""

import csv
import io
import json

from aa_keras.export.spec import Answered

__all__ = ["FORMATS", "Answered", "as_csv", "as_json", "table"]


def table(spec, answered, top):
    """Returns a table: one line for each image with its `top` most probable classes, or one for each box.

    Args:
        spec: the network's `ServingSpec`.
        answered: list of each `Answered`.
        top: number of classes to print.
    """
    rows = spec.as_table(answered, top)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_csv(spec, answered, top):
    """Returns the same as CSV, one line for each class or box; the arguments are those of `table`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(spec.as_texts(answered, top))
    return text.getvalue()


def as_json(spec, answered, top):
    """Returns the same as JSON, in COCO's format for a detector; the arguments are those of `table`."""
    return json.dumps(spec.as_content(answered, top), indent=1) + "\n"


FORMATS = {".csv": as_csv, ".json": as_json}
