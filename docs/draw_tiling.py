"""Draws tiling.png, the figure of the kernels' blocks in performance.md: `python docs/draw_tiling.py`."""

import pathlib

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

KEYS, QUERIES, COLUMNS, ROWS, DONE = "#4c78a8", "#e4572e", "#54a24b", "#b279a2", "#c6d4e5"
HEIGHT, WIDTH, PADDED, BLOCK = 6, 13, 16, 8


def cells(axes, corner, rows, columns, side, color, **options):
    """Draws a grid of squares, its first row above; `color` is one, or a function of row and column."""
    for row in range(rows):
        for column in range(columns):
            axes.add_patch(
                Rectangle(
                    (corner[0] + column * side, corner[1] - (row + 1) * side),
                    side * 0.92,
                    side * 0.92,
                    facecolor=color(row, column) if callable(color) else color,
                    edgecolor="none",
                    **options,
                )
            )


def arrow(axes, start, end):
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color="#555555"))


def map_of_keys(axes):
    """The map, whose rows of keys a program sees one after the other."""
    side, corner = 0.19, (0.75, 3.3)

    def color(row, column):
        return KEYS if row == 2 else DONE if row < 2 else "#e8e8e8"

    cells(axes, corner, HEIGHT, WIDTH, side, color)
    end = corner[0] + WIDTH * side
    for row in range(HEIGHT):
        bottom = corner[1] - (row + 1) * side
        shape = ((end, bottom), (PADDED - WIDTH) * side, side * 0.92)
        axes.add_patch(Rectangle(*shape, facecolor="none", edgecolor="#999999", hatch="////", linewidth=0))
    axes.text(end + 1.5 * side, corner[1] + 0.12, "$-\\infty$", ha="center", fontsize=10, color="#555555")
    axes.text(corner[0] + WIDTH * side / 2, corner[1] + 0.12, f"keys, {HEIGHT} x {WIDTH}", ha="center", fontsize=10)
    arrow(axes, (0.55, 3.25), (0.55, 2.15))
    axes.text(0.42, 2.7, "row by row", rotation=90, ha="center", va="center", fontsize=9)
    note = "A block of keys is one row of the map.\nIts end is padded to a power of two."
    axes.text(2.2, 1.75, note, ha="center", va="top", fontsize=9)


def logits_of_block(axes):
    """The logits of a block of queries and of a row of keys."""
    side, top = 0.14, 3.2
    parts = (
        (4.6, PADDED, KEYS, "$q_i \\cdot k_j$", "queries x keys of the row:\na product of matrices"),
        (7.6, PADDED, COLUMNS, "logits of columns", "the same for every row:\nloaded once, in registers"),
        (10.6, 1, ROWS, "logit of the row", "one number\nfor each query"),
    )
    for left, columns, color, title, note in parts:
        cells(axes, (left, top), BLOCK, columns, side, color)
        center = left + columns * side / 2
        axes.text(center, top + 0.14, title, ha="center", fontsize=10)
        axes.text(center, top - BLOCK * side - 0.12, note, ha="center", va="top", fontsize=9)
    for x in (7.22, 10.22):
        axes.text(x, top - BLOCK * side / 2, "+", ha="center", va="center", fontsize=16)
    axes.text(4.45, top - BLOCK * side / 2, "block of queries", rotation=90, ha="center", va="center", fontsize=9)
    steps = (
        "exponentials of these, less the largest so far of each query, times the values of the row;\n"
        "then the next row. No more than one block of logits exists at a time."
    )
    axes.text(7.9, 1.15, steps, ha="center", va="top", fontsize=9)


def main():
    figure = Figure(figsize=(11.4, 3.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0.2, 11.6), ylim=(0.4, 4.0))
    axes.set_aspect("equal")
    axes.axis("off")
    map_of_keys(axes)
    logits_of_block(axes)
    figure.savefig(pathlib.Path(__file__).with_name("tiling.png"), dpi=140)


if __name__ == "__main__":
    main()
