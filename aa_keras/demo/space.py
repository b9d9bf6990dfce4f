"""The page as a folder of its own: to be started elsewhere, or pushed to a Hugging Face Space."""

import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import aa_keras
from aa_keras import applications
from aa_keras.data.image_files import find_images
from aa_keras.demo.serving import MAX_EXAMPLES
from aa_keras.errors import UserError, require_package
from aa_keras.export import Predictor
from aa_keras.export.saved_model import SPEC

PACKAGE = "aa-keras"
# Its own requirements are those of the page; of the others, the page needs what the network has imported.
EXTRAS = {"train", "demo"}
RUNTIMES = {"keras-hub", "onnxruntime", "ai-edge-litert"}
# The names of the copies of exports; a Keras network becomes a folder.
NETWORKS = {"saved_model": "network", "onnx": "network.onnx", "litert": "network.tflite"}
APP = '''\
"""A page to try a network: `pip install -r requirements.txt`, then `python app.py`."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # keeps TensorFlow quiet

from aa_keras.demo import serve
from aa_keras.export import load_predictor

folder = pathlib.Path(__file__).parent
serve(
    load_predictor(folder / "{network}"),
    title={title},
    about=(folder / "about.md").read_text(encoding="utf-8"),
    examples={examples},
)
'''
# What a Space reads about itself.
README = """\
---
title: {title}
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
---

A page to try a network, by aa_keras: `pip install -r requirements.txt`, then `python app.py`. The folder `aa_keras` is
the library, under the Apache License 2.0.
"""


def save_space(
    folder: str | os.PathLike,
    predictor: Predictor,
    title: str,
    about: str,
    examples: str | os.PathLike | None = None,
    export: tuple[str, str | os.PathLike] | None = None,
) -> pathlib.Path:
    """Writes a folder with everything that the page of a network needs: `python app.py` starts it.

    Args:
        folder: a new folder, or an empty one.
        predictor: the `Predictor` of the network.
        title: title of the page.
        about: what the network is, in Markdown.
        examples: folder of images to try, or None.
        export: for an export, its kind ("saved_model", "onnx" or "litert") and its path; None for a Keras network.

    Returns:
        The folder.

    Raises:
        UserError: if the folder has files, or the library is not installed.
        ModuleNotFoundError: without Gradio, which the extra `demo` installs.
    """
    require_package("gradio")
    folder = pathlib.Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"save must be a new folder, or an empty one. Received: save={folder}")
    requirements = _requirements()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        whole = pathlib.Path(temporary) / "whole"
        whole.mkdir()
        network = _copy_network(whole, predictor, export)
        if examples is not None:
            (whole / "examples").mkdir()
            for number, path in enumerate(find_images([pathlib.Path(examples)])[:MAX_EXAMPLES], 1):
                shutil.copyfile(path, whole / "examples" / f"{number:02}_{pathlib.Path(path).name}")
        _copy_library(whole)
        shown = 'folder / "examples"' if examples is not None else "None"
        texts = {
            "app.py": APP.format(network=network, title=json.dumps(title), examples=shown),
            "about.md": f"{about}\n",
            "requirements.txt": "".join(f"{line}\n" for line in requirements),
            "README.md": _readme(title),
        }
        for name, text in texts.items():
            (whole / name).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        whole.rename(folder)
    return folder


def _copy_network(folder, predictor, export):
    """Writes the network into a folder, and returns its name there."""
    if export is None:
        (folder / "network").mkdir()
        predictor.model.save(folder / "network" / "model.keras")
        (folder / "network" / SPEC).write_text(f"{predictor.spec.as_json()}\n", encoding="utf-8")
        return "network"
    kind, path = export
    copy = shutil.copytree if kind == "saved_model" else shutil.copyfile
    copy(path, folder / NETWORKS[kind])
    return NETWORKS[kind]


def _copy_library(folder):
    """Copies the library, without trained weights, and its license: no index of packages has it yet."""
    unneeded = shutil.ignore_patterns("__pycache__", "trained")
    library = pathlib.Path(aa_keras.__file__).parent
    shutil.copytree(library, folder / "aa_keras", ignore=shutil.ignore_patterns("__pycache__", "applications"))
    shutil.copytree(pathlib.Path(applications.__file__).parent, folder / "aa_keras" / "applications", ignore=unneeded)
    license_text = importlib.metadata.distribution(PACKAGE).read_text("licenses/LICENSE")
    if license_text is None:  # in a checkout
        license_text = (library.parent / "LICENSE").read_text(encoding="utf-8")
    (folder / "aa_keras" / "LICENSE").write_text(license_text, encoding="utf-8")


def _requirements():
    """Returns the lines of requirements.txt: what the page runs with here, in the same versions."""
    try:
        installed = importlib.metadata.metadata(PACKAGE)
        known = set(installed.get_all("Provides-Extra", ()))
    except importlib.metadata.PackageNotFoundError:
        known = set()
    if not known >= EXTRAS:  # it may be an earlier version
        raise UserError("save needs this version of the library to be installed: pip install . in its clone")
    lines = set()
    for line in installed.get_all("Requires-Dist"):
        name, extra = re.match(r"[\w.-]+", line)[0], re.search(r"""extra == ['"]([\w-]+)""", line)
        is_of_runtime = name in RUNTIMES and name.replace("-", "_") in sys.modules
        if extra is None or extra[1] in EXTRAS or is_of_runtime:
            lines.add(f"{name}=={importlib.metadata.version(name)}")
    return sorted(lines)


def _readme(title):
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return README.format(title=json.dumps(title), gradio=importlib.metadata.version("gradio"), python=python)
