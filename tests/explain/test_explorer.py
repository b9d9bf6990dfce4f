"""The explorer's page: what it holds is the network's attention, thinned where it says so, and nothing else."""

import re

import numpy as np
import pytest
from helpers.explain import SHIFT, content_of, images_of, shifting_network, small_network

from aa_keras import explain
from aa_keras.explain import explorer

pytestmark = pytest.mark.jax


def page_of(model, images, **options):
    picture = np.random.default_rng(0).integers(0, 256, images.shape[1:], dtype=np.uint8)
    return explorer.explorer_page(model, images, picture, **options)


def test_the_page_holds_the_attention_of_every_layer():
    model, images = small_network(), images_of(1, 12, 10, 3)
    content = content_of(page_of(model, images, predictions=[("cat", 0.75)], layer="strided"))
    scores = explain.attention_scores(model, images)
    assert [layer["name"] for layer in content["layers"]] == list(scores)
    assert content["layers"][content["layer"]]["name"] == "strided"
    assert content["predictions"] == [{"label": "cat", "probability": 0.75}]
    distances = explain.mean_attention_distance(scores)
    for layer in content["layers"]:
        array = scores[layer["name"]][0]
        # Eight bits of each query's largest.
        error = np.abs(layer["attention"] - array).max(axis=(-2, -1)) / array.max(axis=(-2, -1))
        assert error.max() <= 0.5 / 255 + 1e-5
        np.testing.assert_allclose(layer["distances"], distances[layer["name"]], atol=1e-3)
        assert layer["strips"] == [1, 1]


def test_large_maps_are_thinned_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(explorer, "SIDES", (3,))
    model, images = small_network(), images_of(1, 12, 10, 3)
    page = page_of(model, images)
    scores = explain.attention_scores(model, images, layers=["strided"])["strided"][0]
    layer = content_of(page)["layers"][1]
    assert (layer["map"], layer["size"], layer["strips"]) == ([6, 5], [3, 3], [2, 2])
    some = scores[:, [1, 3, 5]][:, :, [1, 3, 4]]
    summed = np.add.reduceat(np.add.reduceat(some, [0, 2, 4], axis=-2), [0, 2, 4], axis=-1)
    np.testing.assert_allclose(layer["attention"], summed, atol=0.5 / 255)
    np.testing.assert_allclose(layer["attention"].sum(axis=(-2, -1)), 1, atol=9 * 0.5 / 255)
    assert "Of 6 of the 6 layers, queries are thinned and keys summed." in page


def test_it_is_made_small_enough_or_refused(monkeypatch):
    model, images = small_network(), images_of(1, 12, 10, 3)
    whole = len(page_of(model, images))
    monkeypatch.setattr(explorer, "SIDES", (16, 3, 2))
    monkeypatch.setattr(explorer, "MOST_BYTES", whole - 1)
    smaller = page_of(model, images)
    assert len(smaller) < whole
    assert content_of(smaller)["layers"][0]["size"] == [3, 3]
    monkeypatch.setattr(explorer, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="too many layers"):
        page_of(model, images)


def test_nothing_in_it_can_become_a_part_of_the_page():
    hostile = "</script><script>alert(1)</script><!-- {{data}} & \u2028"
    page = page_of(small_network(), images_of(1, 12, 10, 3), title=hostile, predictions=[(hostile, 0.5)])
    assert page.count("<script") == 2
    assert "alert(1)</" not in page
    assert content_of(page)["title"] == hostile
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?\s*http""", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy


def test_what_the_browser_tests_go_by():
    """The first head attends to the pixel itself, the second one to the pixel below and two to the right of it."""
    scores = explain.attention_scores(shifting_network(), images_of(1, 8, 12, 3))["shifting"]
    assert scores.shape == (1, 2, 4, 6, 4, 6)
    for y, x in np.ndindex(3, 4):
        assert scores[0, 0, y, x, y, x] > 0.99
        assert scores[0, 1, y, x, y + SHIFT[0], x + SHIFT[1]] > 0.99
