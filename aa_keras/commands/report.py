"""The report of an evaluation, in one file."""

import csv
import pathlib

from aa_keras.evaluation.html_report import Section, page
from aa_keras.files import read_json
from aa_keras.recipes.fields import as_dictionary, default_config, flattened

# The fields of a run's result in the report, with their headings.
OUTCOME = {
    "epochs": "epochs",
    "stopped": "stopped by",
    "training_seconds": "training, seconds",
    "training_examples_per_second": "training, examples a second",
    "date": "end of training",
    "backend": "backend",
    "machine": "machine",
    "git_revision": "revision",
}


def report_page(task, results, folder, run, model, compared):
    """Returns the report of an evaluation as HTML.

    Args:
        task: the `aa_keras.tasks.Task`.
        results: its `aa_keras.evaluation.results.Results`.
        folder: path of the folder with the pictures of the evaluation.
        run: path of the run directory, or None.
        model: the Keras model that was evaluated, or None for a SavedModel.
        compared: the `aa_keras.evaluation.comparison.Comparison` of the model, or None.
    """
    config = task.config
    sections = [Section("Test", f"{config.builder} on {config.dataset}: {results.summary()}")]
    sections += [] if compared is None else [compared.section()]
    sections += results.sections(folder, model)
    if run is not None:
        sections += _of_run(pathlib.Path(run), task)
    sections.append(_recipe(config))
    return page(config.name, "Report of a network trained with aa-keras.", sections)


def _of_run(run, task):
    """Returns the sections about training from the files of a run directory that exist."""
    if (run / "curves.png").is_file():
        pictures = ((run / "curves.png", "Metrics of each epoch"),)
        yield Section("Training", table=_epochs(run / "metrics.csv", task), pictures=pictures)
    if (run / "result.json").is_file():
        result = read_json(run / "result.json")
        rows = [(heading, _text(result[name])) for name, heading in OUTCOME.items() if result.get(name) is not None]
        versions = result.get("versions", {})
        rows += [(name, version) for name, version in versions.items() if version is not None]
        yield Section("Run", table=(("result", ""), *rows))


def _epochs(path, task):
    """Returns a table of the metrics of the last epoch and of the best one; () without metrics."""
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return ()
    chosen = {f"last epoch, {rows[-1]['epoch']}": rows[-1]}
    best_metric = f"val_{task.best_metric}"
    if rows[-1].get(best_metric):
        best = rows[task.best_of([float(row[best_metric]) for row in rows])]
        chosen[f"epoch of the best {best_metric}, {best['epoch']}"] = best
    names = [name for name, value in rows[-1].items() if name != "epoch" and value]
    return (("", *chosen), *((name, *(f"{float(row[name]):.4g}" for row in chosen.values())) for name in names))


def _recipe(config):
    """Returns the section of the fields that the recipe sets to something other than their defaults."""
    defaults = flattened(as_dictionary(default_config()))
    rows = [
        (name, _text(value)) for name, value in flattened(as_dictionary(config)).items() if defaults.get(name) != value
    ]
    return Section("Recipe", "All other fields have their defaults.", table=(("field", "value"), *rows))


def _text(value):
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
