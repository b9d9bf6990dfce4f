"""Pictures of images with boxes."""

import matplotlib.patches
import numpy as np
from matplotlib.figure import Figure

# In points, of a small image.
FONT_SIZE = 5


def draw_boxes(image, outputs, class_names, path):
    """Draws an image with boxes, at its own size.

    Args:
        image: uint8 array (height, width, 3).
        outputs: "boxes" (objects, 4), the pixels top, left, bottom and right; "confidence" and "labels" (objects,).
        class_names: names of the classes.
        path: PNG file to write, or a file object.
    """
    height, width = image.shape[:2]
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(image, aspect="auto")
    font_size = np.clip(max(height, width) / 80, FONT_SIZE, 4 * FONT_SIZE)
    for box, confidence, label in zip(outputs["boxes"], outputs["confidence"], outputs["labels"], strict=True):
        draw_box(axes, box, label, f"{class_names[label]} {confidence:.2f}", font_size=font_size)
    figure.savefig(path)


def draw_box(axes, box, label, text, is_crowd=False, font_size=FONT_SIZE):
    """Draws a box with a text into the axes of an image.

    Args:
        axes: Matplotlib's axes.
        box: the pixels top, left, bottom and right.
        label: number of its class, which decides its color.
        text: the text.
        is_crowd: whether it holds several objects.
        font_size: size of the text, in points; the line of the box is a quarter as thick.
    """
    top, left, bottom, right = box
    color = f"C{label % 10}"
    style = "--" if is_crowd else "-"
    line = {"edgecolor": color, "linewidth": 0.24 * font_size, "linestyle": style}
    axes.add_patch(matplotlib.patches.Rectangle((left, top), right - left, bottom - top, fill=False, **line))
    place = "bottom" if top > 2.4 * font_size else "top"  # within the image
    axes.text(left, top, text, fontsize=font_size, color="white", va=place, parse_math=False, clip_on=True).set_bbox(
        {"facecolor": color, "edgecolor": "none", "pad": 0.4, "alpha": 0.8}
    )
