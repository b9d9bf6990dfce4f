"""Pictures of attention and of Grad-CAM, for print."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

DPI = 200
# How bright the grey image is under colours; explorer.html has the same.
DIMMED = 0.5


def _colors():
    """Returns colours for values from 0 to 1: transparent at 0, and those of "inferno" unmixed from 0.5 on."""
    values = np.linspace(0, 1, 256)
    colors = matplotlib.colormaps["inferno"](values)
    colors[:, 3] = np.minimum(1, 2 * values)
    return ListedColormap(colors)


COLORS = _colors()
ATTENTION = "attention, relative to a map's largest (below it, in % of all)"
QUERY = {"marker": "s", "clip_on": False, "s": 26, "facecolors": "none", "edgecolors": "#19e3ff", "linewidths": 1.4}


def show_pixels(axes, pixels):
    """Shows an image, of one channel or three, whose pixels from 0 to 255 need not be whole numbers.

    Args:
        axes: Matplotlib's axes.
        pixels: array (height, width, channels).
    """
    pixels = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
    axes.imshow(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)


def plot_heads(image: np.ndarray, maps: np.ndarray, pixels: Sequence[tuple[int, int]], title: str, path):
    """Draws where some pixels look in each head of a layer, one row for each pixel, as in the paper's appendix.

    Args:
        image: uint8 array (height, width, channels).
        maps: array (heads, pixels, key height, key width), one image's of `attention_at`.
        pixels: pairs (y, x), the queries.
        title: title of the figure.
        path: PNG file to write.
    """
    heads, queries = maps.shape[:2]
    figure, grid = _panels(queries, heads + 1, title)
    for row, (y, x) in enumerate(pixels):
        _show(grid[row, 0], image)
        grid[row, 0].set_ylabel(f"({y}, {x})", fontsize=8)
        grid[row, 0].scatter([x], [y], **QUERY)
        for head in range(heads):
            _overlay(grid[row, head + 1], image, maps[head, row], (y, x))
    grid[0, 0].set_title("query", fontsize=8)
    _title_heads(grid[0, 1:])
    _color_bar(figure, grid, ATTENTION)
    figure.savefig(path, dpi=DPI)


def plot_contact_sheet(image: np.ndarray, maps: Mapping[str, np.ndarray], pixel: tuple[int, int], title: str, path):
    """Draws where a pixel looks in each head of every layer, one row for each layer.

    Args:
        image: uint8 array (height, width, channels).
        maps: dictionary from names of layers to arrays (heads, key height, key width).
        pixel: pair (y, x), the query.
        title: title of the figure.
        path: PNG file to write.
    """
    heads = max(len(of_layer) for of_layer in maps.values())
    figure, grid = _panels(len(maps), heads, title)
    for row, (name, of_layer) in enumerate(maps.items()):
        height, width = of_layer.shape[1:]
        grid[row, 0].set_ylabel(broken(f"{name}\n{height}x{width}"), fontsize=6, parse_math=False)
        for head, axes in enumerate(grid[row]):
            if head < len(of_layer):
                _overlay(axes, image, of_layer[head], pixel)
            else:
                axes.axis("off")
    _title_heads(grid[0])
    _color_bar(figure, grid, ATTENTION)
    figure.savefig(path, dpi=DPI)


def plot_distances(distances: Mapping[str, np.ndarray], image_size: tuple[int, int], title: str, path):
    """Draws how far each head looks, against the depth of its layer.

    Args:
        distances: dictionary that `mean_attention_distance` returns.
        image_size: (height, width) of the image, in pixels.
        title: title of the figure.
        path: PNG file to write.
    """
    figure = Figure(figsize=(max(6.0, 0.5 * len(distances) + 3), 4.8), layout="constrained")
    axes = figure.subplots()
    heads = max(map(len, distances.values()))
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.95, heads))
    for head in range(heads):
        depths = [depth for depth, values in enumerate(distances.values(), 1) if head < len(values)]
        values = [values[head] for values in distances.values() if head < len(values)]
        axes.scatter(depths, values, color=colors[head], s=28, label=f"{head + 1}")
    numbers = range(1, len(distances) + 1)
    axes.plot(numbers, [values.mean() for values in distances.values()], color="black", linewidth=1, label="mean")
    axes.set_xticks(numbers, distances, rotation=90, fontsize=6, parse_math=False)
    axes.set(xlabel="layer, in the order of depth", ylim=(0, None))
    axes.set_ylabel(f"mean attention distance, pixels of {image_size[0]}x{image_size[1]}")
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.grid(alpha=0.3)
    axes.legend(title="head", fontsize=7, ncols=max(1, heads // 8), loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=DPI)


def plot_grad_cam(image: np.ndarray, maps: np.ndarray, labels: Sequence[str], title: str, path):
    """Draws which parts of an image speak for some classes.

    Args:
        image: uint8 array (height, width, channels).
        maps: array (classes, map height, map width), from `grad_cam`.
        labels: the name and the probability of each class, as text.
        title: title of the figure.
        path: PNG file to write.
    """
    figure, grid = _panels(1, len(labels) + 1, title, side=2.2)
    _show(grid[0, 0], image)
    grid[0, 0].set_title("image", fontsize=8)
    for axes, values, label in zip(grid[0, 1:], maps, labels, strict=True):
        _heat(axes, image, values)
        axes.set_title(broken(label, 24), fontsize=8, parse_math=False)
    _color_bar(figure, grid, "Grad-CAM, relative to the largest")
    figure.savefig(path, dpi=DPI)


def plot_rows(rows: Sequence[tuple[np.ndarray, str, Mapping[str, np.ndarray]]], title: str, path):
    """Draws images with maps of them, one row for each image.

    Args:
        rows: triples of an image, uint8 array (height, width, channels), of its title, and of a dictionary from titles
            of maps to arrays (map height, map width), which are scaled to their largest values. At least one.
        title: title of the figure.
        path: PNG file to write, or a file object.
    """
    figure, grid = _panels(len(rows), 1 + max(len(maps) for *_, maps in rows), title, side=1.9)
    for panels, (image, caption, maps) in zip(grid, rows, strict=True):
        _show(panels[0], image)
        panels[0].set_title("\n".join(broken(line, 30) for line in caption.split("\n")), fontsize=7, parse_math=False)
        for axes, (name, values) in zip(panels[1:], maps.items(), strict=True):
            _heat(axes, image, values / max(float(values.max()), 1e-12))
            axes.set_title(broken(name, 28), fontsize=7, parse_math=False)
    _color_bar(figure, grid, "relative to the largest")
    figure.savefig(path, dpi=DPI)


def _panels(rows, columns, title, side=1.15):
    figure = Figure(figsize=(side * columns + 1.2, side * 1.04 * rows + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=10, parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set(xticks=[], yticks=[])
    return figure, grid


def _title_heads(panels):
    for number, axes in enumerate(panels, 1):
        axes.set_title(f"head {number}", fontsize=8)


def _show(axes, image, grey=False):
    """Shows an image, in darker grey if colours are drawn over it."""
    pixels = image if image.shape[-1] == 3 else np.repeat(image[..., :1], 3, axis=-1)
    if grey:
        pixels = np.repeat(DIMMED * pixels.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    axes.imshow(pixels, extent=_extent(image))


def _heat(axes, image, values):
    """Shows values from 0 to 1 over an image."""
    _show(axes, image, grey=True)
    axes.imshow(values, vmin=0, vmax=1, cmap=COLORS, extent=_extent(image), interpolation="bilinear")


def _overlay(axes, image, values, pixel):
    """Shows attention over an image, with the query and the attention of the brightest pixel."""
    _show(axes, image, grey=True)
    largest = max(float(values.max()), 1e-12)
    axes.imshow(values / largest, vmin=0, vmax=1, cmap=COLORS, extent=_extent(image))
    axes.scatter([pixel[1]], [pixel[0]], **QUERY)
    axes.set_xlabel(f"{100 * largest:.3g} %", fontsize=5, labelpad=1)


def _extent(image):
    height, width = image.shape[:2]
    return (-0.5, width - 0.5, height - 0.5, -0.5)


def _color_bar(figure, grid, label):
    colors = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), COLORS)
    bar = figure.colorbar(colors, ax=grid, shrink=min(1.0, 0.6 + 0.2 / len(grid)), aspect=30, pad=0.01)
    bar.ax.set_facecolor((DIMMED / 2,) * 3)  # a grey image of medium brightness
    bar.set_label(label, fontsize=6)
    bar.ax.tick_params(labelsize=6)


def broken(text, length=22):
    """Breaks a name at underscores, slashes and spaces into lines, and shortens what is longer than a line."""
    lines = [""]
    for part in text.replace("_", "_\0").replace("/", "/\0").replace(" ", " \0").replace("\n", "\n\0").split("\0"):
        if lines[-1].endswith("\n") or len(lines[-1]) + len(part) > length:
            lines.append("")
        lines[-1] += part
    return "\n".join(shortened(line.strip(), length) for line in lines if line.strip())


def shortened(text, length=30):
    """Returns a text without its middle if it has more than `length` characters."""
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"
