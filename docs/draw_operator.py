"""Draws operator.png, the README's figure of the attention-augmented convolution: `python docs/draw_operator.py`."""

import pathlib

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

CONVOLUTION, ATTENTION, DATA = "#4c78a8", "#e4572e", "#e8e8e8"


def box(axes, center, size, text, color, text_color="white"):
    (x, y), (width, height) = center, size
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, boxstyle=style, facecolor=color, edgecolor="none"
        )
    )
    axes.text(x, y, text, ha="center", va="center", color=text_color, fontsize=9, linespacing=1.35)


def arrow(axes, start, end, bend=0.0):
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, color="#555555", connectionstyle=f"arc3,rad={bend}"
        )
    )


def attention_map(axes, corner, query, side=0.17, cells=7):
    """Draws a map of pixels, shaded by their attention to one of them."""
    for row in range(cells):
        for column in range(cells):
            distance = abs(row - query[0]) + 0.7 * abs(column - query[1])
            weight = max(0.06, 1 - 0.2 * distance)
            place = (corner[0] + column * side, corner[1] + (cells - 1 - row) * side)
            is_query = (row, column) == query
            axes.add_patch(
                Rectangle(
                    place,
                    side * 0.9,
                    side * 0.9,
                    facecolor=ATTENTION,
                    alpha=weight,
                    edgecolor="black" if is_query else "none",
                    linewidth=1.4,
                )
            )


def main():
    figure = Figure(figsize=(11, 4.3))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 11), ylim=(0, 4.3))
    axes.axis("off")

    box(axes, (0.95, 2.15), (1.3, 0.9), "input\n$H \\times W \\times F_{in}$", DATA, "black")
    box(axes, (5.05, 3.65), (3.1, 0.75), "$k \\times k$ convolution\n$F_{out} - d_v$ channels", CONVOLUTION)
    arrow(axes, (1.62, 2.35), (3.45, 3.65), -0.25)

    box(axes, (2.85, 1.25), (1.25, 0.85), "$1 \\times 1$ conv\nq | k | v", ATTENTION)
    arrow(axes, (1.62, 1.95), (2.2, 1.4), 0.15)
    arrow(axes, (3.5, 1.25), (3.98, 1.25))
    attention_map(axes, (4.05, 0.65), (2, 3))
    axes.text(
        4.65, 2.12, "each pixel attends to every pixel,\nin each of $N_h$ heads", ha="center", va="center", fontsize=9
    )
    axes.text(
        4.65,
        0.3,
        "softmax( $(q_i \\cdot k_j + q_i \\cdot r^H_{y_j - y_i} + q_i \\cdot r^W_{x_j - x_i})\\ /\\ "
        "\\sqrt{d_k / N_h}$ )",
        ha="center",
        va="center",
        fontsize=10,
    )
    arrow(axes, (5.3, 1.25), (5.8, 1.25))
    box(axes, (6.5, 1.25), (1.35, 0.85), "heads concat,\n$1 \\times 1$ conv\n$d_v$ channels", ATTENTION)

    for bottom, height, color, text in (
        (1.55, 0.42, ATTENTION, "$d_v$"),
        (1.99, 1.0, CONVOLUTION, "$F_{out} - d_v$"),
    ):
        axes.add_patch(Rectangle((8.2, bottom), 1.15, height, facecolor=color, edgecolor="none"))
        axes.text(8.775, bottom + height / 2, text, ha="center", va="center", color="white", fontsize=10)
    axes.text(8.775, 1.3, "concatenate channels", ha="center", va="center", fontsize=9)
    arrow(axes, (6.65, 3.65), (8.15, 2.6), -0.25)
    arrow(axes, (7.22, 1.25), (8.15, 1.72), 0.2)
    arrow(axes, (9.4, 2.2), (9.72, 2.2))
    box(axes, (10.35, 2.2), (1.15, 0.9), "output\n$H \\times W \\times F_{out}$", DATA, "black")
    figure.savefig(pathlib.Path(__file__).with_name("operator.png"), dpi=160)


if __name__ == "__main__":
    main()
