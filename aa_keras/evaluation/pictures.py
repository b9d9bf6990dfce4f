"""Pictures of a run and of an evaluation."""

import numpy as np
from matplotlib.figure import Figure

from aa_keras.evaluation.confusion import most_confused
from aa_keras.explain.figures import broken, shortened, show_pixels

# The number of classes up to which a confusion matrix can be read.
LARGEST_MATRIX = 30
LEGEND = "share of the true class's images"


def plot_curves(history, panels, path):
    """Draws metrics against the epoch, side by side, the first ones, losses, on a logarithmic scale.

    Args:
        history: list with a dictionary for each epoch, as in a run's `metrics.csv`.
        panels: dictionary from the title of a panel to a dictionary from the labels of its lines to metrics; metrics
            that the history lacks are left out.
        path: PNG file to write.
    """
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(13, 4), layout="constrained")
    (grid,) = figure.subplots(1, len(panels), squeeze=False)
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        for label, metric in lines.items():
            if metric in history[0]:
                axes.plot(epochs, [row[metric] for row in history], label=label, marker="." if len(epochs) < 50 else "")
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    grid[0].set_yscale("log")
    figure.savefig(path, dpi=120)


def plot_confusion(confusion, class_names, path):
    """Draws which classes are taken for which: a matrix, or for more than 30 classes the pairs confused most often.

    Args:
        confusion: integer array (classes, classes), true classes in rows and predicted ones in columns.
        class_names: names of the classes.
        path: PNG file to write.
    """
    names = [shortened(name) for name in class_names]
    if len(names) <= LARGEST_MATRIX:
        _plot_matrix(confusion, names, path)
    else:
        _plot_pairs(most_confused(confusion), names, path)


def _plot_matrix(confusion, names, path):
    side = max(5.0, 0.45 * len(names))
    longest = max(map(len, names))
    margin = 0.1 * longest  # of the names, in inches
    figure = Figure(figsize=(side + margin + 1, side + (margin if longest > 2 else 0)), layout="constrained")
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label=LEGEND, shrink=0.8)
    axes.set_xticks(range(len(names)), names, rotation=90 if longest > 2 else 0, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set(xlabel="predicted class", ylabel="true class")
    for row, column in zip(*np.nonzero(confusion), strict=True):
        color = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, confusion[row, column], ha="center", va="center", color=color, fontsize=8)
    figure.savefig(path, dpi=120)


def _plot_pairs(pairs, names, path):
    title = f"Of {len(names)} classes, the {len(pairs)} pairs that are confused most often" if pairs else "No mistakes"
    labels = [f"{names[pair.label]} as {names[pair.prediction]}" for pair in pairs]
    shares = [pair.images / pair.of for pair in pairs]
    _plot_bars(labels, shares, [f"{pair.images:,} of {pair.of:,}" for pair in pairs], title, LEGEND, path)


def plot_class_accuracy(per_class_accuracy, class_names, path, most=40):
    """Draws the accuracy of each class, the best on top; of many classes, the best and the worst.

    Args:
        per_class_accuracy: array (classes,), NaN for classes without images, which are left out.
        class_names: names of the classes.
        path: PNG file to write.
        most: largest number of classes to draw.
    """
    order = [index for index in np.argsort(-per_class_accuracy) if not np.isnan(per_class_accuracy[index])]
    title = "Top-1 accuracy of each class"
    if len(order) > most:
        title = f"Top-1 accuracy of the {most // 2} best and {most // 2} worst of {len(order)} classes"
        order = order[: most // 2] + order[-most // 2 :]
    accuracies = [per_class_accuracy[index] for index in order]
    names = [shortened(class_names[index]) for index in order]
    mean = float(np.nanmean(per_class_accuracy))
    numbers = [f"{accuracy:.1%}" for accuracy in accuracies]
    _plot_bars(names, accuracies, numbers, title, f"line: mean of all classes, {mean:.1%}", path, line=mean)


def _plot_bars(labels, values, texts, title, legend, path, line=None):
    """Draws values from 0 to 1 as bars, the first on top, with a text beyond each, and a line at a value."""
    figure = Figure(figsize=(8, 1.2 + 0.24 * max(len(labels), 2)), layout="constrained")
    axes = figure.subplots()
    rows = range(len(labels))
    axes.barh(rows, values, color="#4c78a8")
    axes.set_yticks(rows, labels, fontsize=8, parse_math=False)
    for row, text in zip(rows, texts, strict=True):
        axes.text(1.01, row, text, va="center", fontsize=7, transform=axes.get_yaxis_transform())
    if line is not None:
        axes.axvline(line, color="#e4572e", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(max(len(labels), 1) - 0.4, -0.6), title=title, xlabel=legend)
    figure.savefig(path, dpi=120)


def plot_mistakes(mistakes, class_names, mean, std, path, columns=5):
    """Draws the most confident mistakes of a classifier.

    Args:
        mistakes: sequence of `aa_keras.evaluation.classification_results.Mistake`.
        class_names: names of the classes.
        mean: mean of each channel with which the images were normalized, for pixels in [0, 255].
        std: standard deviation of each channel, likewise.
        path: PNG file to write.
        columns: images in a row.
    """
    rows = max(-(-len(mistakes) // columns), 1)
    figure = Figure(figsize=(2.3 * columns, 2.7 * rows + 0.5), layout="constrained")
    figure.suptitle("The most confident mistakes" if mistakes else "No mistakes")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, mistake in zip(grid, mistakes, strict=False):
        show_pixels(axes, mistake.image * std + mean)
        prediction, label = class_names[mistake.prediction], class_names[mistake.label]
        lines = (f"taken for {prediction} ({mistake.confidence:.0%})", f"labelled {label}")
        axes.set_title("\n".join(broken(line, 34) for line in lines), fontsize=8, parse_math=False)
    figure.savefig(path, dpi=120)
