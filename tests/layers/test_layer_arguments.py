"""Bad arguments raise ValueError, which names the argument and says what was received."""

import re

import keras
import numpy as np
import pytest
from helpers.layers import feature_map

from aa_keras.layers import (
    AttentionAugmentedConv2D,
    CoordinateChannels2D,
    EfficientChannelAttention,
    RelativePositionEmbedding2D,
    SelfAttention2D,
    SinusoidalPositionEncoding2D,
    SqueezeExcite,
)

GOOD = {
    RelativePositionEmbedding2D: {"dim": 4},
    SelfAttention2D: {"num_heads": 2, "key_dim": 4},
    AttentionAugmentedConv2D: {"filters": 8, "kernel_size": 3, "num_heads": 2},
}

WITH_BIASES = [SelfAttention2D, AttentionAugmentedConv2D, SqueezeExcite]
NOT_POSITIVE_INTEGERS = [0, -1, 2.0, True, "2", np.float32(2), np.True_, 2**31, np.array([2])]
NOT_PAIRS = [0, 1.5, True, (2, 0), (2, 2, 2), (2,), (2, True), (2, 1.0), (None, 2), "22"]
NOT_RATIOS = [0, 1e308, -0.1, float("nan"), float("inf"), "0.2", True, None]

BAD = [
    *((RelativePositionEmbedding2D, "dim", value) for value in [*NOT_POSITIVE_INTEGERS, None]),
    *((RelativePositionEmbedding2D, "max_size", value) for value in NOT_PAIRS),
    *((SelfAttention2D, "num_heads", value) for value in [*NOT_POSITIVE_INTEGERS, None]),
    *((SelfAttention2D, "key_dim", value) for value in [*NOT_POSITIVE_INTEGERS, None]),
    *((SelfAttention2D, "value_dim", value) for value in NOT_POSITIVE_INTEGERS),
    *((SelfAttention2D, "max_size", value) for value in NOT_PAIRS),
    *((SelfAttention2D, "position_encoding", value) for value in ["learned", "Relative", 0, False]),
    *((layer_class, "use_bias", value) for layer_class in WITH_BIASES for value in ["no", 1, None]),
    (SelfAttention2D, "data_format", "channels_first"),
    (SelfAttention2D, "data_format", "last"),
    *((AttentionAugmentedConv2D, "filters", value) for value in [*NOT_POSITIVE_INTEGERS, None]),
    *((AttentionAugmentedConv2D, "num_heads", value) for value in [*NOT_POSITIVE_INTEGERS, None, 9]),
    *((AttentionAugmentedConv2D, "min_key_dim", value) for value in [*NOT_POSITIVE_INTEGERS, None]),
    *((AttentionAugmentedConv2D, "attention_pooling", value) for value in [*NOT_POSITIVE_INTEGERS, (2, 2), 1025]),
    *((AttentionAugmentedConv2D, "kernel_size", value) for value in [*NOT_PAIRS, None]),
    *((AttentionAugmentedConv2D, "strides", value) for value in [*NOT_PAIRS, None]),
    *((AttentionAugmentedConv2D, "dilation_rate", value) for value in [*NOT_PAIRS, None]),
    *((AttentionAugmentedConv2D, "max_size", value) for value in NOT_PAIRS),
    *((AttentionAugmentedConv2D, "key_ratio", value) for value in NOT_RATIOS),
    *((AttentionAugmentedConv2D, "value_ratio", value) for value in [*NOT_RATIOS, 1.01, 2]),
    *((AttentionAugmentedConv2D, "position_encoding", value) for value in ["learned", "Relative", 0, False]),
    *((AttentionAugmentedConv2D, "padding", value) for value in ["valid", "causal", None]),
    (AttentionAugmentedConv2D, "data_format", "channels_first"),
    *((EfficientChannelAttention, "kernel_size", value) for value in [*NOT_POSITIVE_INTEGERS, 4]),
    (SelfAttention2D, "use_output_projection", "no"),
]


@pytest.mark.parametrize(
    ("layer_class", "name", "value"), BAD, ids=lambda value: getattr(value, "__name__", repr(value))
)
def test_a_bad_argument_is_named_with_its_value(layer_class, name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must.* Received: {name}={re.escape(repr(value))}"):
        layer_class(**{**GOOD.get(layer_class, {}), name: value})


@pytest.mark.backend
@pytest.mark.parametrize("layer_class", GOOD)
def test_the_arguments_that_the_bad_ones_replace_are_good(layer_class):
    """And NumPy's integers are as good as Python's, and lists as good as tuples."""
    as_numpy = {name: np.int64(value) for name, value in GOOD[layer_class].items()}
    assert layer_class(**as_numpy, max_size=[np.int32(3), 4]).max_size == (3, 4)
    assert layer_class(**as_numpy, max_size=5).max_size == (5, 5)
    layer_class(**as_numpy).build((None, 3, 4, 5))


def test_strides_and_dilation_exclude_each_other():
    for strides, dilation_rate in [(2, 2), ((1, 2), 2), (2, (2, 1))]:
        with pytest.raises(ValueError, match=re.escape(f"strides={strides}, dilation_rate={dilation_rate}")):
            AttentionAugmentedConv2D(8, 3, strides=strides, dilation_rate=dilation_rate, num_heads=2)


def test_more_heads_than_filters_names_both():
    with pytest.raises(ValueError, match=r"Received: num_heads=8, filters=7"):
        AttentionAugmentedConv2D(7, 3)


def test_key_ratio_may_exceed_1_and_value_ratio_may_be_1():
    layer = AttentionAugmentedConv2D(8, 3, num_heads=2, key_ratio=3, value_ratio=1, min_key_dim=1)
    assert (layer.key_depth, layer.value_depth) == (24, 8)


@pytest.mark.backend
@pytest.mark.parametrize("layer_class", [SelfAttention2D, AttentionAugmentedConv2D])
def test_channels_first_as_the_default_of_keras_is_refused(layer_class):
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match=r"Received: data_format='channels_first'"):
            layer_class(**GOOD[layer_class])
        layer = layer_class(**GOOD[layer_class], data_format="channels_last")
        assert layer(feature_map(1, 3, 4, 5)).shape == (1, 3, 4, 8)
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.backend
@pytest.mark.parametrize("size", [(None, None), (None, 4), (4, None)])
@pytest.mark.parametrize("layer_class", GOOD)
def test_unknown_height_or_width_needs_max_size(layer_class, size):
    layer = layer_class(**GOOD[layer_class], name="the_layer")
    input_shape = (None, *size, 5)
    message = rf"the_layer.*`max_size=\(height, width\)`.*Received: max_size=None, {re.escape(f'{input_shape=}')}"
    with pytest.raises(ValueError, match=message):
        layer.build(input_shape)


@pytest.mark.backend
@pytest.mark.parametrize("channels", [1, 3])
def test_sinusoids_need_four_channels(channels):
    for layer in [
        SinusoidalPositionEncoding2D(),
        SelfAttention2D(2, 3, position_encoding="sinusoidal"),
        AttentionAugmentedConv2D(8, 3, position_encoding="sinusoidal"),
    ]:
        with pytest.raises(ValueError, match=rf"at least 4 channels.*Received: input_shape=\(1, 4, 4, {channels}\)"):
            layer(feature_map(1, 4, 4, channels))


@pytest.mark.backend
@pytest.mark.parametrize("input_shape", [(2, 4, 5), (2, 3, 4, 4, 5), (2, 4, 4, None)])
@pytest.mark.parametrize(
    "layer_class", [*GOOD, SinusoidalPositionEncoding2D, CoordinateChannels2D], ids=lambda layer: layer.__name__
)
def test_only_feature_maps_of_known_channels_are_taken(layer_class, input_shape):
    layer = layer_class(**GOOD.get(layer_class, {}), name="the_layer")
    message = rf"the_layer.*\(batch, height, width, channels\).*Received: input_shape={re.escape(str(input_shape))}"
    with pytest.raises(ValueError, match=message):
        layer(keras.Input(batch_shape=input_shape))
