"""The README says what is so."""

import json
import pathlib
import re
import runpy

from aa_keras.applications.paper import CLASSIFIERS, DETECTORS
from aa_keras.recipes import list_recipes

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_of_the_paper_are_those_of_the_specs():
    """`benchmarks/paper_tables.py` writes them; tests/applications/test_parameter_counts.py counts."""
    between = README.split("<!-- paper tables -->\n")[1].split("<!-- end of paper tables -->")[0]
    markdown = runpy.run_path(str(ROOT / "benchmarks" / "paper_tables.py"))["markdown"]
    assert between == f"\n{markdown()}\n"
    assert set(re.findall(r"^\| `(\w+)\(", between, flags=re.MULTILINE)) == {
        spec.builder for spec in (*CLASSIFIERS, *DETECTORS)
    }


def test_the_table_of_timms_networks_is_the_one_that_was_measured():
    rows = (ROOT / "benchmarks" / "results" / "timm_parity.md").read_text(encoding="utf-8").split("\n\n", 1)[1]
    assert README.split("<!-- timm parity -->\n\n")[1].split("\n<!-- end of timm parity -->")[0] == rows
    measured = json.loads((ROOT / "benchmarks" / "results" / "timm_parity.json").read_text(encoding="utf-8"))
    assert all(row["largest_difference"] < 1e-4 for row in measured)
    assert all(row["parameters"] == row["parameters_here"] for row in measured)


def test_the_ablations_are_those_of_the_runs():
    tables = sorted((ROOT / "benchmarks" / "results").glob("ablations/*/table.md"))
    assert len(tables) == 5
    for table in tables:
        assert table.read_text(encoding="utf-8") in README
        assert f"](benchmarks/results/ablations/{table.parent.name}/plot.png)" in README


def test_files_that_the_readme_names_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    recipes = set(re.findall(r"--config=(\w+)\b(?!/)", README))
    assert links
    assert [path for path in links if not (ROOT / path).exists()] == []
    assert recipes
    assert recipes <= set(list_recipes())
