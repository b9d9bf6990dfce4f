"""Trained networks for others: as a folder, and on the Hugging Face Hub."""

import dataclasses
import os
import pathlib

import keras

from aa_keras.errors import described, importing_extra

from ..builders import BUILDERS
from .architecture import recorded_on
from .folders import save_folder
from .info import CARD, INFO, MODEL, Weights, WeightsInfo, read_folder


def save_pretrained(
    model: keras.Model, directory: str | os.PathLike, info: WeightsInfo | None = None, overwrite: bool = False, **fields
) -> Weights:
    """Writes a network into a folder that `create_model` and a builder's `weights=` take, with a model card.

    Args:
        model: a network of a builder in `aa_keras.applications`.
        directory: the folder, which is created.
        info: `WeightsInfo`, or None to pass its attributes as `fields`.
        overwrite: whether the contents of the folder may be replaced.
        **fields: attributes of `WeightsInfo`, such as `builder="AAResNet50"`, `scores={"top1": 77.7}` and
            `licence="Apache-2.0"`. For the model of a builder, `builder`, its `arguments` and the attributes about
            images are known.

    Returns:
        The `Weights` in the folder.

    Raises:
        ValueError: if `model` is not a Keras model, for unknown or invalid fields, and for a folder that is not empty,
            unless `overwrite`.

    Example:

    >>> model = aa_keras.applications.AAWideResNet16_4(weights="cifar100")
    >>> aa_keras.save_pretrained(model, "mine", source="my own", licence="MIT")
    >>> aa_keras.applications.create_model("mine")
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
    architecture = recorded_on(model)
    if info.arguments is None and architecture is not None and architecture.builder == info.builder:
        info = dataclasses.replace(info, arguments=architecture.arguments)
    directory = pathlib.Path(directory).expanduser()
    if directory.exists() and not overwrite and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(
            "`directory` must be a new folder or an empty one, unless overwrite=True. "
            f"Received: directory={str(directory)!r}"
        )
    return save_folder(model, info, directory)


def _known_of(model):
    """Returns the fields of `WeightsInfo` that a builder's network has."""
    architecture = recorded_on(model)
    if architecture is None:
        raise ValueError(
            "`builder`, `source`, `mean` and `std` must be given for a model that no builder has returned. "
            f"Received: model={model.name!r}, which was loaded or made otherwise"
        )
    begun = getattr(model, "weights_info", None)
    if begun is None:
        dataset = BUILDERS[architecture.builder].definition.family.dataset
        images = {name: getattr(dataset, name) for name in ("mean", "std", "central_fraction")}
    else:
        images = {name: getattr(begun, name) for name in ("mean", "std", "central_fraction", "interpolation")}
    return {"source": f"a network called {model.name!r}", "builder": architecture.builder, **images}


def push_to_hub(directory: str | os.PathLike, repository: str, private: bool = False) -> str:
    """Uploads a folder of `save_pretrained` to the Hugging Face Hub, as the user of `hf auth login`.

    Args:
        directory: the folder.
        repository: name of the repository, "USER/NAME", which is created if it does not exist.
        private: whether a new repository is private.

    Returns:
        The repository's address. `create_model("hf://USER/NAME")` builds the network.

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
