"""The paper's tables as Markdown: its numbers next to those of the networks here, built and counted.

`doc_tables.py` writes them into docs/models.md.
"""

import dataclasses

from aa_keras.applications import paper

# Titles of the tables of classifiers, and their rows.
CLASSIFIERS = {
    "CIFAR-100 (Table 1), 32x32 pixels": paper.WIDE_RESNETS,
    "ImageNet (Table 2), 224x224 pixels": paper.RESNETS,
    "ImageNet, MnasNets": paper.MNASNETS,
    "ImageNet, BoTNets, 256x256 pixels unless stated otherwise": paper.BOTNETS,
    "ImageNet, shares of attention: kappa = upsilon, at 1 without convolution": paper.RATIOS,
    "ImageNet, position encodings": paper.POSITIONS,
}

DETECTION_COLUMNS = (
    *("network", "parameters", "paper", "GFLOPs", "without attention's products"),
    "AP / AP50 / AP75, paper",
)
DETECTORS_REMARK = """\
The augmented RetinaNets have more parameters than the plain ones, where the paper's have fewer. The reason is the
minimum of 20 channels for the keys of each head, which the paper has in its classifiers. Without it they would have
33.41 and 52.01 M, about as far below the plain ones as in the paper. The plain ones have 0.4 M more than the paper's,
which does not say how its heads and pyramid differ."""


def counted():
    """Returns all tables, with newly counted numbers, in about two minutes."""
    measured = {title: tuple(map(measure, of_table)) for title, of_table in CLASSIFIERS.items()}
    return markdown(measured, tuple(map(measure, paper.DETECTORS)))


def measure(spec):
    """Returns a row with the counted parameters and FLOPs of its network."""
    import keras

    from aa_keras import applications
    from aa_keras.complexity import model_complexity

    with keras.StatelessScope(initialize_variables=False):  # no weights need to be drawn
        model = getattr(applications, spec.builder)(**dict(spec.arguments))
        complexity = model_complexity(model)
        without_products = model_complexity(model, attention_products=False)
    keras.utils.clear_session()
    return dataclasses.replace(
        spec,
        parameters=complexity.parameters,
        gflops=complexity.flops / 1e9,
        gflops_without_products=without_products.flops / 1e9,
    )


def markdown(classifiers=None, detectors=paper.DETECTORS):
    """Returns all tables.

    Args:
        classifiers: dict of titles to `ModelSpec`s, instead of `CLASSIFIERS`.
        detectors: `DetectionSpec`s, likewise.
    """
    blocks = []
    for title, of_table in (classifiers or CLASSIFIERS).items():
        remarks = [f"`{spec.title}`: {spec.remark}." for spec in of_table if spec.remark]
        blocks.append(f"{title}:\n\n{table(columns(_source(title)), *map(cells, of_table))}")
        blocks += remarks
    blocks.append("COCO, 640x640 pixels:\n\n" + table(DETECTION_COLUMNS, *map(detection_cells, detectors)))
    blocks.append(DETECTORS_REMARK)
    return "\n\n".join(blocks) + "\n"


def table(header, *rows):
    """Returns a table as Markdown, without the columns that are empty in all rows."""
    filled = [index for index in range(len(header)) if any(cells[index] for cells in rows)]
    header, *rows = ([cells[index] for index in filled] for cells in (header, *rows))
    return "\n".join([row(header), "| --- " * len(header) + "|", *map(row, rows)])


def row(cells):
    """Returns cells as a row of Markdown."""
    return f"| {' | '.join(cells)} |"


def columns(source):
    """Returns the headers of a table of classifiers, next to the numbers of `source`."""
    counted = ("parameters", source, "GFLOPs", "without attention's products", source)
    return ("network", *counted, f"top-1 / top-5, {source}")


def cells(spec):
    """Returns the cells of a `ModelSpec`."""
    without = spec.gflops if spec.gflops_without_products is None else spec.gflops_without_products
    paper_gflops = "" if spec.paper_gflops is None else f"{spec.paper_gflops}"
    counted = (f"{spec.parameters:,}", _parameters(spec), f"{spec.gflops:.2f}", f"{without:.2f}", paper_gflops)
    return (f"`{spec.title}`", *counted, _results(spec.paper_top1, spec.paper_top5))


def detection_cells(spec):
    """Returns the cells of a `DetectionSpec`."""
    flops = f"{spec.gflops:.2f}", f"{spec.gflops_without_products:.2f}"
    results = _results(spec.paper_ap, spec.paper_ap50, spec.paper_ap75)
    return (f"`{spec.builder}()`", f"{spec.parameters:,}", _parameters(spec), *flops, results)


def _parameters(spec):
    return "" if spec.paper_parameters is None else f"{spec.paper_parameters} M"


def _results(*values):
    return " / ".join(f"{value}" for value in values if value is not None)


def _source(title):
    sources = {"MnasNets": "the authors of MnasNet", "BoTNets": "the authors of BoTNet, or timm"}
    return next((source for family, source in sources.items() if family in title), "paper")
