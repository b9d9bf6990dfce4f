"""Finds the trained network that flags name."""

import ast
import contextlib
import inspect
import os
import pathlib
import re
import sys

import keras
import tensorflow as tf

from aa_keras import applications
from aa_keras._keras_compat import all_layers
from aa_keras.applications import pretrained
from aa_keras.data import Progress
from aa_keras.errors import UserError, described
from aa_keras.export import Predictor, Servable, servable_for
from aa_keras.export.loading import load_export, servable_of_weights, servable_with, weights_at
from aa_keras.export.servable import DATASETS, drawn_images
from aa_keras.files import local_path, read_fields, read_json, read_text
from aa_keras.recipes.fields import default_config
from aa_keras.tasks import task_for, task_type
from aa_keras.training.run_directory import is_run

# The flags of exports.
EXPORTS = ("saved_model", "onnx", "litert")
# Arguments of the library's functions that flags set, in a message.
_ARGUMENTS = "class_names|calibration|dataset|format|host|output|overwrite|path|port|quantize|save|size|tolerance"
_ARGUMENT = re.compile(rf"(?<![\w.`-])({_ARGUMENTS})(?==| must| could| is for| is given)")


@contextlib.contextmanager
def naming_flags(path="path"):
    """A context in which errors about arguments of the library's functions name the flags that set them.

    Args:
        path: the name of the flag that sets `path`.
    """
    names = {"class_names": "labels", "path": path}
    try:
        yield
    except UserError as error:
        raise UserError(_ARGUMENT.sub(lambda found: f"--{names.get(found[1], found[1])}", str(error))) from None


def named_network(**flags):
    """Returns the name and the value of the one flag that is given, of those that name a network, or raises UserError.

    Args:
        **flags: their values, or None.
    """
    given = [(name, value) for name, value in flags.items() if value is not None]
    if len(given) != 1:
        *names, last = (f"--{name}" for name in flags)
        raise UserError(f"exactly one of {', '.join(names)} and {last} must be given")
    return given[0]


def predictor_of_flags(name, value, weights=None, dataset=None, labels=None) -> Predictor:
    """Returns the `Predictor` of the network that a flag names; further arguments are those of `servable_of_flags`."""
    if name in EXPORTS:
        with naming_flags(path=name):
            return load_export(name, local_path(f"--{name}", value))
    return servable_of_flags(**{name: value}, weights=weights, dataset=dataset, labels=labels).predictor()


def servable_of_flags(workdir=None, model=None, builder=None, weights=None, dataset=None, labels=None) -> Servable:
    """Returns the network that exactly one of --workdir, --model and --builder names, or raises UserError.

    Args:
        workdir: the flag's value, or None.
        model: likewise.
        builder: likewise.
        weights: likewise, for --builder.
        dataset: likewise, for --model and --builder.
        labels: likewise.
    """
    named_network(workdir=workdir, model=model, builder=builder)
    check_companions(builder, weights, model, dataset, labels)
    class_names = read_labels(labels)
    with naming_flags(path="model"):
        if workdir is not None:
            return servable_of_run(workdir)
        if model is not None:
            return servable_of_file(model, dataset, class_names)
        return servable_of_builder(builder, weights, dataset, class_names)


def check_companions(builder, weights, model, dataset, labels):
    """Raises UserError for a flag that goes with another one, which is not given."""
    if weights is not None and builder is None:
        raise UserError("--weights goes with --builder")
    if model is None and builder is None and (dataset is not None or labels is not None):
        raise UserError("--dataset and --labels go with --model or --builder: others have their own")


def config_of_run(workdir):
    """Returns the config of a run directory, or raises UserError."""
    path = pathlib.Path(workdir) / "config.json"
    content = read_json(path) if path.is_file() else None
    if not is_run(workdir):
        raise UserError(f"There is no run in {os.fspath(workdir)!r}: it has no config.json that train.py wrote")
    config = default_config()
    try:
        with config.ignore_type():  # JSON has no tuples
            config.update(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"The run in {os.fspath(workdir)!r} is not of this version: {described(error)}") from None
    return config


def data_of_run(folder, config):
    """Returns the data of the run in a folder, and the names of its classes; None, None where they are not known.

    Args:
        folder: the folder, with a run or not.
        config: the config of its network.
    """
    path = pathlib.Path(folder) / "data.json"
    if not is_run(folder) or not path.is_file():
        return None, None
    task = task_type(config)
    data = read_fields(path, task.data_fields)
    return data, task.class_names_of(data)


def model_file_of_run(workdir):
    """Returns the path of the last network of a run, or raises UserError if the run is not finished."""
    path = pathlib.Path(workdir) / "model.keras"
    if not path.is_file():
        raise UserError(f"The run in {os.fspath(workdir)!r} is not finished: train with the same command to resume it")
    return path


def servable_of_run(workdir, model_file=None) -> Servable:
    """Returns a network of a run, ready to serve. The data of the run are not needed.

    Args:
        workdir: the run directory.
        model_file: the file of the network; None takes the last one of the run.
    """
    workdir = local_path("--workdir", workdir)
    config = config_of_run(workdir)
    task = task_for(config)
    data = read_fields(pathlib.Path(workdir) / "data.json", task.data_fields)
    return servable_with(model_file or model_file_of_run(workdir), lambda model: task.spec(model, data))


def servable_of_file(path, dataset=None, class_names=None) -> Servable:
    """Returns the network of a `.keras` file; in a run directory, it belongs to the run unless `dataset` is given.

    Args:
        path: the file, a folder that `aa_keras.save_pretrained` wrote, or "hf://USER/REPOSITORY".
        dataset: see `aa_keras.export.servable_for`.
        class_names: likewise.
    """
    weights = weights_at(path)
    if dataset is None and weights.info is None and is_run(weights.folder.resolve()):  # maybe of an earlier version
        servable = servable_of_run(weights.folder.resolve(), weights.path)
        return servable if class_names is None else servable.with_class_names(class_names)
    servable = servable_of_weights(weights, dataset, class_names)
    if dataset is None and weights.info is None and any(servable.spec.preprocessing.mean):
        note = f"{path}: images are normalized as for the network {servable.model.name!r}; --dataset overrides this"
        print(note, file=sys.stderr)
    return servable


def servable_of_builder(call, weights=None, dataset=None, class_names=None) -> Servable:
    """Returns a network of the library.

    Args:
        call: name of its builder, such as "AAResNet50", or a call of it, such as "AAMnasNet(alpha=1.0)".
        weights: name or path of its weights. None gives it random weights, and batch statistics of random images, so
            that its outputs have a usual size.
        dataset: see `aa_keras.export.servable_for`; None takes that of the weights, or that of the builder.
        class_names: see `aa_keras.export.servable_for`.
    """
    name, arguments, keywords = _parsed(call)
    if weights is not None:
        keywords["weights"] = weights
    try:
        known = inspect.signature(getattr(applications, name, lambda: None)).parameters
        model = applications.create_model(name, **dict(zip(known, arguments, strict=False)), **keywords)
    except (TypeError, ValueError) as error:
        raise UserError(f"--builder={call}: {error}") from None
    if dataset is None:
        entry = pretrained.named(name, weights)
        dataset = entry.name if entry is not None and entry.name in DATASETS else None
    servable = servable_for(model, dataset, class_names)
    if keywords.get("weights") is None:
        print(f"{name} has random weights, and batch statistics of random images: --weights sets trained ones")
        set_batch_statistics(servable)
    return servable


def _parsed(call):
    """Returns "Name(1, b=2)" as a name, a list of values and a dictionary of values."""
    try:
        node = ast.parse(call.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, [], {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
            return node.func.id, [ast.literal_eval(value) for value in node.args], keywords
    except (SyntaxError, ValueError):
        pass
    raise UserError(
        "--builder must be the name of a network, such as AAResNet50, or a call of it, such as 'AAMnasNet(alpha=1.0)'. "
        f"Received: --builder={call}"
    )


def set_batch_statistics(servable):
    """Sets the batch statistics of an untrained network to those of random images.

    With the initial statistics, its outputs would grow from block to block until rounding decides them.
    """
    model = servable.model
    height, width, channels = (length or 64 for length in model.input_shape[1:])
    count = max(4, min(32, 32 * 224**2 // (height * width)))  # a small batch, to save memory
    images = servable.spec.preprocessing.normalize(tf.constant(drawn_images((height, width), channels, count)))
    normalizations = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0
    with Progress("Setting batch statistics"):
        model(images, training=True)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum


def read_labels(path):
    """Returns the names of classes in a file, one on each line."""
    if path is None:
        return None
    path = local_path("--labels", path)
    try:
        names = read_text(path).splitlines()
    except UnicodeError:
        names = []
    if not names or not all(name.strip() for name in names):
        raise UserError(f"--labels must be a file with the name of a class on each line. Received: --labels={path}")
    return tuple(names)
