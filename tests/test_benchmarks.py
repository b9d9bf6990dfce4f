"""What the benchmarks compare with, and that README tells what they measured."""

import json
import pathlib
import sys

import numpy as np
import pytest

from aa_keras import attention

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def published(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import published

    yield published
    del sys.modules["published"]


def test_the_published_algorithm_computes_what_ours_does(published):
    generator = np.random.default_rng(0)

    def draw(*shape):
        return generator.normal(size=shape).astype("float32")

    queries, keys, values = draw(2, 3, 5, 7, 4), draw(2, 3, 5, 7, 4), draw(2, 3, 5, 7, 6)
    height_table, width_table = draw(9, 4), draw(13, 4)
    theirs = published.attention_2d(queries, keys, values, height_table, width_table)
    embeddings = [attention.relative_embeddings(height_table, 5), attention.relative_embeddings(width_table, 7)]
    ours = attention.attention_2d(queries, keys, values, *embeddings, implementation="dense")
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-6)


def test_readme_has_the_measured_ratios():
    tables = (RESULTS / "attention.md").read_text(encoding="utf-8").split("\n\n")
    assert len(tables) == 4  # a title and a table for each of two networks
    assert all(table.strip() in README for table in tables[1::2])


def test_the_docs_have_the_measured_exports():
    docs = (ROOT / "docs" / "exporting.md").read_text(encoding="utf-8")
    assert (RESULTS / "exports.md").read_text(encoding="utf-8") in docs
    of_all = json.loads((RESULTS / "exports_10000.json").read_text(encoding="utf-8"))
    accuracies = {name: f"{row['top1']:.2%}" for name, row in of_all["networks"].items()}
    assert accuracies["Keras"] == accuracies["SavedModel"] == accuracies["ONNX"] == accuracies["LiteRT"] == "75.57%"
    smaller = ", ".join(f"{name} {accuracies[f'LiteRT, {name}']}" for name in ("float16", "int8", "int8, calibrated"))
    assert f"On all 10,000 test images: float32 75.57%, {smaller}" in docs.replace("\n", " ")


def test_readme_has_the_measured_times_of_the_steps():
    milliseconds = json.loads((RESULTS / "breakdown.json").read_text(encoding="utf-8"))["milliseconds"]
    whole = milliseconds.pop("the whole")
    assert f"some {whole:.0f} ms" in README
    for name, each in milliseconds.items():
        assert f"{name} {each:.0f}" in README
