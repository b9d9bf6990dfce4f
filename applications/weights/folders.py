"""Folders of trained weights: a Keras model, its metadata, and a model card."""

import contextlib
import math
import pathlib
import tempfile

from ..blocks import normalizes_pixels
from .info import CARD, INFO, MODEL, read_folder, write_info

# What stands for the repository in a model card.
REPOSITORY = "hf://USER/REPOSITORY"


def save_folder(model, info, directory):
    """Writes a network into a folder, which it replaces once the new one is whole; returns the `Weights` in it.

    Args:
        model: the Keras model.
        info: its `WeightsInfo`.
        directory: the folder.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as temporary:
        partial = pathlib.Path(temporary) / "whole"
        partial.mkdir()
        model.save(partial / MODEL)
        write_info(partial, info)
        (partial / CARD).write_text(model_card(model, info), encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):
            directory.rename(pathlib.Path(temporary) / "before")
        try:
            partial.rename(directory)
        except OSError:
            if not (directory / INFO).is_file():  # otherwise another process, which converts the same, was faster
                raise
    return read_folder(directory)


def model_card(model, info):
    """Returns the model card of weights, in Markdown with the header that the Hugging Face Hub reads."""
    size = "x".join("any" if length is None else str(length) for length in model.input_shape[1:])
    rows = [
        ("Builder", f"`aa_keras.applications.{info.builder}`"),
        ("Source", info.source),
        ("Licence", info.licence or "not known"),
        ("Trained parameters", f"{sum(math.prod(weight.shape) for weight in model.trainable_weights):,}"),
        ("Images", f"{size}, {info.interpolation}, central fraction {info.central_fraction}"),
        ("Mean and deviation of pixels in [0, 255]", f"{_numbers(info.mean)}; {_numbers(info.std)}"),
        *((f"{name} (%)", f"{score:g}") for name, score in info.scores.items()),
        *([("Measured by", info.reported)] if info.reported else []),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    licence = f"license: {info.licence.lower()}\n" if info.licence else ""
    task = getattr(model, "pipeline_tag", "image-classification")
    takes = "pixels from 0 to 255" if normalizes_pixels(model) else "normalized images"
    classes = f"\n## Classes\n\n{', '.join(info.class_names)}\n" if info.class_names else ""
    return f"""---
library_name: keras
{licence}pipeline_tag: {task}
tags: [aa_keras]
---
# {info.builder}

| | |
| --- | --- |
{table}

## Use

```python
{_example(model, info)}```

`{MODEL}` is the whole network, for `keras.models.load_model`; it takes {takes}. `{INFO}` has the
table above for programs.
{classes}"""


def _example(model, info):
    """Returns the code of a model card: a whole program, which needs a photograph alone."""
    height, width = (length or 224 for length in model.input_shape[1:3])
    name, weights, note = "create_model", f'"{REPOSITORY}"', ""
    if info.arguments is None:
        name, weights = info.builder, f'weights="{REPOSITORY}"'
        note = "# Add the arguments that it was built with, if they are not the builder's defaults.\n"
    return f'''import keras
import numpy as np

from aa_keras.applications import {name}

{note}model = {name}({weights}, include_preprocessing=True)  # or the path of this folder
image = keras.utils.load_img(
    "photograph.jpg",
    color_mode="{"grayscale" if len(info.mean) == 1 else "rgb"}",
    target_size=({height}, {width}),
    interpolation="{info.interpolation}",
)
pixels = keras.utils.img_to_array(image)[np.newaxis]  # from 0 to 255
outputs = model.predict(pixels)
'''


def _numbers(values):
    return ", ".join(f"{value:.6g}" for value in values)
