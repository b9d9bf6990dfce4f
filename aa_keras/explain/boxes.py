"""Pictures of images with boxes."""

import matplotlib.patches
from matplotlib.figure import Figure


def draw_boxes(image, outputs, class_names, path):
    """Draws an image with boxes, at its own size.

    Args:
        image: uint8 array (height, width, 3).
        outputs: "boxes" (objects, 4), the pixels top, left, bottom and right; "confidence" and "labels" (objects,).
        class_names: names of the classes.
        path: PNG file to write.
    """
    height, width = image.shape[:2]
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(image, aspect="auto")
    for box, confidence, label in zip(outputs["boxes"], outputs["confidence"], outputs["labels"], strict=True):
        draw_box(axes, box, label, f"{class_names[label]} {confidence:.2f}")
    figure.savefig(path)


def draw_box(axes, box, label, text, is_crowd=False):
    """Draws a box with a text into the axes of an image.

    Args:
        axes: Matplotlib's axes.
        box: the pixels top, left, bottom and right.
        label: number of its class, which decides its color.
        text: the text.
        is_crowd: whether it holds several objects.
    """
    top, left, bottom, right = box
    color = f"C{label % 10}"
    style = "--" if is_crowd else "-"
    axes.add_patch(
        matplotlib.patches.Rectangle(
            (left, top), right - left, bottom - top, fill=False, color=color, linewidth=1.2, linestyle=style
        )
    )
    place = "bottom" if top > 12 else "top"  # within the image
    axes.text(left, top, text, fontsize=5, color="white", va=place, parse_math=False, clip_on=True).set_bbox(
        {"facecolor": color, "edgecolor": "none", "pad": 0.4, "alpha": 0.8}
    )
