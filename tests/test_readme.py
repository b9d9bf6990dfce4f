"""The README says what is so."""

import pathlib
import re

from aa_keras import tables
from aa_keras.applications.specs import CLASSIFIERS

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_of_the_paper_are_those_of_the_specs():
    """`benchmarks/paper_tables.py` writes them; tests/applications/test_parameter_counts.py counts."""
    between = README.split("<!-- paper tables -->\n")[1].split("<!-- end of paper tables -->")[0]
    assert between == f"\n{tables.markdown()}\n"
    assert set(re.findall(r"^\| `(\w+)\(", between, flags=re.MULTILINE)) == {spec.builder for spec in CLASSIFIERS}


def test_the_ablations_are_those_of_the_runs():
    tables = sorted((ROOT / "benchmarks" / "results").glob("ablations/*/table.md"))
    assert len(tables) == 5
    for table in tables:
        assert table.read_text(encoding="utf-8") in README
        assert f"](benchmarks/results/ablations/{table.parent.name}/plot.png)" in README


def test_files_that_the_readme_names_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    recipes = re.findall(r"configs/\w+\.py", README)
    assert links
    assert recipes
    assert [path for path in links + recipes if not (ROOT / path).exists()] == []
