"""A page to explore attention with: one file, which needs neither a network nor a server."""

import html
import importlib.resources
import io
import json
import re
import zlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from aa_keras.explain.embedding import as_base64, png_uri, policy
from aa_keras.explain.measures import mean_attention_distance
from aa_keras.explain.scores import attention_scores, query_strip

MOST_BYTES = 10_000_000
# The largest numbers of queries and keys along each axis: the first that makes the page small enough is used.
SIDES = (16, 12, 8, 6, 4)


def explorer_page(
    model: keras.Model,
    pixels: Any,
    image: np.ndarray,
    predictions: Sequence[tuple[str, float]] = (),
    title: str = "Attention",
    subtitle: str = "",
    layer: str | None = None,
) -> str:
    """Returns a page of HTML that shows where each pixel of an image looks, in each head of each layer.

    The page contains everything, in at most 10 MB. Attention is stored in 8 bits, scaled to the largest value of each
    query. In maps larger than 16x16, and in smaller ones of networks with many layers, queries are thinned and keys are
    summed; the page says so.

    Args:
        model: Keras model with attention, as for `attention_scores`.
        pixels: input of the model: array (1, height, width, channels), preprocessed.
        image: the same image to show, uint8 array (height, width, channels).
        predictions: pairs of a class and its probability, the most probable first.
        title: title of the page.
        subtitle: subtitle of the page.
        layer: name of the layer to show first; None for the first layer.

    Raises:
        ValueError: as `attention_scores`, and if the page cannot be made small enough.
    """
    for side in SIDES:
        scores = attention_scores(model, pixels, queries=side)
        distances = mean_attention_distance(scores)
        layers = [_layer(name, array[0], distances[name], side) for name, array in scores.items()]
        content = {
            "title": title,
            "subtitle": subtitle,
            "about": _about(layers),
            "image": _data_uri(image),
            "size": list(image.shape[:2]),
            "predictions": [{"label": label, "probability": float(share)} for label, share in predictions],
            "layer": list(scores).index(layer) if layer in scores else 0,
            "layers": layers,
        }
        page = _filled(content)
        if len(page.encode()) <= MOST_BYTES:
            return page
    raise ValueError(
        f"The page would have {len(page) / 1e6:.1f} MB: `model` has too many layers, or `image` is too large"
    )


def _layer(name, array, distances, side):
    """Returns the data of a layer in the page, from an array (heads, query height, query width, height, width)."""
    heads, *_, height, width = array.shape
    strips = [query_strip(height, side), query_strip(width, side)]
    for axis, strip in zip((-2, -1), strips, strict=True):
        array = np.add.reduceat(array, np.arange(0, array.shape[axis], strip), axis=axis)
    largest = array.max(axis=(-2, -1), keepdims=True)
    values = np.rint(255 * array / np.maximum(largest, 1e-30)).astype(np.uint8)
    return {
        "name": name,
        "heads": heads,
        "map": [height, width],
        "size": list(array.shape[-2:]),
        "strips": strips,
        "distances": [round(float(distance), 4) for distance in distances],
        "values": as_base64(zlib.compress(values.tobytes(), 9)),
        "largest": as_base64(largest.astype("<f4").tobytes()),
    }


def _about(layers):
    thinned = [layer["name"] for layer in layers if max(layer["strips"]) > 1]
    thinning = (
        f" Of {len(thinned)} of the {len(layers)} layers, queries are thinned and keys summed." if thinned else ""
    )
    return f"Attention of {len(layers)} layers, by aa-keras.{thinning} Each map is scaled to its largest value."


def _filled(content):
    """Returns the page with its content, which cannot end a script, and a policy that allows nothing else."""
    template = importlib.resources.files("aa_keras.explain").joinpath("explorer.html").read_text(encoding="utf-8")
    (style,) = re.findall(r"<style>(.*?)</style>", template, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", template, re.DOTALL)
    data = json.dumps(content).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    parts = {"policy": policy(style, script), "title": html.escape(content["title"]), "data": data}
    return re.sub(r"{{(\w+)}}", lambda match: parts[match.group(1)], template)


def _data_uri(image):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(buffer, "PNG", optimize=True)
    return png_uri(buffer.getvalue())
