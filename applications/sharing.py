"""Folders to share trained networks: a Keras model, its metadata, and a model card."""

import contextlib
import dataclasses
import math
import os
import pathlib
import tempfile

import keras

from aa_keras.errors import described, importing_extra

from .weights_info import CARD, INFO, MODEL, WeightsFolder, WeightsInfo, read_folder, write_info


def save_pretrained(
    model: keras.Model, directory: str | os.PathLike, info: WeightsInfo | None = None, overwrite: bool = False, **fields
) -> WeightsFolder:
    """Writes a network into a folder that a builder's `weights=` takes, with a model card.

    Args:
        model: a network of a builder in `aa_keras.applications`.
        directory: the folder, which is created.
        info: `WeightsInfo`, or None to pass its attributes as `fields`.
        overwrite: whether the contents of the folder may be replaced.
        **fields: attributes of `WeightsInfo`, such as `builder="AAResNet50"`, `scores={"top1": 77.7}` and
            `licence="Apache-2.0"`. For the model of a builder, `builder` and the attributes about images are
            known.

    Returns:
        The folder.

    Raises:
        ValueError: if `model` is not a Keras model, for unknown or invalid fields, and for a folder that is not empty,
            unless `overwrite`.

    Example:

    >>> model = aa_keras.applications.AAWideResNet16_4(weights="cifar100")
    >>> aa_keras.save_pretrained(model, "mine", builder="AAWideResNet16_4", source="my own", licence="MIT")
    >>> aa_keras.applications.AAWideResNet16_4(weights="mine")
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={model!r:.100}")
    known = {field.name for field in dataclasses.fields(WeightsInfo)}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise ValueError(f"The fields of `WeightsInfo` are {', '.join(sorted(known))}. Received: {', '.join(unknown)}")
    if info is None:
        known = {} if {"builder", "source", "mean", "std"} <= set(fields) else _known_of(model)
        info = WeightsInfo(**{**known, **fields})
    elif fields:
        info = dataclasses.replace(info, **fields)
    directory = pathlib.Path(directory).expanduser()
    if directory.exists() and not overwrite and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(
            "`directory` must be a new folder or an empty one, unless overwrite=True. "
            f"Received: directory={str(directory)!r}"
        )
    return save_folder(model, info, directory)


def _known_of(model):
    """Returns the fields of `WeightsInfo` that a builder's network has."""
    fields = {"source": f"a network called {model.name!r}"}
    if not hasattr(model, "builder"):
        raise ValueError(
            "`builder`, `source`, `mean` and `std` must be given for a model that no builder has returned. "
            f"Received: model={model.name!r}, which was loaded or made otherwise"
        )
    begun = getattr(model, "weights_info", None)
    if begun is None:
        return {**fields, "builder": model.builder, "mean": model.dataset.mean, "std": model.dataset.std}
    names = ("mean", "std", "central_fraction", "interpolation")
    return {**fields, "builder": model.builder, **{name: getattr(begun, name) for name in names}}


def save_folder(model, info, directory):
    """Writes the same without checks; it replaces the folder once the new one is whole."""
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


def push_to_hub(directory: str | os.PathLike, repository: str, private: bool = False) -> str:
    """Uploads a folder of `save_pretrained` to the Hugging Face Hub, as the user of `hf auth login`.

    Args:
        directory: the folder.
        repository: name of the repository, "USER/NAME", which is created if it does not exist.
        private: whether a new repository is private.

    Returns:
        The repository's address. A builder takes it as `weights="hf://USER/NAME"`.

    Raises:
        ValueError: for a folder of another kind, and if the hub refuses the upload or cannot be reached.
        ImportError: without the package huggingface_hub, which the extra `timm` installs.
    """
    folder = read_folder(pathlib.Path(directory).expanduser()).folder
    with importing_extra():
        import huggingface_hub
    try:
        api = huggingface_hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=[MODEL, INFO, CARD])
    except Exception as error:  # errors of many kinds: of HTTP, of the system, of the hub
        raise ValueError(
            f"`repository` could not be written: {described(error)}. Received: repository={repository!r}"
        ) from None
    return f"https://huggingface.co/{repository}"


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
    normalizes = any(layer.name == "preprocessing" for layer in model.layers)
    takes = "pixels from 0 to 255" if normalizes else "normalized images"
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
from aa_keras.applications import {info.builder}

# Add the arguments that it was built with, if they are not the builder's defaults.
model = {info.builder}(weights="hf://USER/REPOSITORY", include_preprocessing=True)  # or the path of this folder
outputs = model.predict(images)  # RGB, pixels from 0 to 255
```

`{MODEL}` is the whole network, for `keras.models.load_model`; it takes {takes}. `{INFO}` has the
table above for programs.
{classes}"""


def _numbers(values):
    return ", ".join(f"{value:.6g}" for value in values)
