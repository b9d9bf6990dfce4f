"""Pictures of a run."""

import numpy as np
from matplotlib.figure import Figure


def plot_curves(history, path):
    """Draws loss, accuracy and learning rate against the epoch.

    Args:
        history: list with a dictionary for each epoch, as in a run's `metrics.csv`.
        path: PNG file to write.
    """
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = (("Cross-entropy", "cross_entropy"), ("Top-1 accuracy", "top1"), ("Learning rate", "learning_rate"))
    for axes, (title, quantity) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for name, label in ((quantity, "training"), (f"val_{quantity}", "validation")):
            if name in history[0]:
                axes.plot(epochs, [row[name] for row in history], label=label, marker="." if len(epochs) < 50 else "")
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if quantity == "cross_entropy":
            axes.set_yscale("log")
        if quantity != "learning_rate":
            axes.legend()
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
    small = 5 if classes > 30 else 10
    rotation = 90 if max(map(len, class_names)) > 2 else 0
    axes.set_xticks(range(classes), class_names, rotation=rotation, fontsize=small)
    axes.set_yticks(range(classes), class_names, fontsize=small)
    axes.set(xlabel="predicted class", ylabel="true class")
    if classes <= 30:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            color = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, confusion[row, column], ha="center", va="center", color=color, fontsize=8)
    figure.savefig(path, dpi=120)
