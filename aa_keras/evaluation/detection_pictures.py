"""Pictures of a detector's evaluation."""

import numpy as np
from matplotlib.figure import Figure

from aa_keras.explain.boxes import draw_box
from aa_keras.files import as_text

# The number of images that are drawn, and the least score of their detections.
PICTURES = 12
DRAWN_SCORE = 0.5


def plot_precision_recall(evaluation, class_names, path, most=10):
    """Draws precision against recall at an intersection over union of 0.5, the mean and that of the classes.

    Args:
        evaluation: the `DetectionEvaluation`.
        class_names: names of the classes.
        path: PNG file to write.
        most: number of classes with a line of their own; of more classes, the best and the worst have one.
    """
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    recalls = np.linspace(0, 1, evaluation.precision.shape[1])
    order = [index for index in np.argsort(-evaluation.class_ap50) if not np.isnan(evaluation.class_ap50[index])]
    shown = order if len(order) <= most else [*order[: most // 2], *order[-most // 2 :]]
    for index in shown:
        label = f"{class_names[index]} ({evaluation.class_ap50[index]:.1%})"
        axes.plot(recalls, evaluation.precision[index], linewidth=1.2, label=label)
    if order:
        mean = np.mean(evaluation.precision[order], axis=0)
        axes.plot(recalls, mean, color="black", linewidth=2.2, label=f"mean ({evaluation.ap50:.1%})")
        axes.legend(title="class (AP50)", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title("Precision and recall, intersection over union of at least 0.5")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def plot_detections(evaluation, path, columns=3):
    """Draws the first images twice: with their annotations, and with the detections.

    Args:
        evaluation: the `DetectionEvaluation`, with its images.
        path: PNG file to write.
        columns: images in a row.
    """
    categories = evaluation.categories
    shown = evaluation.annotated[:PICTURES]
    of_image = {image.id: [] for image in shown}
    for result in evaluation.results:
        if result["image_id"] in of_image and result["score"] >= DRAWN_SCORE:
            of_image[result["image_id"]].append(result)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(6.4 * columns, 2.7 * rows + 0.8), layout="constrained")
    figure.suptitle(f"Annotations on the left, detections with a score of at least {DRAWN_SCORE} on the right")
    grid = figure.subplots(rows, 2 * columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for index, (image, pixels) in enumerate(zip(shown, evaluation.load_images(), strict=False)):
        pair = grid[2 * index : 2 * index + 2]
        for axes in pair:
            axes.imshow(np.asarray(pixels))
        for box, label, is_crowd in zip(image.boxes, image.labels, image.is_crowd, strict=True):
            name = categories.names[label] + (" (crowd)" if is_crowd else "")
            draw_box(pair[0], box, label, name, is_crowd)
        for result in of_image[image.id]:
            left, top, width, height = result["bbox"]
            label = categories.ids.index(result["category_id"])
            text = f"{categories.names[label]} {result['score']:.2f}"
            draw_box(pair[1], (top, left, top + height, left + width), label, text)
        pair[0].set_title(as_text(image.name.rsplit("/", 1)[-1]), fontsize=7, parse_math=False)
        pair[1].set_title(f"{len(of_image[image.id])} detections, {len(image.labels)} objects", fontsize=7)
    figure.savefig(path, dpi=110)
