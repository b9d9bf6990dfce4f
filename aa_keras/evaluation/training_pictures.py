"""Pictures of training images as a network gets them."""

import numpy as np
from matplotlib.figure import Figure

from aa_keras.explain.boxes import draw_box
from aa_keras.explain.figures import broken, show_pixels

SHOWN, COLUMNS = 9, 3


def plot_training_images(images, captions, path, boxes=None):
    """Draws the first nine images of a batch.

    Args:
        images: array (batch, height, width, channels) of pixels from 0 to 255, which are clipped.
        captions: list of a text for each image.
        path: PNG file to write.
        boxes: list for each image of triples of box, class and name, or None.
    """
    count = min(SHOWN, len(images))
    rows = -(-count // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 3.3 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for index, axes in enumerate(grid[:count]):
        show_pixels(axes, images[index])
        axes.set_title(broken(captions[index], 34), fontsize=9, parse_math=False)
        for box, label, name in () if boxes is None else boxes[index]:
            draw_box(axes, box, label, name)
    figure.savefig(path, dpi=120)


def stretched(images):
    """Returns images of any range as pixels from 0 to 255."""
    low, high = np.min(images), np.max(images)
    return (images - low) * (255 / max(high - low, 1e-9))
