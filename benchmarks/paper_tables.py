"""Prints the tables of the paper, the networks here built and counted beside it, and writes them into README.md.

python benchmarks/paper_tables.py                   # about two minutes; `make tables`
python benchmarks/paper_tables.py --check           # writes nothing, and fails where README.md says otherwise
"""

import dataclasses
import os
import pathlib
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from aa_keras.applications import paper
from aa_keras.evaluation import detection_report
from aa_keras.evaluation.report import cells, columns, row

README = pathlib.Path(__file__).parents[1] / "README.md"
BETWEEN = re.compile(r"(?<=<!-- paper tables -->\n).*?(?=<!-- end of paper tables -->)", re.DOTALL)

# Titles of the tables of classifiers, and their rows.
CLASSIFIERS = {
    "CIFAR-100 (Table 1), 32x32 pixels": paper.WIDE_RESNETS,
    "ImageNet (Table 2), 224x224 pixels": paper.RESNETS,
    "ImageNet, MnasNets": paper.MNASNETS,
    "ImageNet, BoTNets, 256x256 pixels unless it is said": paper.BOTNETS,
    "ImageNet, more and more attention: kappa = upsilon, at 1 without convolution": paper.RATIOS,
    "ImageNet, encodings of positions": paper.POSITIONS,
}

DETECTORS_REMARK = """\
The augmented RetinaNets have more parameters than the plain ones, where the paper's have fewer: for keys of at least
20 dimensions a head, as the paper has them in its classifiers. Without that minimum they would have 33.41 and 52.01 M,
about as much below the plain ones as in the paper. The plain ones have 0.4 M more than the paper's, which does not tell
how its heads and pyramid differ."""

CHECK = flags.DEFINE_bool("check", False, "Compare with README.md instead of writing it.")


def main(_):
    measured = {title: tuple(map(measure, of_table)) for title, of_table in CLASSIFIERS.items()}
    text = markdown(measured, tuple(map(measure, paper.DETECTORS)))
    print(text)
    readme = README.read_text(encoding="utf-8")
    if not BETWEEN.search(readme):
        raise SystemExit("paper_tables.py: README.md lacks the comments between which the tables stand")
    written = BETWEEN.sub(lambda _: f"\n{text}\n", readme)
    if CHECK.value and written != readme:
        raise SystemExit("paper_tables.py: the tables in README.md are not these")
    if not CHECK.value:
        README.write_text(written, encoding="utf-8")


def measure(spec):
    """Returns a row with the parameters and FLOPs of the network as it is built now."""
    import keras

    from aa_keras import applications
    from aa_keras.complexity import model_complexity

    with keras.StatelessScope(initialize_variables=False):  # no numbers need to be drawn
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
        classifiers: dict of titles to `ModelSpec`s, with numbers that were measured in place of those in `CLASSIFIERS`.
        detectors: `DetectionSpec`s, likewise.
    """
    blocks = []
    for title, of_table in (classifiers or CLASSIFIERS).items():
        remarks = [f"`{spec.title}`: {spec.remark}." for spec in of_table if spec.remark]
        blocks.append("\n".join([f"{title}:", "", *_header(title), *map(row, map(cells, of_table))]))
        blocks += remarks
    blocks.append("COCO, 640x640 pixels:\n\n" + _detectors(detectors))
    blocks.append(DETECTORS_REMARK)
    return "\n\n".join(blocks) + "\n"


def _header(title):
    sources = {"MnasNets": "the authors of MnasNet", "BoTNets": "the authors of BoTNet, or timm"}
    source = next((source for family, source in sources.items() if family in title), "paper")
    return row(columns(source)), "| --- " * len(columns()) + "|"


def _detectors(specs):
    header = row(detection_report.COLUMNS), "| --- " * len(detection_report.COLUMNS) + "|"
    return "\n".join([*header, *map(row, map(detection_report.cells, specs))])


if __name__ == "__main__":
    app.run(main)
