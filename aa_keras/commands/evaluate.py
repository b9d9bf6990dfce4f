"""Evaluates a trained model, and writes the metrics and pictures."""

import dataclasses
import os
import pathlib

import ml_collections

from aa_keras.commands.report import report_page
from aa_keras.commands.trained import config_of_run, data_of_run, model_file_of_run, naming_flags
from aa_keras.errors import UserError
from aa_keras.evaluation.results import Results
from aa_keras.export.loading import class_names_of, load_export
from aa_keras.files import local_path, write_whole
from aa_keras.recipes.checks import check_config
from aa_keras.recipes.fields import with_batch_size
from aa_keras.tasks import choose, task_for, task_type
from aa_keras.training.run_directory import is_run

# For a recipe that leaves it open.
BATCH_SIZE = 32
FlagPath = str | os.PathLike | None


def evaluate_run(
    config: ml_collections.ConfigDict | None = None,
    workdir: FlagPath = None,
    weights: FlagPath = None,
    saved_model: FlagPath = None,
    output: FlagPath = None,
    data_dir: str | None = None,
    report: bool = False,
    bootstrap: int = 0,
    onnx: FlagPath = None,
    litert: FlagPath = None,
) -> Results:
    """Evaluates a trained model on the test split of its data set, and writes the metrics and pictures.

    Classes are matched by name: those of the images must be among those of the model, in any order.

    The model is that of a finished run (`workdir`), that of a recipe with a file of weights (`config` and `weights`),
    or an export of a recipe (`saved_model`, `onnx` or `litert`, with `config` unless it is in its run directory), which
    is evaluated in its own runtime.

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
        bootstrap: number of samples of the test images for the 95 % intervals of average precision, each of which is an
            evaluation; 0 for none. Classifiers always have intervals.
        onnx: ONNX file as `aa_keras.export` writes it, or None.
        litert: LiteRT file, likewise.

    Returns:
        The results: for a classifier an `Evaluation`, for a detector a `DetectionEvaluation`.

    Raises:
        UserError: if these do not name one model, or it cannot be read.
    """
    named = _network(config, workdir, weights, {"saved_model": saved_model, "onnx": onnx, "litert": litert})
    output = None if output is None else local_path("--output", output)
    check_config(named.config)
    is_open = named.config.batch_size == "auto"
    task = task_for(with_batch_size(named.config, BATCH_SIZE) if is_open else named.config)
    for line in choose(task, data_dir, named.trained, named.class_names):
        print(line)

    model = None if named.export else named.load(task)
    results = task.evaluate(model) if model else named.evaluate_export(task)
    print(f"Test: {results.summary()}")  # before anything that can fail

    results = results.with_intervals(bootstrap) if bootstrap else results
    folder = pathlib.Path(output or named.run or "evaluation")
    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder)
    compared = None if model is None else results.compared(task.config, task.dataset, model)
    for line in (*results.lines(), *([] if compared is None else [compared])):
        print(line)
    print(f"{folder}: {', '.join(results.files)}")
    if report:
        path = folder / "report.html"
        write_whole(path, report_page(task, results, folder, named.run, model, compared))
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return results


@dataclasses.dataclass(frozen=True)
class _Network:
    """A network to evaluate: that of a run, unless it has `weights` or `export`.

    Attributes:
        config: its recipe.
        run: its run directory, or None.
        trained: the fingerprint of the data that it was trained on, or None if it is not known.
        class_names: the names of its classes, or None if they are not known.
        weights: the weights of the recipe's builder, or None.
        export: the kind and the path of an export, or None.
    """

    config: ml_collections.ConfigDict
    run: FlagPath
    trained: dict | None
    class_names: tuple[str, ...] | None
    weights: str | None = None
    export: tuple[str, str] | None = None

    def load(self, task):
        """Returns the Keras model; raises UserError if a part of it is untrained."""
        if self.weights is None:
            return task.load_model(model_file_of_run(self.run))
        model = task.inference_model(self.weights)
        if getattr(model, "has_new_weights", False):
            raise UserError(
                "--weights must be of the config's network, with its attention, and for as many classes as the data "
                f"set has. Received: --weights={self.weights}, which leave a part of {task.config.builder} new"
            )
        return model

    def evaluate_export(self, task):
        """Returns the `Results` of the export."""
        kind, path = self.export
        with naming_flags(path=kind):
            without_record = {"spec": task.spec_without_record()} if kind == "saved_model" else {}
            predictor = load_export(kind, path, **without_record)
            if not isinstance(predictor.spec, task.spec_type):
                raise UserError(
                    f"path must be for the config's task, {task.spec_type.task}. Received: path={path}, which is for "
                    f"{predictor.spec.task}"
                )
            return task.evaluate_export(predictor)


def _network(config, workdir, weights, exports):
    """Returns the `_Network` that the flags name, or raises UserError."""
    given = {kind: path for kind, path in exports.items() if path is not None}
    if sum(path is not None for path in (workdir, weights)) + len(given) != 1:
        flags = ", ".join(f"--{kind}" for kind in exports)
        raise UserError(f"exactly one of --workdir, --weights (with --config), {flags} must be given")
    if workdir is not None:
        workdir = local_path("--workdir", workdir)
        if config is not None:
            raise UserError("--workdir has its own config: use --config with --weights or an export")
        config = config_of_run(workdir)
        return _Network(config, workdir, *data_of_run(workdir, config))
    if weights is not None:
        if config is None:
            raise UserError("--weights alone names no data and no network: --config must be given too")
        weights = _located(weights)
        check_config(config)
        trained, class_names = data_of_run(pathlib.Path(weights).parent, config)
        config, of_weights = task_type(config).config_with_weights(config, weights)
        return _Network(config, None, trained, of_weights or class_names, weights=weights)
    ((kind, path),) = given.items()
    path = local_path(f"--{kind}", path)
    run = None
    if config is None:
        run = pathlib.Path(path).resolve().parent
        if not is_run(run):
            raise UserError(
                f"--{kind} must be in its run directory, or --config must be given too. Received: --{kind}={path}, "
                "which has no config.json next to it"
            )
        config = config_of_run(run)
    trained, class_names = data_of_run(pathlib.Path(path).parent, config)
    return _Network(config, run, trained, class_names_of(kind, path) or class_names, export=(kind, path))


def _located(weights):
    """Returns the weights that --weights names: a path, or what builders download."""
    fetched = ("timm/", "hf://", "http://", "https://")
    return weights if os.fspath(weights).startswith(fetched) else local_path("--weights", weights)
