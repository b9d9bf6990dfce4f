"""The paper's tables in Markdown, its numbers beside those of the networks here."""

from aa_keras.applications import specs

HEADER = (
    "| network | parameters | paper | GFLOPs | without attention's products | paper | top-1 / top-5, paper | here |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
# Titles of the tables of classifiers, and their rows.
CLASSIFIERS = {
    "CIFAR-100 (Table 1), 32x32 pixels": specs.WIDE_RESNETS,
    "ImageNet (Table 2), 224x224 pixels": specs.RESNETS,
    "ImageNet, MnasNets; accuracies as the authors of MnasNet publish them, those of the paper are not at hand": (
        specs.MNASNETS
    ),
    "ImageNet, more and more attention: kappa = upsilon, at 1 without convolution": specs.RATIOS,
    "ImageNet, encodings of positions": specs.POSITIONS,
}


def row(spec, here=""):
    """Returns the row of a `ModelSpec`; `here` is what stands for the accuracies measured here."""
    accuracies = [f"{value}" for value in (spec.paper_top1, spec.paper_top5) if value is not None]
    paper_parameters = "" if spec.paper_parameters is None else f"{spec.paper_parameters} M"
    without = spec.gflops if spec.gflops_without_products is None else spec.gflops_without_products
    paper_gflops = "" if spec.paper_gflops is None else spec.paper_gflops
    return (
        f"| `{spec.title}` | {spec.parameters:,} | {paper_parameters} | {spec.gflops:.2f} | {without:.2f} | "
        f"{paper_gflops} | {' / '.join(accuracies)} | {here} |"
    )


def markdown(classifiers=None):
    """Returns all tables.

    Args:
        classifiers: dict of titles to `ModelSpec`s, with numbers that were measured in place of those in `CLASSIFIERS`.
    """
    blocks = []
    for title, of_table in (classifiers or CLASSIFIERS).items():
        remarks = [f"`{spec.title}`: {spec.remark}." for spec in of_table if spec.remark]
        blocks.append("\n".join([f"{title}:", "", *HEADER, *map(row, of_table)]))
        blocks += remarks
    blocks.append("COCO, RetinaNets; the networks are not here yet:\n\n" + _detectors())
    return "\n\n".join(blocks) + "\n"


def _detectors():
    lines = ["| backbone | AP / AP50 / AP75, paper | here |", "| --- | --- | --- |"]
    for spec in specs.DETECTORS:
        lines.append(f"| `{spec.backbone}` | {spec.paper_ap} / {spec.paper_ap50} / {spec.paper_ap75} | |")
    return "\n".join(lines)
