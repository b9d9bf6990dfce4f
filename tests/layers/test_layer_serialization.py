"""Configurations and saved models: nothing of a layer is lost, in this process or in a fresh one."""

import inspect
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers.layers import feature_map, outputs_of, randomize_weights, slow_on_jax, to_numpy, with_random_weights

from aa_keras.layers import (
    AttentionAugmentedConv2D,
    CoordinateChannels2D,
    RelativePositionEmbedding2D,
    SelfAttention2D,
    SinusoidalPositionEncoding2D,
)

pytestmark = pytest.mark.backend

OF_CONVOLUTIONS = {
    "data_format": "channels_last",
    "use_bias": False,
    "kernel_initializer": keras.initializers.HeNormal(seed=3),
    "bias_initializer": keras.initializers.Constant(0.5),
    "kernel_regularizer": keras.regularizers.L2(1e-3),
    "bias_regularizer": keras.regularizers.L1(1e-4),
    "activity_regularizer": keras.regularizers.L2(1e-5),
    "kernel_constraint": keras.constraints.MaxNorm(3),
    "bias_constraint": keras.constraints.NonNeg(),
}
OF_THE_AUGMENTED_CONVOLUTION = {
    "filters": 12,
    "kernel_size": (3, 5),
    "padding": "symmetric",
    "num_heads": 3,
    "key_ratio": 0.7,
    "value_ratio": 0.5,
    "min_key_dim": 2,
    "attention_pooling": 2,
    "max_size": (9, 8),
    "implementation": "blockwise",
    "activation": "relu",
    **OF_CONVOLUTIONS,
}
CASES = [
    (RelativePositionEmbedding2D, {"dim": 3, "max_size": (6, 7)}),
    (SinusoidalPositionEncoding2D, {}),
    (CoordinateChannels2D, {}),
    (
        SelfAttention2D,
        {
            "num_heads": 2,
            "key_dim": 3,
            "value_dim": 5,
            "position_encoding": "coordinates",
            "max_size": (6, 7),
            "implementation": "dense",
            "use_output_projection": False,
            **OF_CONVOLUTIONS,
        },
    ),
    (
        AttentionAugmentedConv2D,
        {"strides": (2, 1), "position_encoding": "sinusoidal", **OF_THE_AUGMENTED_CONVOLUTION},
    ),
    (AttentionAugmentedConv2D, {"dilation_rate": (1, 2), **OF_THE_AUGMENTED_CONVOLUTION}),
]
CASE_IDS = [f"{layer.__name__}-{index}" for index, (layer, _) in enumerate(CASES)]
OF_ONE_VALUE_ONLY = {"data_format"}


def defaults_of(layer_class):
    """The arguments of a layer by name; those of every layer, in **kwargs, are not among them."""
    parameters = inspect.signature(layer_class).parameters.values()
    named = [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    return {parameter.name: parameter.default for parameter in named}


@pytest.mark.parametrize("layer_class", {layer_class: None for layer_class, _ in CASES})
def test_the_cases_set_every_argument_to_something_other_than_its_default(layer_class):
    defaults = defaults_of(layer_class)
    cases = [arguments for case_class, arguments in CASES if case_class is layer_class]
    changed = {name for arguments in cases for name, value in arguments.items() if value != defaults[name]}
    assert changed | OF_ONE_VALUE_ONLY & set(defaults) == set(defaults)


@pytest.mark.parametrize(("layer_class", "arguments"), CASES, ids=CASE_IDS)
def test_the_configuration_has_every_argument_under_its_own_name(layer_class, arguments):
    config = layer_class(**arguments, name="mine", dtype="mixed_bfloat16", trainable=False).get_config()
    expected = {
        name: keras.saving.serialize_keras_object(value) if hasattr(value, "get_config") else value
        for name, value in arguments.items()
    }
    assert {name: config[name] for name in arguments} == expected
    assert set(defaults_of(layer_class)) <= set(config)
    assert (config["name"], config["trainable"]) == ("mine", False)
    assert keras.dtype_policies.get(config["dtype"]).name == "mixed_bfloat16"


@pytest.mark.parametrize(("layer_class", "arguments"), CASES, ids=CASE_IDS)
def test_a_layer_made_from_the_configuration_is_the_same(layer_class, arguments):
    inputs = feature_map(2, 7, 8, 6)
    layer = with_random_weights(layer_class(**arguments), inputs.shape)

    copy = layer_class.from_config(json.loads(json.dumps(layer.get_config())))

    assert copy.get_config() == layer.get_config()
    copy.build(list(inputs.shape))
    copy.set_weights(layer.get_weights())
    for of_copy, of_layer in zip(
        keras.tree.flatten(outputs_of(copy, inputs)), keras.tree.flatten(outputs_of(layer, inputs)), strict=True
    ):
        np.testing.assert_array_equal(of_copy, of_layer)


def model_of_known_size():
    """A functional model with every layer of the library, the augmented convolution with most of its options."""
    inputs = keras.Input((9, 8, 6))
    maps = SinusoidalPositionEncoding2D()(CoordinateChannels2D()(inputs))
    maps = AttentionAugmentedConv2D(8, 3, strides=2, num_heads=2, attention_pooling=2, activation="relu")(maps)
    maps = SelfAttention2D(num_heads=2, key_dim=3, use_bias=False)(maps)
    by_height, by_width = RelativePositionEmbedding2D(dim=3)(maps)
    return keras.Model(inputs, [maps, by_height, by_width])


def model_of_unknown_size():
    inputs = keras.Input((None, None, 6))
    maps = inputs
    for position_encoding in ("relative", "sinusoidal", "coordinates", None):
        maps = AttentionAugmentedConv2D(
            8,
            3,
            strides=2 if position_encoding == "relative" else 1,
            num_heads=2,
            position_encoding=position_encoding,
            max_size=(6, 7),
        )(maps)
    return keras.Model(inputs, maps)


MODELS = {
    "known_size": (model_of_known_size, [(9, 8)]),
    "unknown_size": (model_of_unknown_size, [(4, 5), (13, 16)]),
}

IN_A_FRESH_PROCESS = """
import sys
import keras, numpy
import aa_keras

folder = sys.argv[1]
outputs = {}
for key, maps in numpy.load(folder + "/inputs.npz").items():
    model = keras.models.load_model(folder + "/" + key.split("-")[0] + ".keras")
    for index, output in enumerate(keras.tree.flatten(model(maps))):
        outputs[f"{key}-{index}"] = keras.ops.convert_to_numpy(output)
numpy.savez(folder + "/outputs.npz", **outputs)
"""


@slow_on_jax
def test_saved_models_predict_the_same_in_a_fresh_process(tmp_path):
    inputs, expected = {}, {}
    for name, (make, sizes) in MODELS.items():
        model = randomize_weights(make())
        model.save(tmp_path / f"{name}.keras")
        for index, size in enumerate(sizes):
            key = f"{name}-{index}"
            inputs[key] = feature_map(2, *size, 6)
            for number, output in enumerate(keras.tree.flatten(to_numpy(model(inputs[key])))):
                expected[f"{key}-{number}"] = output
    np.savez(tmp_path / "inputs.npz", **inputs)

    subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, str(tmp_path)], check=True, env=os.environ, timeout=120)

    outputs = np.load(tmp_path / "outputs.npz")
    assert set(outputs) == set(expected)
    for key, output in expected.items():
        np.testing.assert_allclose(outputs[key], output, atol=1e-6, rtol=1e-6, err_msg=key)


def test_weights_of_another_resolution_are_refused(tmp_path):
    def model(size):
        return keras.Sequential([keras.Input((size, size, 3)), AttentionAugmentedConv2D(8, 3, num_heads=2, name="aa")])

    model(6).save_weights(tmp_path / "of_6.weights.h5")
    model(6).load_weights(tmp_path / "of_6.weights.h5")
    with pytest.raises(ValueError, match=r"shape"):
        model(8).load_weights(tmp_path / "of_6.weights.h5")
