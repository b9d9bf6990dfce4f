"""The paper's tables in Markdown, its numbers beside those of the networks here."""

from aa_keras.applications import specs

# Titles of the tables of classifiers, and their rows.
CLASSIFIERS = {
    "CIFAR-100 (Table 1), 32x32 pixels": specs.WIDE_RESNETS,
    "ImageNet (Table 2), 224x224 pixels": specs.RESNETS,
    "ImageNet, MnasNets": specs.MNASNETS,
    "ImageNet, more and more attention: kappa = upsilon, at 1 without convolution": specs.RATIOS,
    "ImageNet, encodings of positions": specs.POSITIONS,
}


def row(spec, here=None):
    """Returns the row of a `ModelSpec`; `here` stands for the accuracies measured here in place of the spec's own."""
    if here is None:
        here = " / ".join(f"{value:.1f}" for value in (spec.here_top1, spec.here_top5) if value is not None)
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
        blocks.append("\n".join([f"{title}:", "", *_header(title), *map(row, of_table)]))
        blocks += remarks
    blocks.append("COCO, RetinaNets by their backbones; the networks are not here yet:\n\n" + _detectors())
    return "\n\n".join(blocks) + "\n"


def _header(title):
    source = "the authors of MnasNet" if "MnasNets" in title else "paper"
    columns = ("network", "parameters", source, "GFLOPs", "without attention's products", source)
    columns = (*columns, f"top-1 / top-5, {source}", "here")
    return f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"


def _detectors():
    lines = [
        "| backbone | parameters | paper | GFLOPs | paper | AP / AP50 / AP75, paper | here |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for spec in specs.DETECTORS:
        parameters = "" if spec.paper_parameters is None else f"{spec.paper_parameters} M"
        precisions = f"{spec.paper_ap} / {spec.paper_ap50} / {spec.paper_ap75}"
        lines.append(f"| `{spec.backbone}` |  | {parameters} |  |  | {precisions} |  |")
    return "\n".join(lines)
