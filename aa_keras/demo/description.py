"""What a network is, in a few lines for the page."""

import math
import re

from aa_keras.export import Predictor

MAX_NAMES = 20


def describe(predictor: Predictor, source: str, accuracy: str = "", size: int | None = None) -> str:
    """Returns what a network is, as a list in Markdown.

    Args:
        predictor: its `Predictor`.
        source: its name, such as that of its run.
        accuracy: its accuracy in words, or "" if it is not known.
        size: number of bytes of an export, or None.
    """
    spec, model = predictor.spec, predictor.model
    lines = {"Network": as_markdown(source), "Accuracy": as_markdown(accuracy) or "not recorded"}
    if model is not None:
        lines["Parameters"] = f"{sum(math.prod(weight.shape) for weight in model.trainable_weights):,}"
    if size is not None:
        lines["Size"] = f"{size / 1e6:.1f} MB"
    lines["Images"] = _images(spec)
    if spec.class_names:
        names = spec.class_names[:MAX_NAMES]
        more = ", ..." if len(spec.class_names) > len(names) else ""
        lines["Classes"] = f"{len(spec.class_names):,}: {', '.join(map(as_markdown, names))}{more}"
    return "\n".join(f"- **{name}**: {text}" for name, text in lines.items())


def as_markdown(text: str) -> str:
    """Returns a text for Markdown in which no character has a meaning: names may be those of a stranger."""
    return re.sub(r"([\\`*_{}\[\]<>#!|~$&])", r"\\\1", " ".join(text.split()))


def _images(spec):
    height, width, channels = spec.image_shape
    color = "in shades of gray" if channels == 1 else "in color"
    size = spec.preprocessing.image_size if spec.takes_any_size else (height, width)
    if size is None or None in size:
        return f"any size, {color}"
    return f"{size[0]}x{size[1]} pixels, {color}; others are resized"
