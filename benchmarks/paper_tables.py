"""Prints the tables of the paper, the networks here built and counted beside it, and writes them into README.md.

python benchmarks/paper_tables.py                   # about a minute
python benchmarks/paper_tables.py --check           # writes nothing, and fails where README.md says otherwise
"""

import dataclasses
import os
import pathlib
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

README = pathlib.Path(__file__).parents[1] / "README.md"
BETWEEN = re.compile(r"(?<=<!-- paper tables -->\n).*?(?=<!-- end of paper tables -->)", re.DOTALL)

CHECK = flags.DEFINE_bool("check", False, "Compare with README.md instead of writing it.")


def main(_):
    from aa_keras import tables

    measured = {title: tuple(map(measure, of_table)) for title, of_table in tables.CLASSIFIERS.items()}
    text = tables.markdown(measured)
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


if __name__ == "__main__":
    app.run(main)
