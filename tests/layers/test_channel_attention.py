"""SqueezeExcite, GatherExcite and EfficientChannelAttention: their formulas, weights, arguments and reloading."""

import keras
import numpy as np
import pytest
from helpers.layers import feature_map, outputs_of, to_numpy, with_random_weights

from aa_keras.layers import EfficientChannelAttention, GatherExcite, SqueezeExcite

pytestmark = pytest.mark.backend


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize(("arguments", "units"), [({}, 2), ({"ratio": 4}, 8), ({"units": 3}, 3), ({"ratio": 99}, 1)])
def test_squeeze_excite_weighs_channels_by_two_dense_layers_of_their_means(arguments, units):
    layer = with_random_weights(SqueezeExcite(**arguments), (None, None, None, 32))
    inputs = feature_map(2, 5, 3, 32)
    down, down_bias, up, up_bias = map(to_numpy, layer.weights)
    assert [weight.shape for weight in (down, down_bias, up, up_bias)] == [(32, units), (units,), (units, 32), (32,)]
    hidden = np.maximum(inputs.mean(axis=(1, 2)) @ down + down_bias, 0)
    expected = inputs * sigmoid(hidden @ up + up_bias)[:, None, None, :]
    np.testing.assert_allclose(outputs_of(layer, inputs), expected, rtol=1e-5, atol=1e-6)


def test_squeeze_excite_without_biases():
    layer = with_random_weights(SqueezeExcite(ratio=4, use_bias=False), (None, 4, 4, 8))
    assert [tuple(weight.shape) for weight in layer.weights] == [(8, 2), (2, 8)]


def test_the_two_kernels_are_drawn_apart():
    layer = SqueezeExcite(units=8, use_bias=False)
    layer.build((None, 4, 4, 8))
    squeeze, excite = map(to_numpy, layer.weights)
    assert np.abs(squeeze - excite).min() > 0


def test_gather_excite_weighs_channels_by_their_own_means():
    inputs = feature_map(2, 5, 3, 4) + np.arange(4, dtype="float32")
    layer = GatherExcite()
    expected = inputs * sigmoid(inputs.mean(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(outputs_of(layer, inputs), expected, rtol=1e-5)
    assert layer.weights == []


@pytest.mark.parametrize("layer_class", [SqueezeExcite, GatherExcite])
def test_shapes_sizes_and_reloading(layer_class, tmp_path):
    model = keras.Sequential([keras.Input((None, None, 6)), layer_class(name="channels")])
    assert model.output_shape == (None, None, None, 6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for size in ((1, 1), (7, 4)):
        inputs = feature_map(2, *size, 6)
        np.testing.assert_allclose(outputs_of(loaded, inputs), outputs_of(model, inputs), rtol=0, atol=1e-6)


def test_configuration_holds_every_argument():
    layer = SqueezeExcite(units=5, ratio=3, use_bias=False, kernel_initializer="zeros", name="se")
    config = SqueezeExcite.from_config(layer.get_config()).get_config()
    assert (config["units"], config["ratio"], config["use_bias"], config["name"]) == (5, 3, False, "se")
    assert config["kernel_initializer"]["class_name"] == "Zeros"


@pytest.mark.parametrize(("name", "value"), [("units", 0), ("units", 2.5), ("ratio", 0), ("ratio", None)])
def test_bad_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must.* Received: {name}={value}"):
        SqueezeExcite(**{name: value})


@pytest.mark.parametrize("layer_class", [SqueezeExcite, GatherExcite])
def test_inputs_must_be_feature_maps(layer_class):
    with pytest.raises(ValueError, match="takes inputs of shape"):
        layer_class().build((None, 4, 8))


@pytest.mark.parametrize(("channels", "window"), [(8, 3), (64, 3), (128, 5), (512, 5), (2048, 7)])
def test_efficient_channel_attention_weighs_channels_by_the_means_of_their_neighbours(channels, window):
    """Windows are those of timm's networks for these channels: |log2(channels) + 1| / 2, odd, and 3 at least."""
    layer = with_random_weights(EfficientChannelAttention(), (None, None, None, channels))
    inputs = feature_map(2, 5, 3, channels)
    (kernel,) = map(to_numpy, layer.weights)
    assert kernel.shape == (1, window, 1, 1)
    means = np.pad(inputs.mean(axis=(1, 2)), ((0, 0), (window // 2, window // 2)))
    logits = sum(kernel[0, offset, 0, 0] * means[:, offset : offset + channels] for offset in range(window))
    np.testing.assert_allclose(outputs_of(layer, inputs), inputs * sigmoid(logits)[:, None, None], rtol=1e-5, atol=1e-6)


def test_the_window_of_efficient_channel_attention_may_be_given():
    layer = EfficientChannelAttention(kernel_size=1)
    layer.build((None, 4, 4, 8))
    assert [tuple(weight.shape) for weight in layer.weights] == [(1, 1, 1, 1)]
    assert EfficientChannelAttention.from_config(layer.get_config()).kernel_size == 1
