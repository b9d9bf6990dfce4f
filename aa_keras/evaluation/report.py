"""The report of an evaluation: metrics and pictures."""

import dataclasses

import numpy as np

from aa_keras.data import Progress
from aa_keras.evaluation import pictures
from aa_keras.evaluation.classification import most_confused
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
    with Progress("Drawing pictures"):
        pictures.plot_confusion(evaluation.confusion, names, folder / "confusion_matrix.png")
        pictures.plot_class_accuracy(evaluation.per_class_accuracy, names, folder / "class_accuracy.png")
        pictures.plot_mistakes(evaluation.mistakes, names, mean, std, folder / "mistakes.png")


def _as_dictionary(evaluation, dataset):
    names = dataset.class_names
    return {
        "dataset": dataset.name,
        "examples": evaluation.examples,
        "top1": evaluation.top1,
        "top5": evaluation.top5,
        "cross_entropy": evaluation.cross_entropy,
        "per_class_accuracy": {
            name: None if np.isnan(accuracy) else float(accuracy)
            for name, accuracy in zip(names, evaluation.per_class_accuracy, strict=True)
        },
        "most_confused": [
            {"class": names[pair.label], "taken_for": names[pair.prediction], "images": pair.images, "of": pair.of}
            for pair in most_confused(evaluation.confusion)
        ],
    }


def sections(evaluation, class_names, folder, comparison, model, mean, std):
    """Returns the `Section`s of the report of an `Evaluation`.

    Args:
        evaluation: the `Evaluation`.
        class_names: names of the classes.
        folder: path of the folder that the `FILES` are in.
        comparison: the `aa_keras.evaluation.comparison.Comparison` of the network, or None.
        model: the Keras model, or None for a SavedModel.
        mean: mean of each channel with which the images were normalized, for pixels in [0, 255].
        std: standard deviation of each channel, likewise.
    """
    pairs = tuple(
        (class_names[pair.label], class_names[pair.prediction], f"{pair.images:,} of {pair.of:,}")
        for pair in most_confused(evaluation.confusion)
    )
    attended = []
    if model is not None and evaluation.mistakes:
        caption = "For the most confident mistakes: where attention flows, and what speaks for the two classes."
        with Progress("Drawing what the network looks at in its mistakes"):
            drawn = picture(lambda path: plot_mistakes(model, evaluation.mistakes, class_names, mean, std, path))
        attended.append(Section("What the network looks at in its mistakes", caption, pictures=((drawn, caption),)))
    return [
        *([] if comparison is None else [comparison.section()]),
        dataclasses.replace(
            _pictured("Which classes are taken for which", folder / "confusion_matrix.png"),
            table=(("class", "taken for", "images"), *pairs) if pairs else (),
            is_folded=True,
        ),
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
    """Prints the classes with the worst and the best accuracy, all if there are few, and those that are confused."""
    order = [index for index in np.argsort(evaluation.per_class_accuracy) if evaluation.confusion[index].sum()]
    extremes = {"Worst classes": order[:count], "Best classes": order[: -count - 1 : -1]}
    for title, indices in (extremes if len(order) > 2 * count else {"Classes, the worst first": order}).items():
        classes = (f"{class_names[index]} {evaluation.per_class_accuracy[index]:.1%}" for index in indices)
        print(f"{title}: {', '.join(classes)}")
    pairs = most_confused(evaluation.confusion, count)
    if pairs:
        print(f"Most confused: {', '.join(pair.described(class_names) for pair in pairs)}")
