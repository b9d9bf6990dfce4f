"""The layers against the NumPy oracle: every position encoding, several heads, maps that are not square."""

import keras
import numpy as np
import pytest
from helpers import oracle
from helpers.layers import (
    POSITION_ENCODINGS,
    attention_weights,
    feature_map,
    outputs_of,
    to_numpy,
    weights_by_name,
    with_random_weights,
)

from aa_keras.layers import (
    AttentionAugmentedConv2D,
    CoordinateChannels2D,
    SelfAttention2D,
    SinusoidalPositionEncoding2D,
)

pytestmark = pytest.mark.backend

HEADS = 3


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
@pytest.mark.parametrize(("height", "width"), [(3, 5), (4, 2)])
def test_self_attention_is_the_oracles(height, width, position_encoding, use_bias):
    inputs = feature_map(2, height, width, 10)
    layer = SelfAttention2D(HEADS, key_dim=4, value_dim=2, position_encoding=position_encoding, use_bias=use_bias)
    with_random_weights(layer, inputs.shape)

    outputs, scores = outputs_of(layer, inputs, return_attention_scores=True)

    expected_outputs, expected_scores = oracle.self_attention(
        inputs, weights_by_name(layer), HEADS, 4, 2, position_encoding
    )
    np.testing.assert_allclose(outputs, expected_outputs, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras computes in float32 there")
@pytest.mark.parametrize("position_encoding", ["relative", None])
def test_self_attention_in_float64_is_the_oracles_to_rounding(position_encoding):
    inputs = feature_map(2, 3, 4, 5).astype("float64")
    layer = SelfAttention2D(HEADS, key_dim=4, position_encoding=position_encoding, dtype="float64")
    with_random_weights(layer, inputs.shape)
    expected, _ = oracle.self_attention(inputs, weights_by_name(layer), HEADS, 4, 4, position_encoding)
    np.testing.assert_allclose(outputs_of(layer, inputs), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("size", [(2, 3), (6, 7)])
def test_self_attention_at_another_size_than_it_was_built_for_is_the_oracles(size):
    layer = with_random_weights(SelfAttention2D(HEADS, key_dim=4, value_dim=2), (None, 4, 5, 6))
    inputs = feature_map(1, *size, 6)
    expected, _ = oracle.self_attention(inputs, weights_by_name(layer), HEADS, 4, 2, "relative")
    np.testing.assert_allclose(outputs_of(layer, inputs), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "strides", "attention_pooling", "position_encoding"),
    [
        ((4, 6), 1, 1, "relative"),
        ((7, 5), 2, 1, "relative"),
        ((8, 6), 2, 1, "sinusoidal"),
        ((5, 8), (1, 2), 1, "relative"),
        ((7, 6), 1, 2, "coordinates"),
        ((8, 4), 1, 2, "relative"),
        *(((9, 7), 2, 2, position_encoding) for position_encoding in POSITION_ENCODINGS),
        ((9, 8), (2, 1), 3, "relative"),
    ],
    ids=str,
)
def test_the_attention_branch_of_the_augmented_convolution_is_the_oracles(
    size, strides, attention_pooling, position_encoding
):
    inputs = feature_map(1, *size, 5)
    layer = AttentionAugmentedConv2D(
        filters=10,
        kernel_size=3,
        strides=strides,
        num_heads=HEADS,
        value_ratio=0.6,
        min_key_dim=4,
        attention_pooling=attention_pooling,
        position_encoding=position_encoding,
    )
    with_random_weights(layer, inputs.shape)

    attended = outputs_of(layer, inputs)[..., 4:]

    expected = oracle.augmented_attention(
        inputs, layer.strides, attention_pooling, attention_weights(layer), HEADS, 4, 2, position_encoding
    )
    np.testing.assert_allclose(attended, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [4, 7, 16])
def test_sinusoids_are_the_oracles(channels):
    inputs = feature_map(2, 5, 3, channels)
    expected = [oracle.add_sinusoids(image.astype("float64")) for image in inputs]
    np.testing.assert_allclose(to_numpy(SinusoidalPositionEncoding2D()(inputs)), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(5, 4), (1, 3), (2, 1)])
def test_coordinates_are_the_oracles(size):
    inputs = feature_map(2, *size, 3)
    expected = [oracle.append_coordinates(image.astype("float64")) for image in inputs]
    np.testing.assert_allclose(to_numpy(CoordinateChannels2D()(inputs)), expected, atol=1e-6)
