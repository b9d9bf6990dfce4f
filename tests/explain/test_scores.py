"""Attention scores of whole networks: their layers, queries and sizes, and their measures."""

import keras
import numpy as np
import pytest
from helpers import oracle
from helpers.explain import augmented, images_of, small_network
from helpers.layers import attention_weights, outputs_of, randomize_weights, slow_on_jax, to_numpy, with_random_weights
from keras import ops

import aa_keras
from aa_keras import explain
from aa_keras.applications import AAResNet
from aa_keras.explain import scores as scores_module
from aa_keras.layers import SelfAttention2D
from aa_keras.layers._resampling import average_pool

pytestmark = pytest.mark.backend

SIZES = {
    "pooled": (6, 5),
    "strided": (6, 5),
    "shared": (6, 5),
    "shared#2": (6, 5),
    "inner/deep": (6, 5),
    "bare": (6, 5),
}


def test_every_layer_has_its_scores_and_the_model_stays_as_it_is():
    model, images = small_network(), images_of(2, 12, 10, 3)
    before, outputs = model.get_weights(), outputs_of(model, images)
    scores = explain.attention_scores(model, images)
    assert {name: array.shape for name, array in scores.items()} == {
        name: (2, 2, *size, *size) for name, size in SIZES.items()
    }
    assert list(scores) == list(SIZES)  # in the order in which they run
    assert scores.image_size == (12, 10)
    for array in scores.values():
        np.testing.assert_allclose(array.sum(axis=(-1, -2)), 1, atol=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(outputs_of(model, images), outputs)


def test_the_scores_are_those_of_the_layers_and_of_the_oracle():
    model, images = small_network(), images_of(2, 12, 10, 3)
    scores = explain.attention_scores(model, images)
    pooled = model.get_layer("pooled")
    attended = average_pool(ops.convert_to_tensor(images), (2, 2))
    _, own = pooled.self_attention(attended, return_attention_scores=True)
    np.testing.assert_allclose(scores["pooled"].reshape(2, 2, 30, 30), to_numpy(own), atol=1e-5)
    _, expected = oracle.self_attention(to_numpy(attended), attention_weights(pooled), 2, 3, 1, "relative")
    np.testing.assert_allclose(scores["pooled"].reshape(2, 2, 30, 30), expected, atol=1e-5)
    # The input of a layer is the output of the layers before it.
    made = pooled(images)
    strided = model.get_layer("strided")
    _, own = strided.self_attention(average_pool(made, (2, 2)), return_attention_scores=True)
    np.testing.assert_allclose(scores["strided"].reshape(2, 2, 30, 30), to_numpy(own), atol=1e-5)
    first, second = scores["shared"], scores["shared#2"]
    assert np.abs(first - second).max() > 1e-3


def test_queries_are_a_part_of_all_whatever_the_blocks(monkeypatch):
    model, images = small_network(), images_of(1, 12, 10, 3)
    whole = explain.attention_scores(model, images, layers=["strided", "bare"])
    assert list(whole) == ["strided", "bare"]
    monkeypatch.setattr(scores_module, "BLOCK_BYTES", 4 * 2 * 30 * 4)  # 4 queries at a time
    asked = []
    original = SelfAttention2D.attention_scores
    monkeypatch.setattr(
        SelfAttention2D,
        "attention_scores",
        lambda layer, inputs, positions=None: asked.append(len(positions)) or original(layer, inputs, positions),
    )
    some = explain.attention_scores(model, images, layers=["strided", "bare"], queries=3)
    assert max(asked) == 4
    assert len(asked) == 2 * 3  # 9 queries each
    for name, array in whole.items():
        np.testing.assert_allclose(some[name], array[:, :, [1, 3, 5]][:, :, :, [1, 3, 4]], atol=1e-6)
    at = explain.attention_at(model, images, [(0, 0), (11, 9), (5, 7)], layers="bare")["bare"]
    for number, (y, x) in enumerate([(0, 0), (5, 4), (2, 3)]):
        np.testing.assert_allclose(at[:, :, number], whole["bare"][:, :, y, x], atol=1e-6)


@slow_on_jax
def test_networks_of_any_size_reloaded_and_augmented(tmp_path):
    model = randomize_weights(AAResNet(18, width=8, blocks=(1, 1, 1, 1), weights=None, input_shape=(None, None, 3)))
    model.save(tmp_path / "model.keras")
    images = images_of(1, 70, 50, 3)
    scores = explain.attention_scores(model, images)
    again = explain.attention_scores(keras.models.load_model(tmp_path / "model.keras"), images)
    assert {name: array.shape[2:4] for name, array in scores.items()} == {
        name: array.shape[2:4] for name, array in again.items()
    }
    assert next(iter(scores.values())).shape[2:4] == (5, 4)
    for name in scores:
        np.testing.assert_allclose(again[name], scores[name], atol=1e-6)
    plain = keras.Sequential([keras.Input((9, 7, 3)), keras.layers.Conv2D(16, 3, padding="same", name="convolution")])
    network = aa_keras.augment(plain, num_heads=2)
    assert explain.attention_scores(network, images_of(1, 9, 7, 3))["convolution"].shape == (1, 2, 9, 7, 9, 7)


def test_images_of_any_kind():
    """NumPy's and the backend's; of whole numbers, too."""
    model, images = small_network(), np.round(5 * images_of(1, 12, 10, 3))
    expected = explain.attention_scores(model, images, layers="strided")["strided"]
    for same in (images.astype("int32"), images.astype("float64"), ops.convert_to_tensor(images)):
        found = explain.attention_scores(model, same, layers="strided")["strided"]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_layer_alone():
    layer = with_random_weights(SelfAttention2D(2, 3, name="attention"), (None, 4, 5, 6))
    inputs = images_of(1, 4, 5, 6)
    scores = explain.attention_scores(layer, inputs)["attention"]
    _, own = layer(inputs, return_attention_scores=True)
    np.testing.assert_allclose(scores.reshape(1, 2, 20, 20), to_numpy(own), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": ["stridden"]}, "such as 'strided'. Received: 'stridden'"),
        ({"queries": 0}, "positive integer or None. Received: queries=0"),
        ({"images": np.zeros((1, 12, 10, 3)).tolist()}, r"channels\). Received: shape \[\(\), \(\), \(\)\]$"),
        ({"images": np.zeros((12, 10, 3))}, r"must have the shape \(batch, height"),
        ({"images": np.zeros((1, 12, 11, 3))}, r"shape \(None, 12, 10, 3\), which the model takes"),
    ],
)
def test_what_cannot_be_asked(arguments, message):
    with pytest.raises(ValueError, match=message):
        explain.attention_scores(small_network(), **{"images": images_of(1, 12, 10, 3), **arguments})


def test_a_layer_that_does_not_run():
    model = small_network()
    part = keras.Model(model.inputs, model.get_layer("pooled").output)
    part.unused = augmented("unused")
    part.unused.build((None, 6, 5, 3))
    assert list(explain.attention_scores(part, images_of(1, 12, 10, 3))) == ["pooled"]
    with pytest.raises(ValueError, match=r"names of layers that run.* 'unused'"):
        explain.attention_scores(part, images_of(1, 12, 10, 3), layers="unused")


def test_pixels_lie_in_the_image():
    with pytest.raises(ValueError, match="at least one"):
        explain.attention_at(small_network(), images_of(1, 12, 10, 3), [])
    with pytest.raises(ValueError, match=r"to \(11, 9\). Received: \(12, 0\)"):
        explain.attention_at(small_network(), images_of(1, 12, 10, 3), [(12, 0)])


def test_a_network_without_attention():
    plain = keras.Sequential([keras.Input((9, 7, 3)), keras.layers.Conv2D(4, 3)], name="plain")
    with pytest.raises(ValueError, match="must have attention layers, and 'plain' has none"):
        explain.attention_scores(plain, images_of(1, 9, 7, 3))


def test_distances_are_pixels_of_the_image():
    identity = np.eye(6).reshape(1, 1, 2, 3, 2, 3)
    # Each pixel attends to the one that lies a row below or above, and half as much to itself.
    below = np.eye(6)[[3, 4, 5, 0, 1, 2]].reshape(1, 1, 2, 3, 2, 3)
    scores = explain.AttentionScores({"layer": np.concatenate([identity, (below + identity) / 2], axis=1)}, (20, 60))
    np.testing.assert_allclose(explain.mean_attention_distance(scores)["layer"], [0, 5])  # rows are 10 pixels apart
    sideways = np.eye(6)[[1, 0, 1, 4, 3, 4]].reshape(1, 1, 2, 3, 2, 3)
    scores = explain.AttentionScores({"layer": sideways}, (20, 60))
    np.testing.assert_allclose(explain.mean_attention_distance(scores)["layer"], [20])
    with pytest.raises(ValueError, match=r"what `attention_scores` returns.* dict"):
        explain.mean_attention_distance(dict(scores))
    thinned = explain.AttentionScores({"layer": sideways[:, :, 1:, 1:2]}, (20, 60), queries=1)
    np.testing.assert_allclose(explain.mean_attention_distance(thinned)["layer"], [20])


def test_rollout_multiplies_layers():
    generator = np.random.default_rng(0)
    first, second = (generator.dirichlet(np.ones(4), (1, 2, 4)).astype("float32") for _ in range(2))
    scores = explain.AttentionScores(
        {name: array.reshape(1, 2, 2, 2, 2, 2) for name, array in (("a", first), ("b", second))}, (4, 4)
    )
    flow = (second.mean(1) / 2 + np.eye(4) / 2) @ (first.mean(1) / 2 + np.eye(4) / 2)
    np.testing.assert_allclose(explain.attention_rollout(scores), flow.mean(1).reshape(1, 2, 2), atol=1e-6)


def test_rollout_of_maps_of_different_sizes():
    """Where attention is the identity, each pixel gets the same share."""
    scores = explain.AttentionScores(
        {"large": np.eye(24).reshape(1, 1, 4, 6, 4, 6), "small": np.eye(6).reshape(1, 1, 2, 3, 2, 3)}, (8, 12)
    )
    np.testing.assert_allclose(explain.attention_rollout(scores), np.full((1, 4, 6), 1 / 24), atol=1e-6)
    # Where the small map looks at its first pixel alone, the quarter of the large one below it shares all.
    looking = np.zeros((1, 1, 2, 3, 2, 3))
    looking[..., 0, 0] = 1
    rolled = explain.attention_rollout(explain.AttentionScores({**scores, "small": looking}, (8, 12)), residual=0)
    expected = np.zeros((1, 4, 6))
    expected[:, :2, :2] = 0.25
    np.testing.assert_allclose(rolled, expected, atol=1e-6)
    with pytest.raises(ValueError, match="must have all queries"):
        explain.attention_rollout(explain.AttentionScores({"small": looking[:, :, :1]}, (8, 12)))
