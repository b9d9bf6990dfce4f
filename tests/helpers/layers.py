"""Helpers for the tests of the layers."""

import functools

import keras
import numpy as np
import pytest

from aa_keras.layers import AttentionAugmentedConv2D

# For tests that take more than about ten seconds where each operation is compiled.
slow_on_jax = pytest.mark.slow if keras.backend.backend() == "jax" else lambda test: test

POSITION_ENCODINGS = ["relative", "sinusoidal", "coordinates", None]


def feature_map(*shape, seed=1):
    """A random feature map."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def to_numpy(tensors):
    """Tensors or variables, alone or nested, as NumPy arrays."""
    return keras.tree.map_structure(
        lambda tensor: keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(tensor)), tensors
    )


def outputs_of(layer, inputs, **options):
    """The outputs of a layer as arrays. On JAX all of it is compiled at once, and not one operation after another."""
    if not layer.built:
        layer.build(inputs.shape)
    call = functools.partial(layer, **options)
    if keras.backend.backend() == "jax":
        import jax

        call = jax.jit(call)
    return to_numpy(call(inputs))


def weights_by_name(layer):
    """A layer's weights in float64 by their path below the layer: "qkv/kernel" and so on."""
    return {weight.path.split("/", 1)[1]: to_numpy(weight).astype("float64") for weight in layer.weights}


def attention_weights(layer):
    """The weights of the attention branch of an `AttentionAugmentedConv2D`, named as by `SelfAttention2D` alone."""
    prefix = "self_attention/"
    return {
        name.removeprefix(prefix): value for name, value in weights_by_name(layer).items() if name.startswith(prefix)
    }


def with_random_weights(layer, input_shape, seed=2):
    layer.build(input_shape)
    return randomize_weights(layer, seed)


def randomize_weights(layer, seed=2):
    """Redraws every weight of a layer or model, so that no bias is zero and hides a mistake."""
    generator = np.random.default_rng(seed)
    layer.set_weights([generator.normal(scale=0.5, size=weight.shape) for weight in layer.weights])
    return layer


def small_network(implementation="auto"):
    """A classifier of maps of 6x4 with three channels, with two augmented convolutions and random weights.

    The names are fixed, so that PyTorch's `state_dict` has the same keys for every such network.
    """
    arguments = {"num_heads": 2, "value_ratio": 0.5, "min_key_dim": 4, "implementation": implementation}
    model = keras.Sequential(
        [
            keras.Input((6, 4, 3)),
            AttentionAugmentedConv2D(8, 3, attention_pooling=2, name="first", **arguments),
            AttentionAugmentedConv2D(8, 3, strides=2, name="second", **arguments),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="classifier"),
        ],
        name="small",
    )
    return randomize_weights(model)
