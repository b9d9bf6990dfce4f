"""The report of an evaluation: numbers, pictures, and a row beside the paper's."""

import inspect

import numpy as np

from aa_keras import applications
from aa_keras.applications import datasets, paper
from aa_keras.complexity import model_complexity
from aa_keras.evaluation import pictures
from aa_keras.files import write_json

FILES = ("class_accuracy.png", "confusion_matrix.png", "evaluation.json", "mistakes.png")


def write(evaluation, dataset, folder, mean, std):
    """Writes an `Evaluation` as JSON and pictures, the `FILES`.

    Args:
        evaluation: the `Evaluation`.
        dataset: the `ImageDataset` that it is of.
        folder: path of an existing folder.
        mean: what was subtracted from pixels in [0, 255] to make the images that the classifier saw, by channel.
        std: what they were then divided by.
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


def print_extremes(evaluation, class_names, count=3):
    """Prints the classes that do worst and best."""
    order = [index for index in np.argsort(evaluation.per_class_accuracy) if evaluation.confusion[index].sum()]
    for title, indices in (("Worst", order[:count]), ("Best", order[: -count - 1 : -1])):
        classes = (f"{class_names[index]} {evaluation.per_class_accuracy[index]:.1%}" for index in indices)
        print(f"{title} classes: {', '.join(classes)}")


def row_of(config, dataset, model, evaluation):
    """Returns a model's row for the README's tables, the paper's columns filled where the paper has the model."""
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
    return row(spec, here)


def row(spec, here=None):
    """Returns the row of a `ModelSpec`; `here` stands for the accuracies measured here in place of the spec's own."""
    if here is None:
        here = " / ".join(f"{value:.1f}" for value in (spec.here_top1, spec.here_top5) if value is not None)
    accuracies = [f"{value}" for value in (spec.paper_top1, spec.paper_top5) if value is not None]
    paper_parameters = "" if spec.paper_parameters is None else f"{spec.paper_parameters} M"
    without = spec.gflops if spec.gflops_without_products is None else spec.gflops_without_products
    paper_gflops = "" if spec.paper_gflops is None else spec.paper_gflops
    return (
        f"| `{spec.title}` | {spec.parameters:,} | {paper_parameters} | {spec.gflops:.2f} | {without:.2f} | "
        f"{paper_gflops} | {' / '.join(accuracies)} | {here} |"
    )


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
