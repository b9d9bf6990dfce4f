"""The README says what is so."""

import pathlib
import re

from aa_keras.applications.specs import SPECS

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_zoo_table_has_every_model_with_the_numbers_of_its_spec():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+ \| \d[\d,]+ \| .+) \| [^|]*\|$", README, flags=re.MULTILINE))
    expected = {
        name: f"{spec.dataset} | {spec.parameters:,} | {spec.paper_parameters} M | {spec.gflops:.2f} | "
        f"{spec.paper_gflops} | {spec.paper_top1} / {spec.paper_top5}"
        for name, spec in SPECS.items()
    }
    assert rows == expected


def test_files_that_the_readme_names_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    recipes = re.findall(r"configs/\w+\.py", README)
    assert links
    assert recipes
    assert [path for path in links + recipes if not (ROOT / path).exists()] == []
