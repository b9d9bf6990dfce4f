"""Wide-ResNets: the geometry of stages and shortcuts, and where attention stands."""

import keras
import numpy as np
import pytest
from helpers.builders import build, images, with_random_statistics, without_values

from aa_keras.applications import AAWideResNet, WideResNet
from aa_keras.layers import AttentionAugmentedConv2D


def augmented_layers(model):
    return {layer.name: layer for layer in model.layers if isinstance(layer, AttentionAugmentedConv2D)}


def table_rows(layer):
    """(height, width) rows of the tables of relative positions."""
    return tuple(weight.shape[0] for weight in layer.weights if weight.name in ("height_table", "width_table"))


def between(model, first, last):
    """The part of a model from the output of one layer to that of another."""
    return keras.Model(model.get_layer(first).output, model.get_layer(last).output)


@pytest.mark.parametrize(
    ("size", "sizes"), [((32, 32), [(32, 32), (16, 16), (8, 8)]), ((9, 14), [(9, 14), (5, 7), (3, 4)])]
)
@pytest.mark.parametrize("builder", [AAWideResNet, WideResNet])
def test_stages_halve_the_map_and_double_the_filters(builder, size, sizes):
    model = builder(16, 3, input_shape=(*size, 3))
    for stage, (expected, filters) in enumerate(zip(sizes, (48, 96, 192), strict=True), start=1):
        for block in (1, 2):
            for convolution in ("conv1", "conv2"):
                output = model.get_layer(f"stage{stage}_block{block}_{convolution}").output
                assert output.shape[1:] == (*expected, filters)
        assert model.pyramid_outputs[f"P{stage - 1}"].shape[1:] == (*expected, filters)
    assert len(model.pyramid_outputs) == 3
    assert model.get_layer("stem_conv").output.shape[1:] == (*size, 16)
    assert sum(layer.name.endswith("conv2") for layer in model.layers) == 6


def test_blocks_of_the_same_shape_add_their_input_as_it_is():
    model = with_random_statistics(WideResNet(16, 1, input_shape=(6, 6, 3)))
    model.get_layer("stage1_block1_conv2").kernel.assign(np.zeros((3, 3, 16, 16)))
    block = between(model, "stem_conv", "stage1_block1_add")
    inputs = images(2, 6, 6, 16)
    np.testing.assert_array_equal(block.predict(inputs, verbose=0), inputs)


def shortcut_of_the_second_stage(shortcut, inputs):
    """The output of the shortcut for activations of (height, width, 16), and the model."""
    model = with_random_statistics(WideResNet(10, 1, input_shape=(*inputs.shape[1:3], 3), shortcut=shortcut))
    model.get_layer("stage2_block1_conv2").kernel.assign(np.zeros((3, 3, 32, 32)))
    return between(model, "stage2_block1_relu1", "P1").predict(inputs, verbose=0), model


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 5)])
def test_pad_averages_two_by_two_pixels_and_adds_zeros_on_both_sides(height, width):
    inputs = images(2, height, width, 16)
    outputs, _ = shortcut_of_the_second_stage("pad", inputs)
    expected = np.zeros((2, -(-height // 2), -(-width // 2), 32))
    for y, x in np.ndindex(expected.shape[1:3]):
        window = inputs[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]  # cut off at the border
        expected[:, y, x, 8:24] = window.mean(axis=(1, 2))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 5)])
def test_projection_is_a_strided_pointwise_convolution(height, width):
    inputs = images(2, height, width, 16)
    outputs, model = shortcut_of_the_second_stage("projection", inputs)
    kernel = model.get_layer("stage2_block1_shortcut_conv").kernel.numpy()
    assert kernel.shape == (1, 1, 16, 32)
    np.testing.assert_allclose(outputs, inputs[:, ::2, ::2] @ kernel[0, 0], rtol=1e-5, atol=1e-5)


def test_only_shortcuts_that_change_the_shape_have_layers():
    narrow = {layer.name for layer in WideResNet(16, 1, shortcut="projection").layers}
    assert {name for name in narrow if "shortcut" in name} == {
        "stage2_block1_shortcut_conv",
        "stage3_block1_shortcut_conv",
    }
    wide = {layer.name for layer in WideResNet(16, 2, shortcut="pad").layers}
    assert {name for name in wide if "shortcut" in name} == {
        "stage1_block1_shortcut_pad",
        *(f"stage{stage}_block1_shortcut_{part}" for stage in (2, 3) for part in ("pool", "pad")),
    }


@pytest.mark.parametrize("stages", [(1, 2, 3), (2,), (1, 3), [3], ()])
def test_attention_is_in_the_first_convolution_of_every_block_of_its_stages(stages):
    model = AAWideResNet(16, 1, input_shape=(8, 8, 3), attention_stages=stages)
    assert set(augmented_layers(model)) == {f"stage{stage}_block{block}_conv1" for stage in stages for block in (1, 2)}


def test_no_stages_are_the_plain_network():
    augmented = AAWideResNet(10, 2, input_shape=(8, 8, 3), attention_stages=())
    plain = WideResNet(10, 2, input_shape=(8, 8, 3))
    assert [(weight.path, weight.shape) for weight in augmented.weights] == [
        (weight.path, weight.shape) for weight in plain.weights
    ]


def test_attention_runs_at_the_size_of_its_output():
    layers = augmented_layers(AAWideResNet(16, 1, input_shape=(32, 24, 3)))
    rows = {1: (63, 47), 2: (31, 23), 3: (15, 11)}
    assert {name: table_rows(layer) for name, layer in layers.items()} == {
        f"stage{stage}_block{block}_conv1": rows[stage] for stage in rows for block in (1, 2)
    }


def test_attention_pooling_halves_the_first_augmented_stage_alone():
    pooled = AAWideResNet(16, 1, attention_stages=(2, 3), attention_pooling=2)
    assert {name: table_rows(layer) for name, layer in augmented_layers(pooled).items()} == {
        "stage2_block1_conv1": (15, 15),
        "stage2_block2_conv1": (15, 15),
        "stage3_block1_conv1": (15, 15),
        "stage3_block2_conv1": (15, 15),
    }


def test_options_of_attention_reach_the_layers():
    arguments = {"num_heads": 2, "key_ratio": 2.0, "value_ratio": 0.5, "position_encoding": "coordinates"}
    model = AAWideResNet(10, 1, input_shape=(8, 8, 3), **arguments)
    shapes = {weight.path: weight.shape for weight in augmented_layers(model)["stage3_block1_conv1"].weights}
    # Keys of 2.0 * 64 = 128 channels, values of 0.5 * 64 = 32; two channels of coordinates; no tables, no biases.
    assert shapes == {
        "stage3_block1_conv1/convolution/kernel": (3, 3, 32, 32),
        "stage3_block1_conv1/self_attention/qkv/kernel": (1, 1, 32 + 2, 2 * 128 + 32),
        "stage3_block1_conv1/self_attention/output/kernel": (1, 1, 32, 32),
    }


@pytest.mark.parametrize(
    ("shape", "standing_for"),
    [((None, None, 3), (32, 32, 3)), ((None, 20, 3), (32, 20, 3)), ((20, None, 1), (20, 32, 1))],
)
def test_unknown_sizes_take_the_tables_of_the_default_size(shape, standing_for):
    with without_values():
        unknown, known = (build("AAWideResNet", input_shape=input_shape) for input_shape in (shape, standing_for))
    assert unknown.input_shape == (None, *shape)
    assert [(weight.path, weight.shape) for weight in unknown.weights] == [
        (weight.path, weight.shape) for weight in known.weights
    ]


def test_at_the_size_of_its_tables_a_model_of_unknown_size_computes_what_one_of_that_size_does():
    unknown = with_random_statistics(build("AAWideResNet", input_shape=(None, None, 3)))
    known = build("AAWideResNet", input_shape=(32, 32, 3))
    known.set_weights(unknown.get_weights())
    inputs = images(1, 32, 32, 3)
    np.testing.assert_allclose(unknown(inputs), known(inputs), rtol=0, atol=1e-6)


def test_unknown_sizes_run_at_any_size():
    model = build("AAWideResNet", input_shape=(None, None, 3), include_top=False)
    assert model(images(1, 24, 40, 3)).shape == (1, 6, 10, 64)
    # Also larger than the tables.
    assert model(images(1, 8, 44, 3)).shape == (1, 2, 11, 64)
    assert build("AAWideResNet", include_top=False, input_shape=None).input_shape == (None, None, None, 3)
    assert build("AAWideResNet", input_shape=None).input_shape == (None, 32, 32, 3)
