"""SelfAttention2D: its weights, their layout, where the values of each pixel go, what the scores are."""

import keras
import numpy as np
import pytest
from helpers.layers import POSITION_ENCODINGS, feature_map, outputs_of, to_numpy, weights_by_name, with_random_weights

from aa_keras.layers import SelfAttention2D

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("position_encoding", "encoded_channels", "tables"),
    [
        ("relative", 6, {"relative/height_table": (7, 5), "relative/width_table": (9, 5)}),
        ("sinusoidal", 6, {}),
        ("coordinates", 8, {}),
        (None, 6, {}),
    ],
)
def test_weights(position_encoding, encoded_channels, tables):
    layer = SelfAttention2D(num_heads=3, key_dim=5, value_dim=2, position_encoding=position_encoding)
    layer.build((None, 4, 5, 6))
    assert {name: value.shape for name, value in weights_by_name(layer).items()} == {
        **tables,
        "qkv/kernel": (1, 1, encoded_channels, 3 * (5 + 5 + 2)),
        "qkv/bias": (36,),
        "output/kernel": (1, 1, 6, 6),
        "output/bias": (6,),
    }
    assert len(layer.trainable_weights) == len(layer.weights)


def test_value_dim_is_key_dim_unless_it_is_given():
    assert SelfAttention2D(num_heads=3, key_dim=5).compute_output_shape((2, 4, 4, 7)) == (2, 4, 4, 15)


def test_use_bias_false_leaves_no_bias_anywhere():
    layer = SelfAttention2D(num_heads=2, key_dim=3, use_bias=False)
    layer.build((None, 4, 4, 5))
    assert set(weights_by_name(layer)) == {
        "qkv/kernel",
        "output/kernel",
        "relative/height_table",
        "relative/width_table",
    }


def test_without_the_output_projection_the_heads_are_the_output():
    whole = with_random_weights(SelfAttention2D(2, key_dim=3, value_dim=4), (None, 4, 5, 6))
    bare = SelfAttention2D(2, key_dim=3, value_dim=4, use_output_projection=False)
    bare.build((None, 4, 5, 6))
    weights = weights_by_name(whole)
    assert set(weights) - set(weights_by_name(bare)) == {"output/kernel", "output/bias"}
    bare.set_weights([weights[name] for name in weights_by_name(bare)])
    inputs = feature_map(2, 4, 5, 6)
    projected = to_numpy(bare(inputs)) @ weights["output/kernel"][0, 0] + weights["output/bias"]
    np.testing.assert_allclose(projected, to_numpy(whole(inputs)), atol=1e-5)


def test_identity_attention_projects_the_values_of_every_pixel_in_place():
    """Each pixel's query and key are its own one-hot vector, so that it attends to itself alone."""
    height, width, heads, value_dim, content = 2, 3, 2, 2, 4
    positions = height * width
    layer = SelfAttention2D(heads, key_dim=positions, value_dim=value_dim, position_encoding=None)
    with_random_weights(layer, (None, height, width, positions + content))
    qkv_kernel, qkv_bias, output_kernel, output_bias = layer.get_weights()
    of_positions, of_content = np.split(qkv_kernel[0, 0], [positions])
    # The layout is q | k | v and, within each, head by head.
    of_positions[:] = np.concatenate([50 * np.eye(positions)] * 2 * heads + [np.zeros((positions, 4))], axis=1)
    of_content[:, : 2 * heads * positions] = 0
    qkv_bias[: 2 * heads * positions] = 0
    layer.set_weights([qkv_kernel, qkv_bias, output_kernel, output_bias])
    one_hot = np.eye(positions).reshape(1, height, width, positions)
    values = feature_map(1, height, width, content)

    outputs, scores = to_numpy(layer(np.concatenate([one_hot, values], axis=-1), return_attention_scores=True))

    # The softmax of some processors ends one rounding below 1; what is zero is exactly zero.
    of_itself = np.broadcast_to(np.eye(positions), scores.shape)
    np.testing.assert_allclose(scores, of_itself, rtol=np.finfo("float32").eps, atol=0)
    projected = values @ of_content[:, 2 * heads * positions :] + qkv_bias[2 * heads * positions :]
    np.testing.assert_allclose(outputs, projected @ output_kernel[0, 0] + output_bias, atol=1e-5)
    # Values that a bare reshape had scattered over the map would project to something else.
    by_head = projected.reshape(1, height, width, heads, value_dim).transpose(0, 3, 1, 2, 4)
    scattered = by_head.reshape(projected.shape) @ output_kernel[0, 0] + output_bias
    assert not np.allclose(outputs, scattered, atol=1e-2)


@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
def test_rows_of_the_attention_scores_are_distributions(position_encoding):
    inputs = feature_map(2, 3, 4, 6)
    layer = with_random_weights(SelfAttention2D(3, 5, position_encoding=position_encoding), inputs.shape)
    outputs, scores = outputs_of(layer, inputs, return_attention_scores=True)
    assert scores.shape == (2, 3, 12, 12)
    assert scores.min() >= 0
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-5)
    # PyTorch attends by another kernel where no scores are asked for.
    np.testing.assert_allclose(outputs, outputs_of(layer, inputs), atol=1e-5)


def test_queries_are_rows_of_the_attention_scores():
    """One key that every query prefers makes a column of large scores, not a row."""
    layer = SelfAttention2D(1, 1, position_encoding=None, use_bias=False)
    inputs = np.ones((1, 2, 2, 2), "float32")
    inputs[0, 1, 0, 1] = 5
    layer.build(inputs.shape)
    query_of_first, key_of_second, no_value = [1, 0], [0, 1], [0, 0]
    layer.set_weights([np.array([query_of_first, key_of_second, no_value]).T[None, None], np.ones((1, 1, 1, 1))])
    _, scores = outputs_of(layer, inputs, return_attention_scores=True)
    assert np.all(scores[0, 0, :, 2] > 0.9)


def test_two_layers_made_alike_start_from_different_values():
    layers = [SelfAttention2D(2, key_dim=3) for _ in range(2)]
    for layer in layers:
        layer.build((None, 3, 3, 4))
    first, second = map(weights_by_name, layers)
    for name in {"qkv/kernel", "output/kernel", "relative/height_table", "relative/width_table"}:
        assert not np.allclose(first[name], second[name]), name


def test_kernels_and_biases_of_one_layer_start_from_different_values():
    initializer = keras.initializers.RandomNormal()
    layer = SelfAttention2D(2, key_dim=1, value_dim=4, kernel_initializer=initializer, bias_initializer=initializer)
    layer.build((None, 3, 3, 8))
    # 8 channels to 2 * (1 + 1 + 4), 8 to 8: an initializer that is shared draws the shorter as the longer's start.
    weights = weights_by_name(layer)
    for kind in ("kernel", "bias"):
        shorter = weights[f"output/{kind}"].ravel()
        assert not np.allclose(shorter, weights[f"qkv/{kind}"].ravel()[: len(shorter)]), kind


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (3, 7)])
def test_compute_output_shape_agrees_with_the_output(size):
    layer = SelfAttention2D(num_heads=2, key_dim=3, value_dim=5)
    outputs, scores = outputs_of(layer, feature_map(2, *size, 4), return_attention_scores=True)
    assert layer.compute_output_shape((2, *size, 4)) == outputs.shape
    assert layer(keras.Input((*size, 4), batch_size=2)).shape == outputs.shape
    assert scores.shape == (2, 2, size[0] * size[1], size[0] * size[1])


def test_attention_scores_are_an_output_of_functional_models():
    inputs = keras.Input((3, 4, 6))
    layer = SelfAttention2D(num_heads=2, key_dim=3)
    model = keras.Model(inputs, layer(inputs, return_attention_scores=True))
    assert [output.shape for output in model.outputs] == [(None, 3, 4, 6), (None, 2, 12, 12)]
    maps = feature_map(2, 3, 4, 6)
    for of_model, of_layer in zip(model(maps), layer(maps, return_attention_scores=True), strict=True):
        np.testing.assert_allclose(to_numpy(of_model), to_numpy(of_layer), atol=1e-6)
