"""The baselines of the benchmarks compute the same as the library."""

import pathlib
import sys

import numpy as np
import pytest
from keras import ops

from aa_keras import attention

ROOT = pathlib.Path(__file__).parents[1]


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
