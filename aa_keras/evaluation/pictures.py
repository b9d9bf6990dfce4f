"""Pictures of a run and of an evaluation."""

import numpy as np
from matplotlib.figure import Figure


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
    grid = figure.subplots(1, len(panels))
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


def plot_confusion_matrix(confusion, class_names, path):
    """Draws which classes are taken for which.

    Args:
        confusion: integer array (classes, classes), true classes in rows and predicted ones in columns.
        class_names: names of the classes.
        path: PNG file to write.
    """
    classes = len(class_names)
    side = min(max(5.0, 0.45 * classes), 18.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class's images", shrink=0.8)
    if classes <= 100:  # more names would overlap
        text = {"fontsize": 5 if classes > 30 else 10, "parse_math": False}
        rotation = 90 if max(map(len, class_names)) > 2 else 0
        axes.set_xticks(range(classes), class_names, rotation=rotation, **text)
        axes.set_yticks(range(classes), class_names, **text)
    axes.set(xlabel="predicted class", ylabel="true class")
    if classes <= 30:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            color = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, confusion[row, column], ha="center", va="center", color=color, fontsize=8)
    figure.savefig(path, dpi=120)


def plot_class_accuracy(per_class_accuracy, class_names, path, most=40):
    """Draws the accuracy of each class, the best on top; of many classes, the best and the worst.

    Args:
        per_class_accuracy: array (classes,), NaN for classes without images, which are left out.
        class_names: names of the classes.
        path: PNG file to write.
        most: largest number of classes to draw.
    """
    order = [index for index in np.argsort(per_class_accuracy) if not np.isnan(per_class_accuracy[index])]
    title = "Accuracy of each class"
    if len(order) > most:
        title = f"Accuracy of the {most // 2} worst and {most // 2} best of {len(order)} classes"
        order = order[: most // 2] + order[-most // 2 :]
    figure = Figure(figsize=(8, 1.2 + 0.24 * len(order)), layout="constrained")
    axes = figure.subplots()
    accuracies = [per_class_accuracy[index] for index in order]
    axes.barh(range(len(order)), accuracies, color="#4c78a8")
    axes.set_yticks(range(len(order)), [class_names[index] for index in order], fontsize=8, parse_math=False)
    for row, accuracy in enumerate(accuracies):
        axes.text(accuracy + 0.005, row, f"{accuracy:.1%}", va="center", fontsize=7)
    mean = float(np.nanmean(per_class_accuracy))
    axes.axvline(mean, color="#e4572e", linewidth=1)
    axes.set(xlim=(0, 1.1), ylim=(-0.6, len(order) - 0.4), title=title)
    axes.set_xlabel(f"top-1 accuracy (line: mean of all classes, {mean:.1%})")
    figure.savefig(path, dpi=120)


def plot_mistakes(mistakes, class_names, mean, std, path, columns=5):
    """Draws the most confident mistakes of a classifier.

    Args:
        mistakes: sequence of `aa_keras.evaluation.classification.Mistake`.
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
        pixels = np.clip(np.round(mistake.image * std + mean), 0, 255).astype(np.uint8)
        axes.imshow(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
        prediction, label = class_names[mistake.prediction], class_names[mistake.label]
        axes.set_title(
            f"taken for {prediction} ({mistake.confidence:.0%})\nlabelled {label}", fontsize=8, parse_math=False
        )
    figure.savefig(path, dpi=120)
