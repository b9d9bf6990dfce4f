"""What the benchmarks compare with, and that README tells what they measured."""

import json
import pathlib
import sys

import numpy as np
import pytest
from keras import ops

from aa_keras import attention

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for name in ("published", "earlier"):
        sys.modules.pop(name, None)


def test_the_published_algorithm_computes_what_ours_does():
    import published

    generator = np.random.default_rng(0)

    def draw(*shape):
        return generator.normal(size=shape).astype("float32")

    queries, keys, values = draw(2, 3, 5, 7, 4), draw(2, 3, 5, 7, 4), draw(2, 3, 5, 7, 6)
    height_table, width_table = draw(9, 4), draw(13, 4)
    theirs = published.attention_2d(queries, keys, values, height_table, width_table)
    embeddings = [attention.relative_embeddings(height_table, 5), attention.relative_embeddings(width_table, 7)]
    ours = attention.attention_2d(queries, keys, values, *embeddings, implementation="dense")
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attention_as_it_was_computes_what_todays_does(dtype):
    import earlier

    generator = np.random.default_rng(0)
    inputs = [ops.convert_to_tensor(generator.normal(size=(2, 3, 5, 7, 4)), dtype) for _ in range(3)]
    tables = [ops.convert_to_tensor(generator.normal(size=(rows, 4)), dtype) for rows in (9, 13)]
    embeddings = [attention.relative_embeddings(table, size) for table, size in zip(tables, (5, 7), strict=True)]

    def attend():
        return ops.cast(attention.attention_2d(*inputs, *embeddings, implementation="dense"), "float32")

    today = attend()
    with earlier.attention_as_it_was():
        assert attention.AttentionSpec(3, 5, 7, 4, 4, True, dtype).logits_dtype == "float32"
        as_it_was = attend()
    np.testing.assert_allclose(today, as_it_was, rtol=0, atol=2e-6 if dtype == "float32" else 0.1)


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
    float32, bfloat16 = (
        json.loads((folder / "breakdown.json").read_text(encoding="utf-8"))
        for folder in (RESULTS, RESULTS / "mixed_bfloat16")
    )
    for name in float32["forward_ms"]:
        times = [of[column][name] for of in (float32, bfloat16) for column in ("forward_ms", "training_ms")]
        assert f"| {name} | {' | '.join(f'{each:.1f}' for each in times)} |" in README


def test_the_docs_have_attention_as_it_was_beside_todays():
    docs = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    table = (RESULTS / "precision.md").read_text(encoding="utf-8").split("\n\n", 1)[1]
    assert len(table.splitlines()) == 3 + len(json.loads((RESULTS / "precision.json").read_text(encoding="utf-8")))
    assert table in docs


def test_the_docs_have_what_a_second_device_brings():
    docs = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    cases = json.loads((RESULTS / "scaling.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 3
    for case in cases:
        rate = case["images_a_second"]
        assert f"| {case['case']} | {rate:.1f} | {rate / cases[0]['images_a_second']:.2f} |" in docs
