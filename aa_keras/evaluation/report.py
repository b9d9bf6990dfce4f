"""The report of an evaluation: metrics, pictures, and a row of the paper's table."""

import dataclasses
import inspect

import numpy as np

from aa_keras import applications
from aa_keras.applications import datasets, paper
from aa_keras.complexity import model_complexity
from aa_keras.evaluation import pictures
from aa_keras.evaluation.html_report import Section, picture
from aa_keras.explain.mistakes import plot_mistakes
from aa_keras.files import write_json

FILES = ("class_accuracy.png", "confusion_matrix.png", "evaluation.json", "mistakes.png")


def write(evaluation, dataset, folder, mean, std):
    """Writes an `Evaluation` as JSON and pictures, the `FILES`.

    Args:
        evaluation: the `Evaluation`.
        dataset: its `ImageDataset`.
        folder: path of an existing folder.
        mean: mean of each channel with which the images were normalized, for pixels in [0, 255].
        std: standard deviation of each channel, likewise.
    """
    names = dataset.class_names
    write_json(folder / "evaluation.json", _as_dictionary(evaluation, dataset))
    pictures.plot_confusion_matrix(evaluation.confusion, names, folder / "confusion_matrix.png")
    pictures.plot_class_accuracy(evaluation.per_class_accuracy, names, folder / "class_accuracy.png")
    pictures.plot_mistakes(evaluation.mistakes, names, mean, std, folder / "mistakes.png")


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


def sections(evaluation, class_names, folder, cells, model, mean, std):
    """Returns the `Section`s of the report of an `Evaluation`.

    Args:
        evaluation: the `Evaluation`.
        class_names: names of the classes.
        folder: path of the folder that the `FILES` are in.
        cells: cells that `cells_of` returns, or None.
        model: the Keras model, or None for a SavedModel.
        mean: mean of each channel with which the images were normalized, for pixels in [0, 255].
        std: standard deviation of each channel, likewise.
    """
    compared = [] if cells is None else [Section("Compared with the paper", table=(columns(), cells))]
    attended = []
    if model is not None and evaluation.mistakes:
        caption = "For the most confident mistakes: where attention flows, and what speaks for the two classes."
        drawn = picture(lambda path: plot_mistakes(model, evaluation.mistakes, class_names, mean, std, path))
        attended.append(Section("What the network looks at in its mistakes", caption, pictures=((drawn, caption),)))
    return [
        *compared,
        _pictured("Which classes are taken for which", folder / "confusion_matrix.png"),
        dataclasses.replace(
            _pictured("Accuracy of the classes", folder / "class_accuracy.png"),
            table=(("class", "top-1 accuracy", "images"), *_class_rows(evaluation, class_names)),
            is_folded=True,
        ),
        _pictured("Mistakes", folder / "mistakes.png"),
        *attended,
    ]


def _pictured(title, path):
    return Section(title, pictures=((path, title),))


def _class_rows(evaluation, class_names):
    """Returns (class, accuracy, images) of each class as text, the worst first."""
    images, accuracies = evaluation.confusion.sum(axis=1), evaluation.per_class_accuracy
    return tuple(
        (
            class_names[index],
            "none" if np.isnan(accuracies[index]) else f"{accuracies[index]:.1%}",
            f"{images[index]:,}",
        )
        for index in np.argsort(accuracies, kind="stable")
    )


def print_extremes(evaluation, class_names, count=3):
    """Prints the classes with the worst and the best accuracy."""
    order = [index for index in np.argsort(evaluation.per_class_accuracy) if evaluation.confusion[index].sum()]
    for title, indices in (("Worst", order[:count]), ("Best", order[: -count - 1 : -1])):
        classes = (f"{class_names[index]} {evaluation.per_class_accuracy[index]:.1%}" for index in indices)
        print(f"{title} classes: {', '.join(classes)}")


def columns(source="paper"):
    """Returns the headers of the tables of classifiers in docs/models.md, next to the numbers of `source`."""
    counted = ("parameters", source, "GFLOPs", "without attention's products", source)
    return ("network", *counted, f"top-1 / top-5, {source}", "here")


def cells_of(config, dataset, model, evaluation):
    """Returns a model's cells of the paper's tables, with the paper's numbers if it has the model."""
    complexity = model_complexity(model, dataset.image_shape)
    arguments = _changed_arguments(config)
    same = (
        spec
        for spec in paper.CLASSIFIERS
        if (spec.builder, spec.dataset.name, spec.parameters) == (config.builder, dataset.name, complexity.parameters)
        and round(complexity.flops / 1e9, 2) == spec.gflops
        and dict(spec.arguments) == arguments
    )
    spec = next(same, None)
    if spec is None:
        without_products = model_complexity(model, dataset.image_shape, attention_products=False).flops / 1e9
        spec = paper.ModelSpec(
            config.builder,
            datasets.Dataset(dataset.name, dataset.image_shape, len(dataset.class_names), mean=(), std=()),
            complexity.parameters,
            complexity.flops / 1e9,
            arguments=tuple(arguments.items()),
            gflops_without_products=without_products,
        )
    here = f"{100 * evaluation.top1:.1f} / {100 * evaluation.top5:.1f}"
    return cells(spec, here)


def row(cells):
    """Returns cells as a row of Markdown."""
    return f"| {' | '.join(cells)} |"


def cells(spec, here=""):
    """Returns the cells of a `ModelSpec`; `here` has the accuracies measured here, top-1 / top-5."""
    accuracies = [f"{value}" for value in (spec.paper_top1, spec.paper_top5) if value is not None]
    paper_parameters = "" if spec.paper_parameters is None else f"{spec.paper_parameters} M"
    without = spec.gflops if spec.gflops_without_products is None else spec.gflops_without_products
    paper_gflops = "" if spec.paper_gflops is None else f"{spec.paper_gflops}"
    counted = (f"{spec.parameters:,}", paper_parameters, f"{spec.gflops:.2f}", f"{without:.2f}", paper_gflops)
    return (f"`{spec.title}`", *counted, " / ".join(accuracies), here)


def _changed_arguments(config):
    """Returns the builder's arguments that are not its defaults, except `implementation`, which changes no result."""
    parameters = inspect.signature(getattr(applications, config.builder)).parameters
    arguments = config.builder_arguments.to_dict()
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return {
        name: value
        for name, value in arguments.items()
        if name not in ("implementation", "name") and value != parameters[name].default
    }
