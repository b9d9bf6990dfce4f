"""Floating-point operations: by hand for each kind of layer, and against the operations that TensorFlow runs."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from aa_keras.applications import AAWideResNet, WideResNet
from aa_keras.complexity import model_complexity
from aa_keras.layers import AttentionAugmentedConv2D, GatherExcite, SelfAttention2D, SqueezeExcite


def flops_of(layer, *shape):
    return model_complexity(keras.Sequential([keras.Input(shape), layer])).flops


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        # Twice: output positions, window, channels in, channels out.
        (layers.Conv2D(5, (3, 2), padding="same"), (7, 9, 4), 2 * (7 * 9) * (3 * 2) * 4 * 5),
        (layers.Conv2D(5, 3), (7, 9, 4), 2 * (5 * 7) * (3 * 3) * 4 * 5),
        (layers.Conv2D(5, 3, strides=2, padding="same"), (7, 9, 4), 2 * (4 * 5) * (3 * 3) * 4 * 5),
        (layers.Conv2D(6, 3, groups=2, padding="same"), (7, 9, 4), 2 * (7 * 9) * (3 * 3) * 2 * 6),
        (layers.Conv2D(5, 3, dilation_rate=2), (7, 9, 4), 2 * (3 * 5) * (3 * 3) * 4 * 5),
        (layers.Conv1D(5, 3, padding="same"), (7, 4), 2 * 7 * 3 * 4 * 5),
        (layers.Conv3D(5, 3, padding="same"), (7, 9, 2, 4), 2 * (7 * 9 * 2) * (3 * 3 * 3) * 4 * 5),
        (layers.DepthwiseConv2D(3, strides=2, padding="same"), (7, 9, 4), 2 * (4 * 5) * (3 * 3) * 4),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (7, 9, 4), 2 * (5 * 7) * (3 * 3) * 4 * 2),
        # A depthwise convolution, then a pointwise one, both at the size of the output.
        (layers.SeparableConv2D(5, 3, strides=2, padding="same"), (7, 9, 4), 2 * (4 * 5) * (9 * 4 + 4 * 5)),
        (layers.SeparableConv1D(5, 3, depth_multiplier=2), (7, 4), 2 * 5 * (3 * 8 + 8 * 5)),
        # Each pixel of the input is multiplied by the whole window.
        (layers.Conv2DTranspose(5, 3, strides=2, padding="same"), (7, 9, 4), 2 * (7 * 9) * (3 * 3) * 4 * 5),
        (layers.Dense(5), (7,), 2 * 7 * 5),
        (layers.Dense(5), (3, 7), 2 * 3 * 7 * 5),
        # Two dense layers, once an image.
        (SqueezeExcite(units=3), (7, 9, 4), 2 * (4 * 3 + 3 * 4)),
        (GatherExcite(), (7, 9, 4), 0),
        (layers.BatchNormalization(), (7, 9, 4), 0),
        (layers.ReLU(), (7, 9, 4), 0),
        (layers.MaxPooling2D(), (7, 9, 4), 0),
        (layers.PReLU(), (7, 9, 4), 0),
        (layers.LayerNormalization(axis=(1, 2, 3)), (7, 9, 4), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Layer) else "",
)
def test_a_layer(layer, shape, flops):
    assert flops_of(layer, *shape) == flops


def attention_flops(height, width, channels, key_depth, value_depth, heads, encoding):
    """2 for each multiplication and addition: q, k and v; content and values; relative positions; the projection."""
    pixels = height * width
    projections = pixels * (channels + 2 * (encoding == "coordinates")) * (2 * key_depth + value_depth)
    projections += pixels * value_depth * value_depth
    pairs = heads * pixels * pixels * (key_depth // heads + value_depth // heads)
    relative = heads * pixels * (key_depth // heads) * (2 * height - 1 + 2 * width - 1) if encoding == "relative" else 0
    return 2 * (projections + pairs + relative)


@pytest.mark.parametrize("encoding", ["relative", "sinusoidal", "coordinates", None])
def test_self_attention(encoding):
    layer = SelfAttention2D(num_heads=3, key_dim=4, value_dim=2, position_encoding=encoding)
    assert flops_of(layer, 5, 7, 6) == attention_flops(5, 7, 6, 12, 6, 3, encoding)


@pytest.mark.parametrize(
    ("arguments", "output", "attended"),
    [
        ({}, (9, 14), (9, 14)),
        ({"strides": 2}, (5, 7), (5, 7)),
        ({"strides": (2, 1)}, (5, 14), (5, 14)),
        ({"attention_pooling": 2}, (9, 14), (5, 7)),
        ({"strides": 2, "attention_pooling": 2}, (5, 7), (3, 4)),
    ],
)
def test_augmented_convolution(arguments, output, attended):
    layer = AttentionAugmentedConv2D(16, 3, num_heads=2, key_ratio=0.5, value_ratio=0.25, min_key_dim=1, **arguments)
    convolution = 2 * math.prod(output) * (3 * 3) * 6 * (16 - 4)
    assert flops_of(layer, 9, 14, 6) == convolution + attention_flops(*attended, 6, 8, 4, 2, "relative")


def test_full_attention_has_no_convolution():
    layer = AttentionAugmentedConv2D(16, 3, num_heads=2, key_ratio=1, value_ratio=1, min_key_dim=1)
    assert flops_of(layer, 4, 5, 6) == attention_flops(4, 5, 6, 16, 16, 2, "relative")


# FLOPs of a 3x3 convolution from 3 to 3 channels for each pixel.
A_PIXEL = 2 * (3 * 3) * 3 * 3


def convolution():
    return layers.Conv2D(3, 3, padding="same", use_bias=False)


def test_a_shared_layer_counts_at_every_call():
    shared = convolution()
    image = keras.Input((8, 6, 3))
    model = keras.Model(image, shared(layers.MaxPooling2D()(shared(image))))
    complexity = model_complexity(model)
    assert complexity.flops == A_PIXEL * (8 * 6 + 4 * 3)
    assert complexity.parameters == 81


@pytest.mark.parametrize("size", [(8, 6), (None, None)])
def test_a_nested_model_counts_at_every_call(size):
    inside = keras.Input((*size, 3))
    nested = keras.Model(inside, layers.ReLU()(convolution()(inside)))
    image = keras.Input((8, 6, 3))
    assert model_complexity(keras.Model(image, nested(image))).flops == A_PIXEL * 8 * 6
    twice = keras.Model(image, nested(nested(image)))
    assert model_complexity(twice).flops == 2 * A_PIXEL * 8 * 6
    around_that = keras.Sequential([keras.Input((16, 12, 3)), layers.MaxPooling2D(), twice])
    assert model_complexity(around_that).flops == 2 * A_PIXEL * 8 * 6


def test_a_nested_model_counts_for_the_map_that_it_is_called_on():
    inside = keras.Input((None, None, 3))
    nested = keras.Model(inside, convolution()(inside))
    image = keras.Input((8, 6, 3))
    model = keras.Model(image, nested(layers.MaxPooling2D()(nested(image))))
    assert model_complexity(model).flops == A_PIXEL * (8 * 6 + 4 * 3)


def test_a_nested_sequential_model_counts():
    image = keras.Input((8, 6, 3))
    for nested in (
        keras.Sequential([convolution(), convolution()]),
        keras.Sequential([keras.Input((8, 6, 3)), convolution(), convolution()]),
    ):
        assert model_complexity(keras.Model(image, nested(image))).flops == 2 * A_PIXEL * 8 * 6


def test_parameters_are_the_trainable_ones():
    frozen = layers.Dense(5, trainable=False)
    model = keras.Sequential([keras.Input((7,)), frozen, layers.BatchNormalization(), layers.Dense(3)])
    assert model_complexity(model).parameters == 2 * 5 + (5 * 3 + 3)


def test_the_model_stays_as_it_was():
    model = AAWideResNet(10, 1, input_shape=(8, 8, 3))
    before = [weight.numpy() for weight in model.weights]
    model_complexity(model, input_shape=(12, 12, 3))
    assert model.input_shape == (None, 8, 8, 3)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_an_unknown_size_must_be_given():
    model = keras.Sequential([keras.Input((None, None, 3)), convolution()])
    with pytest.raises(ValueError, match=r"(?s)pass `input_shape=.*=None.*\(None, None, None, 3\)"):
        model_complexity(model)
    assert model_complexity(model, input_shape=(5, 4, 3)).flops == A_PIXEL * 5 * 4
    with pytest.raises(ValueError, match=r"(?s)pass `input_shape=.*Received: input_shape="):
        model_complexity(model, input_shape=(5, None, 3))


def test_several_inputs_are_refused():
    first, second = keras.Input((8,)), keras.Input((8,))
    with pytest.raises(ValueError, match=r"one input.*\(None, 8\), \(None, 8\)"):
        model_complexity(keras.Model([first, second], layers.Add()([first, second])))


def test_multi_head_attention():
    queries, values = keras.Input((6, 5)), layers.Dense(3)
    keys = values(queries[:, :4])
    model = keras.Model(queries, layers.MultiHeadAttention(2, key_dim=7, value_dim=8)(queries, value=keys))
    of_keys = 2 * 4 * 5 * 3
    projections = 2 * 2 * (6 * 5 * 7 + 4 * 3 * 7 + 4 * 3 * 8 + 6 * 8 * 5)
    products = 2 * 2 * (6 * 4) * (7 + 8)
    assert model_complexity(model).flops == of_keys + projections + products
    assert model_complexity(model, attention_products=False).flops == of_keys + projections


def test_channels_first():
    layer = layers.Conv2D(5, 3, padding="same", data_format="channels_first")
    assert flops_of(layer, 4, 7, 9) == 2 * (7 * 9) * (3 * 3) * 4 * 5


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (layers.LSTM(3, name="memory"), "LSTM"),
        (layers.GroupQueryAttention(4, 2, 1, name="memory"), "GroupedQueryAttention"),
        (layers.Attention(name="memory"), "Attention"),
    ],
)
def test_a_layer_without_a_rule_is_refused(layer, kind):
    image = keras.Input((7, 4))
    outputs = layer(image) if kind == "LSTM" else layer(image, image) if "Group" in kind else layer([image, image])
    with pytest.raises(ValueError, match=f"no rule for the FLOPs of the layer 'memory', a {kind}: "):
        model_complexity(keras.Model(image, outputs))


def test_a_product_without_weights_is_refused():
    image = keras.Input((7, 7))
    with pytest.raises(ValueError, match="a Matmul"):
        model_complexity(keras.Model(image, keras.ops.matmul(image, image)))


def test_a_model_without_a_graph_is_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    for model in (Subclassed(), keras.Sequential([layers.Dense(3)])):
        with pytest.raises(ValueError, match="`model` must be a functional Keras model, or a `Sequential` one"):
            model_complexity(model)


def tensorflow_flops(model):
    """Twice the multiplications and additions of all matrix products in the graph that TensorFlow makes of a model."""
    graph = (
        tf.function(lambda images: model(images, training=False))
        .get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
        .graph
    )
    assert not graph.as_graph_def().library.function  # nothing is hidden in a function of its own
    flops = 0
    for operation in graph.get_operations():
        if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
            *_, inputs, outputs = operation.inputs[1].shape
            window = math.prod(operation.inputs[1].shape[:2]) * inputs
            flops += 2 * math.prod(operation.outputs[0].shape[1:3]) * window * outputs
        elif operation.type in ("MatMul", "BatchMatMulV2"):
            adjoint = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
            inner = operation.inputs[0].shape[-2 if adjoint else -1]
            flops += 2 * math.prod(operation.outputs[0].shape) * inner
        else:
            assert "Einsum" not in operation.type
            assert "MatMul" not in operation.type
            assert "Conv" not in operation.type
    return flops


@pytest.mark.parametrize(
    "model",
    [
        lambda: WideResNet(10, 2, input_shape=(16, 12, 3), shortcut="projection"),
        lambda: AAWideResNet(10, 1, input_shape=(16, 12, 3), position_encoding=None, num_heads=4),
        lambda: AAWideResNet(10, 2, input_shape=(9, 14, 3), position_encoding="coordinates", attention_stages=(2, 3)),
    ],
    ids=["plain", "augmented", "coordinates"],
)
def test_whole_networks_count_what_tensorflow_runs(model):
    model = model()
    assert model_complexity(model).flops == tensorflow_flops(model)


def test_attention_products_may_be_left_out():
    layer = SelfAttention2D(num_heads=2, key_dim=4, value_dim=3)
    model = keras.Sequential([keras.Input((5, 7, 6)), layer])
    with_products = model_complexity(model)
    without = model_complexity(model, attention_products=False)
    assert with_products.flops - without.flops == 2 * (5 * 7) ** 2 * 2 * (4 + 3)
    assert with_products.parameters == without.parameters
    nested = keras.Sequential([keras.Input((5, 7, 6)), model])
    assert model_complexity(nested, attention_products=False) == without
