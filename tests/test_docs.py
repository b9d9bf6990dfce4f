"""README and the documentation say what is so: tables, links, recipes, commands, and the site builds."""

import json
import pathlib
import re
import sys

import pytest
from helpers.wheel import ROOT, run

import aa_keras
from aa_keras import applications
from aa_keras.applications import pretrained
from aa_keras.applications.paper import CLASSIFIERS, DETECTORS
from aa_keras.cli import COMMANDS
from aa_keras.recipes import list_recipes
from aa_keras.recipes.fields import FIELDS

RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def doc_tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import doc_tables

        yield doc_tables


def test_readme_is_short():
    assert len(read("README.md").splitlines()) <= 150


def test_the_tables_are_those_of_the_specs_and_of_the_measurements(doc_tables):
    """tests/applications/test_parameter_counts.py counts the specs."""
    for page in doc_tables.TABLES:
        assert doc_tables.with_tables(page) == read(page), f"python benchmarks/doc_tables.py writes {page}"
    named = re.findall(r"^\| `(\w+)\(", read("docs/models.md"), flags=re.MULTILINE)
    assert set(named) == {spec.builder for spec in (*CLASSIFIERS, *DETECTORS)}
    assert set(doc_tables.ABLATIONS) == {path.parent.name for path in RESULTS.glob("ablations/*/table.md")}


def test_columns_without_anything_are_left_out(doc_tables):
    assert doc_tables.table(("a", "b", "c"), ("1", "", ""), ("2", "", "3")).splitlines() == [
        *("| a | c |", "| --- | --- |", "| 1 |  |", "| 2 | 3 |")
    ]


def test_the_networks_of_timm_agree():
    measured = json.loads((RESULTS / "timm_parity.json").read_text(encoding="utf-8"))
    assert all(row["largest_difference"] < 1e-4 for row in measured)
    assert all(row["parameters"] == row["parameters_here"] for row in measured)
    assert max(row["largest_difference"] for row in measured) < 7e-6  # what README says


def test_the_exports_agree_on_all_test_images():
    of_all = json.loads((RESULTS / "exports_10000.json").read_text(encoding="utf-8"))
    accuracies = {name: f"{row['top1']:.2%}" for name, row in of_all["networks"].items()}
    assert accuracies["Keras"] == accuracies["SavedModel"] == accuracies["ONNX"] == accuracies["LiteRT"] == "75.57%"
    smaller = ", ".join(f"{name} {accuracies[f'LiteRT, {name}']}" for name in ("float16", "int8", "int8, calibrated"))
    text = read("docs/exporting.md").replace("\n", " ")
    assert f"On all 10,000 test images: float32 75.57%, {smaller}" in text


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Checks links in the repository; the strict build follows those of the site."""
    targets = re.findall(r"\]\((?!\w+:|#)([^)\s#]+)|^\[[^]]+\]: (?!\w+:)(\S+)$", read(page), flags=re.MULTILINE)
    paths = [(ROOT / page).parent / (inline or reference) for inline, reference in targets]
    assert [path for path in paths if re.search(r"\.\w+$", path.name) and not path.exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_recipes_fields_and_commands_exist(page):
    text = read(page)
    recipes = set(re.findall(r"--config=([a-z]\w+)\b(?!/|\.)", text))
    assert recipes <= set(list_recipes())
    assert set(re.findall(r"--config\.(\w+)", text)) <= {*FIELDS, "FIELD"}
    for command, flags in re.findall(r"aa-keras ([a-z]+)((?: (?!#)[^\s|`#]+)*)", text):
        assert command in COMMANDS
        own = {flag[1][0] for flag in COMMANDS[command].flags}
        assert set(re.findall(r"--(\w+)", flags)) <= own | {"config", "help"}, f"aa-keras {command} {flags}"


def test_readme_counts():
    text = " ".join(read("README.md").split())
    (cifar100,) = (each for each in pretrained.PRETRAINED if each.name == "cifar100")
    scores = dict(cifar100.scores)
    assert f"{len(applications.__all__)} builders" in text
    assert f"{scores['top1']:.1f} % top-1 on CIFAR-100" in text
    assert f"{scores['top1']:.1f} / {scores['top5']:.1f} on CIFAR-100" in text
    rows = (RESULTS / "attention.md").read_text(encoding="utf-8").splitlines()
    ratios = [float(row.split("|")[3]) for row in rows if re.match(r"\| \d", row) and not row.startswith("| 7x7")]
    assert f"From 14x14 positions, training is {min(ratios):.1f} to {max(ratios):.1f} times as fast" in text


def test_the_results_are_those_of_the_shipped_weights():
    text = read("docs/results.md")
    weights = ROOT / "applications" / "trained"
    cifar100, bccd = (
        json.loads((weights / name / "result.json").read_text(encoding="utf-8"))
        for name in ("aa_wide_resnet16_4_cifar100", "aa_retinanet_bccd")
    )
    assert f"| {100 * cifar100['top1']:.2f}, " in text
    precisions = " / ".join(f"{100 * bccd[name]:.1f}" for name in ("ap", "ap50", "ap75"))
    last = (weights / "aa_retinanet_bccd" / "metrics.csv").read_text(encoding="utf-8").splitlines()[-1]
    validation = " / ".join(f"{100 * float(value):.1f}" for value in last.split(",")[-3:])
    assert f"| BCCD | {validation} | {precisions} |" in text


def test_versions_agree():
    assert f"version: {aa_keras.__version__}\n" in read("CITATION.cff")
    assert f"\n## [{aa_keras.__version__}] - " in read("CHANGELOG.md")
    assert f"dist/aa_keras-{aa_keras.__version__}-py3-none-any.whl" in read("docs/installation.md")


def test_english_is_plain():
    """The words that CONTRIBUTING.md advises against: files that people read have none of them."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "applications" / "trained").rglob("*.md")]
    for folder in ("aa_keras", "applications", "benchmarks", "docs", "tests"):
        files += (ROOT / folder).rglob("*.py")
    odd = re.compile(r"\banew\b|\bshall\b|\bgo(?:es)? on (?:behind|with|where|from)\b|\btells?\b|# (?:Of|And) ")
    texts = {file: file.read_text(encoding="utf-8") for file in files if file != pathlib.Path(__file__)}
    assert len(texts) > 300
    assert {file.name: odd.findall(text) for file, text in texts.items() if odd.search(text)} == {}


def test_the_site_builds_without_a_broken_link(tmp_path):
    run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path], ROOT)
    reference = (tmp_path / "api" / "applications.html").read_text(encoding="utf-8")
    assert 'id="aa_keras.applications.AAResNet50"' in reference
    pages = [*tmp_path.rglob("*.html")]
    assert len(pages) > 25
    fetched = [re.findall(r'(?:src|rel="stylesheet" href)="(https?:[^"]+)', page.read_text("utf-8")) for page in pages]
    assert not any(fetched)  # all of it comes with the site
