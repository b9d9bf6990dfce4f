"""Mixed precision: the types of everything, and that no logit overflows."""

import keras
import numpy as np
import pytest
from helpers.layers import POSITION_ENCODINGS, feature_map, outputs_of, to_numpy, with_random_weights
from keras import ops

from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D

pytestmark = pytest.mark.backend

ROUNDING = {"float16": 2**-11, "bfloat16": 2**-8}


def attention_with_huge_logits(dtype):
    """Integer weights, exact in float16. A bias of 512 in one channel of q and k adds 512 * 512 / 2 to every logit."""
    heads, key_dim, value_dim, channels = 2, 4, 3, 6
    layer = SelfAttention2D(heads, key_dim, value_dim, dtype=dtype)
    layer.build((None, 3, 4, channels))
    generator = np.random.default_rng(0)
    weights = [generator.integers(-1, 2, weight.shape).astype("float32") for weight in layer.weights]
    names = [weight.path.split("/", 1)[1] for weight in layer.weights]
    bias, kernel = weights[names.index("qkv/bias")], weights[names.index("qkv/kernel")]
    for first_of_a_head in range(0, 2 * heads * key_dim, key_dim):
        bias[first_of_a_head] = 512
        kernel[..., first_of_a_head] = 0
    for name in ("relative/height_table", "relative/width_table"):
        weights[names.index(name)][:, 0] = 0
    layer.set_weights(weights)
    return layer


def test_logits_beyond_float16_stay_finite_and_right():
    inputs = np.random.default_rng(1).integers(-1, 2, (2, 3, 4, 6)).astype("float32")
    outputs, scores = attention_with_huge_logits("mixed_float16")(inputs, return_attention_scores=True)
    expected, expected_scores = to_numpy(attention_with_huge_logits("float32")(inputs, return_attention_scores=True))
    # Neither all alike nor one-hot: scores that a logit's rounding would have changed.
    assert 0.3 < np.median(expected_scores.max(axis=-1)) < 0.95
    np.testing.assert_allclose(to_numpy(scores), expected_scores, atol=1e-5)
    outputs = to_numpy(ops.cast(outputs, "float32"))
    assert np.isfinite(outputs).all()
    # The probabilities, the heads' outputs and the output are rounded, each once.
    np.testing.assert_allclose(outputs, expected, atol=3 * ROUNDING["float16"] * np.abs(expected).max())


@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
@pytest.mark.parametrize("dtype", ROUNDING)
def test_mixed_precision_is_close_to_float32(dtype, position_encoding):
    inputs = feature_map(2, 7, 6, 8)

    def layer(policy):
        augmented = AttentionAugmentedConv2D(
            16,
            3,
            strides=2,
            attention_pooling=2,
            num_heads=2,
            value_ratio=0.5,
            min_key_dim=4,
            position_encoding=position_encoding,
            dtype=policy,
        )
        return with_random_weights(augmented, inputs.shape)

    outputs = outputs_of(layer(f"mixed_{dtype}"), inputs)
    expected = outputs_of(layer("float32"), inputs)

    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    error = np.abs(outputs.astype("float32") - expected)
    assert error.max() < 4 * ROUNDING[dtype] * np.abs(expected).max()


@pytest.mark.parametrize(
    ("policy", "of_weights", "of_outputs", "of_scores"),
    [
        ("mixed_float16", "float32", "float16", "float32"),
        ("mixed_bfloat16", "float32", "bfloat16", "float32"),
        ("float16", "float16", "float16", "float32"),
    ],
)
def test_types_of_weights_outputs_and_scores(policy, of_weights, of_outputs, of_scores):
    inputs = feature_map(1, 3, 4, 5)
    layer = SelfAttention2D(num_heads=2, key_dim=3, dtype=policy)
    augmented = AttentionAugmentedConv2D(6, 3, num_heads=2, attention_pooling=2, dtype=policy)
    outputs, scores = outputs_of(layer, inputs, return_attention_scores=True)
    arrays = (outputs, outputs_of(augmented, inputs), scores)
    types = [keras.backend.standardize_dtype(array.dtype) for array in arrays]
    assert types == [of_outputs, of_outputs, of_scores]
    assert {weight.dtype for weight in [*layer.weights, *augmented.weights]} == {of_weights}
    # The symbols of functional models say the same.
    symbols = layer(keras.Input((3, 4, 5)), return_attention_scores=True)
    assert [symbol.dtype for symbol in symbols] == [of_outputs, of_scores]
