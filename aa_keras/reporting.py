"""Evaluates a trained model and writes what came out: numbers, and pictures to look at."""

import inspect
import os
import pathlib

import keras
import numpy as np

from aa_keras import applications, tables, visualization
from aa_keras.applications import specs
from aa_keras.complexity import model_complexity
from aa_keras.config_fields import check_config
from aa_keras.data import CorruptFiles, evaluation_dataset, raw_dataset
from aa_keras.errors import UserError
from aa_keras.evaluation import evaluate, summary
from aa_keras.files import local_path, read_json, write_json
from aa_keras.recipes import dataset_from, default_config, model_from, preprocessing_from
from aa_keras.run_directory import is_run

MISTAKES = 25


def evaluate_run(config=None, workdir=None, weights=None, saved_model=None, output=None, data_dir=None):
    """Evaluates a trained model on the test images of its data set, and writes what came out.

    The model is that of a finished run (`workdir`), or a recipe's with a file of weights (`config` and `weights`), or
    a SavedModel of a recipe (`saved_model`, with `config` unless it lies in its run directory).

    Args:
        config: recipe, or None where the run directory tells it.
        workdir: run directory, or None.
        weights: file of weights (`.weights.h5` or `.keras`), or None.
        saved_model: folder of a SavedModel as `aa_keras.export` writes it, or None.
        output: folder for `evaluation.json` and the pictures; None takes the run directory, or else `evaluation`.
        data_dir: where the data lies, instead of where the config says.

    Returns:
        An `Evaluation`.

    Raises:
        UserError: if these do not name one model, or it cannot be read.
    """
    if sum(argument is not None for argument in (workdir, weights, saved_model)) != 1:
        raise UserError("exactly one of --workdir, --weights (with --config) and --saved_model must be given")
    workdir, weights, saved_model, output = (
        None if path is None else local_path(flag, path)
        for flag, path in (
            ("--workdir", workdir),
            ("--weights", weights),
            ("--saved_model", saved_model),
            ("--output", output),
        )
    )
    if saved_model is not None and config is None:
        workdir = pathlib.Path(saved_model).resolve().parent
        if not is_run(workdir):
            raise UserError(
                "--saved_model must lie in its run directory, or --config be given too. "
                f"Received: --saved_model={saved_model}, which has no config.json of train.py beside it"
            )
    if workdir is not None and config is None:
        config = _config_of_run(workdir)
    elif workdir is not None:
        raise UserError("--workdir has a config of its own: --config goes with --weights or --saved_model")
    if config is None:
        raise UserError("--weights says nothing of the data and the network: --config must be given too")
    if data_dir is not None:
        config.data_dir = data_dir
    check_config(config)
    dataset = dataset_from(config)
    preprocessing = preprocessing_from(config, dataset)
    corrupt_files = CorruptFiles()
    if saved_model is not None:
        # Raw images may each be of their own size, and then do not go into one batch.
        any_size = config.image_size is not None
        batch_size = 1 if any_size else config.batch_size
        raw_shape = (None, None, 3) if any_size else dataset.image_shape
        model, predict = None, _saved_model(saved_model, raw_shape)
        batches = raw_dataset(dataset.test, corrupt_files).batch(batch_size)
    else:
        model = _keras_model(config, dataset, workdir, weights)
        predict, batch_size = model.predict_on_batch, config.batch_size
        batches = evaluation_dataset(dataset.test, preprocessing, batch_size, corrupt_files)
    with corrupt_files.as_user_errors():
        evaluation = evaluate(_checked(predict, dataset), batches, batch_size, mistakes_kept=MISTAKES)

    print(f"Test: {summary(evaluation)}")  # before anything that can fail
    output = pathlib.Path(output or workdir or "evaluation")
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "evaluation.json", _as_dictionary(evaluation, dataset))
    names = dataset.class_names
    visualization.plot_confusion_matrix(evaluation.confusion, names, output / "confusion_matrix.png")
    visualization.plot_class_accuracy(evaluation.per_class_accuracy, names, output / "class_accuracy.png")
    # What the network sees is normalised; what the SavedModel takes is not.
    mean, std = (0, 1) if model is None else (np.asarray(preprocessing.mean), np.asarray(preprocessing.std))
    visualization.plot_mistakes(evaluation.mistakes, names, mean, std, output / "mistakes.png")
    _print_extremes(evaluation, names)
    if model is not None:
        print(_zoo_row(config, dataset, model, evaluation))
    print(f"{output}: class_accuracy.png, confusion_matrix.png, evaluation.json, mistakes.png")
    return evaluation


def _config_of_run(workdir):
    path = pathlib.Path(workdir) / "config.json"
    content = read_json(path) if path.is_file() else None
    if not is_run(workdir):
        raise UserError(f"There is no run in {os.fspath(workdir)!r}: it has no config.json that train.py wrote")
    config = default_config()
    try:
        with config.ignore_type():  # JSON has no tuples
            config.update(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"The run in {os.fspath(workdir)!r} is not of this version: {_short(error)}") from None
    return config


def _keras_model(config, dataset, workdir, weights):
    if workdir is None:
        return model_from(config, dataset, classifier_activation="softmax", weights=weights)
    path = pathlib.Path(workdir) / "model.keras"
    if not path.is_file():
        raise UserError(f"The run in {os.fspath(workdir)!r} is not finished: train.py goes on with it")
    try:
        model = keras.models.load_model(path, compile=False)
        shape = tuple(model.input_shape[1:])
    except Exception as error:  # Keras raises errors of many kinds for what a file may hold
        raise UserError(
            f"{path} cannot be loaded, and train.py writes it anew once result.json is removed: {_short(error)}"
        ) from None
    if shape != dataset.image_shape:
        raise UserError(
            f"{path} takes images of {shape}, and the data set {dataset.name!r} has some of {dataset.image_shape}"
        )
    return model


def _checked(predict, dataset):
    """Wraps `predict` to raise UserError where what it returns are no probabilities of the data set's classes."""

    def checked(images):
        probabilities = np.asarray(predict(images))
        if probabilities.ndim != 2:
            raise UserError(
                f"The model's outputs must have the shape (images, classes), and have {probabilities.shape}"
            )
        if probabilities.shape[1] != len(dataset.class_names):
            raise UserError(
                f"The model has {probabilities.shape[1]} classes, and the data set {dataset.name!r} has "
                f"{len(dataset.class_names)}"
            )
        # Those that are no numbers at all have an error of their own. Half precision rounds by as much as that.
        numbers = probabilities[np.isfinite(probabilities).all(axis=1)].astype(np.float64)
        if np.any(numbers < 0) or np.any(np.abs(numbers.sum(axis=1) - 1) > 1e-2):
            raise UserError(
                "The model's outputs must be probabilities, from 0 to 1 and 1 in all for each image: is its last "
                f"activation a softmax? It returned {numbers.min():.3g} to {numbers.max():.3g}"
            )
        return probabilities

    return checked


def _saved_model(path, raw_shape):
    import tensorflow as tf

    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise UserError(f"--saved_model must be the folder of a SavedModel. Received: --saved_model={path}")
    try:
        signature = tf.saved_model.load(path).signatures["serving_default"]
        images = signature.structured_input_signature[1]["images"]
        fits = images.dtype == tf.uint8 and images.shape[1:].is_compatible_with(raw_shape)
        if not fits or "probabilities" not in signature.structured_outputs:
            raise KeyError(f"images of {images.shape}, {images.dtype.name}")
    except Exception as error:  # of TensorFlow's or of protocol buffers, for what a file may hold
        raise UserError(
            "--saved_model must be one that train.py wrote for images of the data set, with `images` as its input and "
            f"`probabilities` as its output. Received: --saved_model={path}: {_short(error)}"
        ) from None
    return lambda images: signature(images=tf.constant(images))["probabilities"]


def _short(error):
    """Returns an error of another library as a part of a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _as_dictionary(evaluation, dataset):
    return {
        "dataset": dataset.name,
        "examples": evaluation.examples,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "loss": evaluation.loss,
        "per_class_accuracy": {
            name: None if np.isnan(accuracy) else float(accuracy)
            for name, accuracy in zip(dataset.class_names, evaluation.per_class_accuracy, strict=True)
        },
    }


def _print_extremes(evaluation, class_names, count=3):
    """Prints the classes that do worst and best."""
    order = [index for index in np.argsort(evaluation.per_class_accuracy) if evaluation.confusion[index].sum()]
    for title, indices in (("Worst", order[:count]), ("Best", order[: -count - 1 : -1])):
        classes = (f"{class_names[index]} {evaluation.per_class_accuracy[index]:.1%}" for index in indices)
        print(f"{title} classes: {', '.join(classes)}")


def _zoo_row(config, dataset, model, evaluation):
    """The model's row for the README's tables of models, the paper's columns filled where the paper has the model."""
    complexity = model_complexity(model, dataset.image_shape)
    arguments = _changed_arguments(config)
    same = (
        spec
        for spec in specs.CLASSIFIERS
        if (spec.builder, spec.dataset.name, spec.parameters) == (config.builder, dataset.name, complexity.parameters)
        and round(complexity.flops / 1e9, 2) == spec.gflops
        and dict(spec.arguments) == arguments
    )
    spec = next(same, None)
    if spec is None:
        without_products = model_complexity(model, dataset.image_shape, attention_products=False).flops / 1e9
        spec = specs.ModelSpec(
            config.builder,
            specs.Dataset(dataset.name, dataset.image_shape, len(dataset.class_names), mean=(), std=()),
            complexity.parameters,
            complexity.flops / 1e9,
            arguments=tuple(arguments.items()),
            gflops_without_products=without_products,
        )
    here = f"{100 * evaluation.top1:.1f} / {100 * evaluation.top5:.1f}"
    return f"Row: {tables.row(spec, here)}"


def _changed_arguments(config):
    """The builder's arguments that are not its defaults, but for how attention is computed, which changes nothing."""
    parameters = inspect.signature(getattr(applications, config.builder)).parameters
    arguments = config.builder_arguments.to_dict()
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return {
        name: value
        for name, value in arguments.items()
        if name not in ("implementation", "name") and value != parameters[name].default
    }
