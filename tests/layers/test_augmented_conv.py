"""AttentionAugmentedConv2D: depths, weights, and the convolution's side of the output."""

import keras
import numpy as np
import pytest
from helpers import oracle
from helpers.layers import POSITION_ENCODINGS, feature_map, outputs_of, to_numpy, weights_by_name, with_random_weights

from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D

pytestmark = pytest.mark.backend


def built(input_shape, **arguments):
    return with_random_weights(AttentionAugmentedConv2D(**arguments), input_shape)


@pytest.mark.parametrize(
    ("filters", "num_heads", "key_ratio", "value_ratio", "min_key_dim", "key_depth", "value_depth"),
    [
        # With the ratios of the paper's ResNet-50 and ResNet-34; 20 channels a head may be more than the ratio gives.
        (128, 8, 0.2, 0.1, 20, 160, 8),
        (512, 8, 0.25, 0.25, 20, 160, 128),
        (1024, 8, 0.2, 0.1, 20, 200, 96),
        # Rounded down to a multiple of the heads, not of one head's channels.
        (64, 8, 0.25, 0.25, 1, 16, 16),
        (60, 8, 0.5, 0.5, 1, 24, 24),
        (7, 3, 1.0, 1.0, 1, 6, 6),
        # At least one channel a head, and `min_key_dim` for keys.
        (16, 8, 0.1, 0.1, 1, 8, 8),
        (16, 8, 0.1, 0.1, 3, 24, 8),
        (16, 8, 2.0, 1.0, 3, 32, 16),
        # 0.29 * 100 is 28.999999999999996 to a computer, 0.07 * 100 is 7.000000000000001.
        (100, 1, 0.29, 0.29, 1, 29, 29),
        (100, 1, 0.07, 0.07, 1, 7, 7),
        (100, 1, 0.58, 0.57, 1, 58, 57),
    ],
)
def test_depths_of_keys_and_values(filters, num_heads, key_ratio, value_ratio, min_key_dim, key_depth, value_depth):
    layer = AttentionAugmentedConv2D(
        filters, 1, num_heads=num_heads, key_ratio=key_ratio, value_ratio=value_ratio, min_key_dim=min_key_dim
    )
    assert (layer.key_depth, layer.value_depth) == (key_depth, value_depth)
    layer.build((None, 2, 2, 3))
    shapes = {name: value.shape for name, value in weights_by_name(layer).items()}
    assert shapes["self_attention/qkv/kernel"] == (1, 1, 3, 2 * key_depth + value_depth)
    assert shapes["self_attention/output/kernel"] == (1, 1, value_depth, value_depth)
    assert shapes["self_attention/relative/width_table"] == (3, key_depth // num_heads)
    assert shapes.get("convolution/bias", (0,)) == (filters - value_depth,)


def test_weights():
    layer = built((None, 6, 5, 4), filters=10, kernel_size=(3, 5), num_heads=2, value_ratio=0.4, min_key_dim=3)
    assert {name: value.shape for name, value in weights_by_name(layer).items()} == {
        "convolution/kernel": (3, 5, 4, 6),
        "convolution/bias": (6,),
        "self_attention/qkv/kernel": (1, 1, 4, 16),
        "self_attention/qkv/bias": (16,),
        "self_attention/output/kernel": (1, 1, 4, 4),
        "self_attention/output/bias": (4,),
        "self_attention/relative/height_table": (11, 3),
        "self_attention/relative/width_table": (9, 3),
    }


def test_use_bias_false_leaves_no_bias_anywhere():
    layer = built((None, 4, 4, 3), filters=8, kernel_size=3, num_heads=2, use_bias=False)
    assert set(weights_by_name(layer)) == {
        "convolution/kernel",
        "self_attention/qkv/kernel",
        "self_attention/output/kernel",
        "self_attention/relative/height_table",
        "self_attention/relative/width_table",
    }


@pytest.mark.parametrize(
    ("size", "kernel_size", "strides", "dilation_rate"),
    [
        ((6, 5), 3, 1, 1),
        ((6, 5), 1, 2, 1),
        ((7, 8), 3, 2, 1),
        ((7, 8), (3, 5), (1, 2), 1),
        ((7, 8), 3, 1, 2),
        ((7, 8), 3, 1, (1, 3)),
    ],
    ids=str,
)
def test_the_convolution_comes_first_and_attention_last(size, kernel_size, strides, dilation_rate):
    inputs = feature_map(2, *size, 4)
    arguments = {"kernel_size": kernel_size, "strides": strides, "dilation_rate": dilation_rate}
    layer = built(inputs.shape, filters=10, num_heads=2, value_ratio=0.4, min_key_dim=3, **arguments)
    convolution = keras.layers.Conv2D(6, padding="same", **arguments)
    convolution.build(inputs.shape)
    weights = weights_by_name(layer)
    convolution.set_weights([weights["convolution/kernel"], weights["convolution/bias"]])

    outputs = outputs_of(layer, inputs)

    np.testing.assert_allclose(outputs[..., :6], outputs_of(convolution, inputs), atol=1e-5)
    if layer.strides == (1, 1):
        # Dilated or not, attention is that of the layer which does nothing else.
        alone = SelfAttention2D(num_heads=2, key_dim=3, value_dim=2)
        alone.build(inputs.shape)
        alone.set_weights([weights[f"self_attention/{name}"] for name in weights_by_name(alone)])
        np.testing.assert_allclose(outputs[..., 6:], outputs_of(alone, inputs), atol=1e-5)


@pytest.mark.parametrize(("size", "kernel_size", "strides"), [((6, 7), 3, 2), ((8, 6), 5, 3), ((6, 8), (3, 1), (1, 2))])
def test_symmetric_padding_is_pytorchs(size, kernel_size, strides):
    """The same padding on both sides, whatever the windows leave over at the end."""
    inputs = feature_map(2, *size, 4)
    arguments = {"kernel_size": kernel_size, "strides": strides}
    layer = built(inputs.shape, filters=10, num_heads=2, value_ratio=0.4, padding="symmetric", **arguments)
    windows = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    steps = (strides, strides) if isinstance(strides, int) else strides
    padded = np.pad(inputs, ((0, 0), *((window // 2, window // 2) for window in windows), (0, 0)))
    weights = weights_by_name(layer)
    kernel, bias = weights["convolution/kernel"], weights["convolution/bias"]
    expected = np.stack(
        [
            np.einsum(
                "byxc,yxcf->bf",
                padded[:, y * steps[0] : y * steps[0] + windows[0], x * steps[1] : x * steps[1] + windows[1]],
                kernel,
            )
            for y in range(-(-size[0] // steps[0]))
            for x in range(-(-size[1] // steps[1]))
        ],
        axis=1,
    )
    outputs = outputs_of(layer, inputs)
    assert outputs.shape == (2, *layer.compute_output_shape(inputs.shape)[1:])
    np.testing.assert_allclose(outputs[..., :6].reshape(expected.shape), expected + bias, atol=1e-5)


def test_symmetric_padding_needs_a_centre():
    with pytest.raises(
        ValueError, match=r"`kernel_size` must be odd with padding='symmetric'. Received: kernel_size=2"
    ):
        AttentionAugmentedConv2D(8, 2, padding="symmetric")


def test_value_ratio_1_leaves_no_convolution():
    inputs = feature_map(2, 4, 5, 3)
    layer = built(inputs.shape, filters=6, kernel_size=3, num_heads=3, value_ratio=1, min_key_dim=2)
    weights = weights_by_name(layer)
    assert all(name.startswith("self_attention/") for name in weights)
    alone = SelfAttention2D(num_heads=3, key_dim=2)
    alone.build(inputs.shape)
    alone.set_weights([weights[f"self_attention/{name}"] for name in weights_by_name(alone)])
    np.testing.assert_allclose(outputs_of(layer, inputs), outputs_of(alone, inputs), atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", keras.ops.tanh])
def test_activation_applies_to_the_whole_output(activation):
    arguments = {"filters": 6, "kernel_size": 3, "num_heads": 2, "value_ratio": 0.7, "min_key_dim": 3}
    inputs = feature_map(2, 5, 4, 3)
    linear = outputs_of(built(inputs.shape, **arguments), inputs)
    convolved, attended = linear[..., :2], linear[..., 2:]
    assert convolved.min() < -0.1
    assert attended.min() < -0.1
    activated = outputs_of(built(inputs.shape, activation=activation, **arguments), inputs)
    np.testing.assert_allclose(activated, to_numpy(keras.activations.get(activation)(linear)), atol=1e-6)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
@pytest.mark.parametrize(
    ("size", "strides", "attention_pooling"),
    [
        ((1, 1), 1, 1),
        ((1, 1), 2, 2),
        ((4, 4), 2, 1),
        ((4, 4), 1, 3),
        ((7, 5), 1, 1),
        ((7, 5), 2, 1),
        ((7, 5), 1, 2),
        ((7, 5), 2, 2),
        ((7, 5), (1, 2), 1),
        ((7, 5), (3, 1), 3),
    ],
    ids=str,
)
def test_compute_output_shape_agrees_with_the_output_and_with_conv2d(size, strides, attention_pooling):
    layer = AttentionAugmentedConv2D(
        6, 3, strides=strides, num_heads=2, min_key_dim=2, attention_pooling=attention_pooling
    )
    outputs = outputs_of(layer, feature_map(2, *size, 3))
    convolved = keras.layers.Conv2D(6, 3, strides=strides, padding="same").compute_output_shape((2, *size, 3))
    assert outputs.shape == layer.compute_output_shape((2, *size, 3)) == convolved


@pytest.mark.parametrize(
    ("strides", "attention_pooling", "rows"),
    # 15x10 pixels: 8x5 at stride 2, 4x3 once pooled; 15x4 at stride (1, 3), 8x2 once pooled.
    [(1, 1, (29, 19)), (2, 1, (15, 9)), (2, 2, (7, 5)), ((1, 3), 2, (15, 3))],
)
def test_tables_are_made_for_the_size_that_attention_runs_at(strides, attention_pooling, rows):
    arguments = {"strides": strides, "attention_pooling": attention_pooling}
    for input_shape, max_size in [((None, 15, 10, 3), None), ((None, None, None, 3), (15, 10))]:
        layer = built(input_shape, filters=6, kernel_size=3, num_heads=2, max_size=max_size, **arguments)
        weights = weights_by_name(layer)
        assert len(weights["self_attention/relative/height_table"]) == rows[0]
        assert len(weights["self_attention/relative/width_table"]) == rows[1]


@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
def test_attention_sees_the_position_encoding_and_the_convolution_does_not(position_encoding):
    """On a blank map only positions make attention differ between the pixels inside the border."""
    inputs = np.ones((1, 7, 8, 4), "float32")
    layer = built(
        inputs.shape, filters=8, kernel_size=3, value_ratio=0.5, num_heads=4, position_encoding=position_encoding
    )
    outputs = outputs_of(layer, inputs)
    inner = outputs[0, 1:-1, 1:-1]
    np.testing.assert_allclose(inner[..., :4], np.broadcast_to(inner[0, 0, :4], inner[..., :4].shape), atol=1e-5)
    # Relative positions weigh values, which are all alike here.
    spread = np.ptp(inner[..., 4:], axis=(0, 1)).max()
    assert spread > 1e-2 if position_encoding in ("sinusoidal", "coordinates") else spread < 1e-5


def test_children_of_one_shape_start_from_different_values():
    # Two heads of 1 value and 1 key: convolution and qkv are both (1, 1, 3, 6).
    layer = AttentionAugmentedConv2D(8, 1, num_heads=2, min_key_dim=1, key_ratio=0.1)
    layer.build((None, 4, 4, 3))
    weights = weights_by_name(layer)
    kernels = weights["convolution/kernel"], weights["self_attention/qkv/kernel"]
    assert kernels[0].shape == kernels[1].shape
    assert not np.allclose(*kernels)


def test_regularizers_and_constraints_reach_every_kernel_and_every_bias():
    layer = built(
        (None, 4, 4, 3),
        filters=8,
        kernel_size=3,
        num_heads=2,
        kernel_regularizer=keras.regularizers.L1(1.0),
        bias_regularizer=keras.regularizers.L1(100.0),
        activity_regularizer=keras.regularizers.L1(10000.0),
        kernel_constraint="unit_norm",
        bias_constraint="non_neg",
    )
    inputs = feature_map(1, 4, 4, 3)
    outputs = to_numpy(layer(inputs))
    weights = weights_by_name(layer)
    # The tables are neither kernels nor biases.
    kernels = sum(np.abs(value).sum() for name, value in weights.items() if name.endswith("kernel"))
    biases = sum(np.abs(value).sum() for name, value in weights.items() if name.endswith("bias"))
    expected = kernels + 100 * biases + 10000 * np.abs(outputs).sum()
    np.testing.assert_allclose(sum(map(to_numpy, layer.losses)), expected, rtol=1e-5)
    for weight in layer.weights:
        kind = weight.path.rsplit("/")[-1]
        constraint = {"kernel": keras.constraints.UnitNorm, "bias": keras.constraints.NonNeg}.get(kind, type(None))
        assert type(weight.constraint) is constraint, weight.path


@pytest.mark.parametrize(("pooling", "steps"), [(4, (2, 2)), (6, (2, 3)), (8, (2, 2, 2)), (3, (3,))])
def test_pooling_goes_in_steps_of_prime_strides(pooling, steps):
    """A window of 3x3 at every fourth pixel would miss some."""
    layer = built((None, 13, 17, 4), filters=6, kernel_size=3, num_heads=2, value_ratio=1.0, attention_pooling=pooling)
    inputs = feature_map(2, 13, 17, 4)
    pooled = inputs
    for stride in steps:
        pooled = oracle.average_pool_3x3(pooled, (stride, stride))
    assert pooled.shape[1:3] == layer.attention_size((13, 17)) == (-(-13 // pooling), -(-17 // pooling))
    attended = layer.self_attention(pooled)
    expected = keras.ops.image.resize(attended, (13, 17), interpolation="bilinear", data_format="channels_last")
    np.testing.assert_allclose(outputs_of(layer, inputs), to_numpy(expected), rtol=0, atol=1e-5)
