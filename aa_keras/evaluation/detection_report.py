"""The report of a detector's evaluation: metrics, detections and pictures."""

import json

import numpy as np
from matplotlib.figure import Figure

from aa_keras.data import Progress
from aa_keras.evaluation.detection import STATISTICS
from aa_keras.evaluation.html_report import Section
from aa_keras.explain.boxes import draw_box
from aa_keras.files import as_text, write_json, write_whole

FILES = ("detections.json", "detections.png", "evaluation.json", "precision_recall.png")

PICTURES = 12
# The least score of detections that are drawn.
DRAWN_SCORE = 0.5


def numbers(evaluation, categories):
    """Returns the metrics of a `DetectionEvaluation` as a dictionary of JSON; None where there are no objects."""
    return {
        **{name: _json(getattr(evaluation, name)) for name in STATISTICS},
        "class_ap": {name: _json(value) for name, value in zip(categories.names, evaluation.class_ap, strict=True)},
        "class_ap50": {name: _json(value) for name, value in zip(categories.names, evaluation.class_ap50, strict=True)},
    }


def _json(number):
    return None if np.isnan(number) else float(number)


def write(evaluation, dataset, images, folder):
    """Writes a `DetectionEvaluation` as JSON and pictures, the `FILES`.

    Args:
        evaluation: the `DetectionEvaluation`.
        dataset: the `DetectionDataset` of its test images.
        images: iterable of the test images, uint8 arrays, in their order.
        folder: path of an existing folder.
    """
    categories = dataset.categories
    about = {"dataset": dataset.name, "images": evaluation.images, "detections": len(evaluation.results)}
    write_json(folder / "evaluation.json", {**about, **numbers(evaluation, categories)})
    write_whole(folder / "detections.json", json.dumps(evaluation.results) + "\n")
    with Progress("Drawing pictures"):
        plot_precision_recall(evaluation, categories.names, folder / "precision_recall.png")
        plot_detections(evaluation, dataset.test.annotated, categories, images, folder / "detections.png")


def print_classes(evaluation, categories, most=10):
    """Prints the metrics of small and large objects and of classes: all classes, or the worst and the best."""
    of_sizes = (f"{name} {percent(getattr(evaluation, f'ap_{name}'))}" for name in ("small", "medium", "large"))
    print(f"AP of objects: {', '.join(of_sizes)}; AR with 100 detections {percent(evaluation.ar100)}")
    order = [index for index in np.argsort(-evaluation.class_ap) if not np.isnan(evaluation.class_ap[index])]
    for title, indices in (
        [("Classes", order)] if len(order) <= most else [("Best classes", order[:3]), ("Worst classes", order[-3:])]
    ):
        classes = (
            f"{categories.names[index]} AP {percent(evaluation.class_ap[index])}, "
            f"AP50 {percent(evaluation.class_ap50[index])}"
            for index in indices
        )
        print(f"{title}: {'; '.join(classes)}")


def percent(number):
    """Returns a share as text; "none" for NaN."""
    return "none" if np.isnan(number) else f"{number:.1%}"


def sections(evaluation, categories, folder, comparison):
    """Returns the `Section`s of the report of a `DetectionEvaluation`.

    Args:
        evaluation: the `DetectionEvaluation`.
        categories: `Categories`.
        folder: path of the folder that the `FILES` are in.
        comparison: the `aa_keras.evaluation.comparison.Comparison` of the network, or None.
    """
    of_sizes = tuple((name.replace("_", " ").upper(), percent(getattr(evaluation, name))) for name in STATISTICS)
    of_classes = zip(
        categories.names, map(percent, evaluation.class_ap), map(percent, evaluation.class_ap50), strict=True
    )
    return [
        *([] if comparison is None else [comparison.section()]),
        Section("Average precision and recall", table=(("COCO's", "here"), *of_sizes)),
        Section(
            "Classes",
            table=(("class", "AP", "AP50"), *of_classes),
            pictures=((folder / "precision_recall.png", "Precision and recall of each class"),),
        ),
        Section("Detections", pictures=((folder / "detections.png", "Annotations and detections of test images"),)),
    ]


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


def plot_detections(evaluation, annotated, categories, images, path, columns=3):
    """Draws the first images twice: with their annotations, and with the detections.

    Args:
        evaluation: the `DetectionEvaluation`.
        annotated: sequence of `AnnotatedImage`s.
        categories: `Categories`.
        images: iterable of the images themselves.
        path: PNG file to write.
        columns: images in a row.
    """
    shown = annotated[:PICTURES]
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
    for index, (image, pixels) in enumerate(zip(shown, images, strict=False)):
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
