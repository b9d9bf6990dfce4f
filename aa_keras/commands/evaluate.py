"""Evaluates a trained model, and writes the metrics and pictures."""

import dataclasses
import os
import pathlib
from collections.abc import Callable

import ml_collections

from aa_keras.applications import weights_of
from aa_keras.commands.report import report_page
from aa_keras.commands.trained import config_of_run, model_file_of_run
from aa_keras.errors import UserError
from aa_keras.evaluation.classification import Evaluation
from aa_keras.evaluation.detection import DetectionEvaluation
from aa_keras.export.saved_model import class_names_of
from aa_keras.files import local_path, read_fields, write_whole
from aa_keras.recipes.checks import check_config
from aa_keras.tasks import TASKS, choose, resolved, task_for
from aa_keras.training.run_directory import is_run

FlagPath = str | os.PathLike | None


def evaluate_run(
    config: ml_collections.ConfigDict | None = None,
    workdir: FlagPath = None,
    weights: FlagPath = None,
    saved_model: FlagPath = None,
    output: FlagPath = None,
    data_dir: str | None = None,
    report: bool = False,
) -> Evaluation | DetectionEvaluation:
    """Evaluates a trained model on the test split of its data set, and writes the metrics and pictures.

    Classes are matched by name: those of the images must be among those of the model, in any order.

    The model is that of a finished run (`workdir`), that of a recipe with a file of weights (`config` and `weights`),
    or a SavedModel of a recipe (`saved_model`, with `config` unless it is in its run directory).

    Args:
        config: recipe, or None where the run directory has it.
        workdir: run directory, or None.
        weights: whatever the `weights` of the recipe's builder may be, such as the path of a file or "timm/NAME"; or
            None.
        saved_model: folder of a SavedModel as `aa_keras.export` writes it, or None.
        output: folder for `evaluation.json` and the pictures; None takes the run directory, or else `evaluation`.
        data_dir: folder of the data, instead of that of the config. Another folder of images than that of training is
            evaluated whole: its test split, or all its class folders.
        report: whether to also write `report.html` into the folder, with everything in one file.

    Returns:
        The `aa_keras.evaluation.classification.Evaluation`, or that of another task.

    Raises:
        UserError: if these do not name one model, or it cannot be read.
    """
    candidate = _candidate(config, workdir, weights, saved_model)
    output = None if output is None else local_path("--output", output)
    check_config(candidate.config)
    task = task_for(candidate.config)
    for line in choose(task, data_dir, candidate.trained, candidate.class_names):
        print(line)
    model, measured = candidate.evaluate(task)
    print(f"Test: {task.summary(measured)}")  # before anything that can fail
    folder = pathlib.Path(output or candidate.run or "evaluation")
    folder.mkdir(parents=True, exist_ok=True)
    task.report(measured, folder, model)
    if report:
        path = folder / "report.html"
        write_whole(path, report_page(candidate.config, task, measured, folder, candidate.run, model))
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return measured


def _located(weights):
    """Returns the weights that --weights names: a path, or what builders download."""
    fetched = ("timm/", "hf://", "http://", "https://")
    return weights if os.fspath(weights).startswith(fetched) else local_path("--weights", weights)


def _trained(task, weights):
    """Returns the network, or raises UserError if the weights leave a part of it untrained."""
    model = task.inference_model(weights)
    if getattr(model, "has_new_weights", False):
        raise UserError(
            "--weights must be of the config's network, with its attention, and for as many classes as the data set "
            f"has. Received: --weights={weights}, which leave a part of {task.config.builder} new"
        )
    return model


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A network to evaluate.

    Attributes:
        config: its recipe.
        run: its run directory, or None.
        evaluate: function of the task that returns the Keras model, or None for a SavedModel, and its evaluation.
        trained: the fingerprint of the data that it was trained on, or None if it is not known.
        class_names: the names of its classes, or None if they are not known.
    """

    config: ml_collections.ConfigDict
    run: FlagPath
    evaluate: Callable
    trained: dict | None
    class_names: tuple[str, ...] | None


def _candidate(config, workdir, weights, saved_model):
    """Returns the `_Candidate` that the flags name, or raises UserError."""
    if sum(path is not None for path in (workdir, weights, saved_model)) != 1:
        raise UserError("exactly one of --workdir, --weights (with --config) and --saved_model must be given")

    def with_its_evaluation(task, model):
        return model, task.evaluate(model)

    if workdir is not None:
        workdir = local_path("--workdir", workdir)
        if config is not None:
            raise UserError("--workdir has its own config: use --config with --weights or --saved_model")
        config = config_of_run(workdir)
        return _Candidate(
            config,
            workdir,
            lambda task: with_its_evaluation(task, task.load_model(model_file_of_run(workdir))),
            *_data_of_run(workdir, config.task),
        )
    if weights is not None:
        if config is None:
            raise UserError("--weights alone names no data and no network: --config must be given too")
        weights = _located(weights)
        trained, class_names = _data_of_run(pathlib.Path(weights).parent, config.task)
        if config.task == "classification" and not weights.endswith((".keras", ".h5")):
            # These say how their images are normalized.
            check_config(config)
            config = config.copy_and_resolve_references()
            config.weights = weights
            config = resolved(config)
            found, _ = weights_of(config.builder, weights)
            class_names = getattr(getattr(found, "info", None), "class_names", None) or None
        return _Candidate(
            config, None, lambda task: with_its_evaluation(task, _trained(task, weights)), trained, class_names
        )
    saved_model = local_path("--saved_model", saved_model)
    run = None
    if config is None:
        run = pathlib.Path(saved_model).resolve().parent
        if not is_run(run):
            raise UserError(
                "--saved_model must be in its run directory, or --config must be given too. "
                f"Received: --saved_model={saved_model}, which has no config.json next to it"
            )
        config = config_of_run(run)
    trained, class_names = _data_of_run(pathlib.Path(saved_model).parent, config.task)
    class_names = class_names_of(saved_model) or class_names
    return _Candidate(config, run, lambda task: (None, task.evaluate_saved_model(saved_model)), trained, class_names)


def _data_of_run(folder, task):
    """Returns the fingerprint of the data of the run in a folder, and the names of its classes; None where unknown."""
    path = pathlib.Path(folder) / "data.json"
    if not is_run(folder) or not path.is_file():
        return None, None
    data = read_fields(path, TASKS[task].DATA_FIELDS)
    return data, TASKS[task].class_names_of(data)
