"""MnasNet: its blocks, where attention is and at which resolution, and channels by `alpha`."""

import keras
import numpy as np
import pytest
from helpers.builders import images, with_random_statistics, without_values

from aa_keras.applications import AAMnasNet, MnasNet
from aa_keras.layers import AttentionAugmentedConv2D, SqueezeExcite


def build(builder, **arguments):
    with without_values():
        return builder(**arguments)


def test_blocks_are_those_of_the_paper():
    """Table of MnasNet-A1: window, stride, output channels, and squeezed channels of each block."""
    model = build(MnasNet)
    blocks = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            name = layer.name.removesuffix("_depthwise_conv")
            names = {other.name: other for other in model.layers}
            project = names[f"{name}_project_conv"]
            squeeze = names.get(f"{name}_se")
            expanded = names.get(f"{name}_expand_conv")
            blocks.append(
                (
                    layer.kernel_size[0],
                    layer.strides[0],
                    expanded and expanded.filters // expanded.input.shape[-1],
                    project.filters,
                    squeeze and squeeze.squeeze.units,
                )
            )
    assert blocks == [
        (3, 1, None, 16, None),
        *[(3, 2, 6, 24, None), (3, 1, 6, 24, None)],
        *[(5, 2, 3, 40, 6), (5, 1, 3, 40, 10), (5, 1, 3, 40, 10)],
        *[(3, 2, 6, 80, None), *[(3, 1, 6, 80, None)] * 3],
        *[(3, 1, 6, 112, 20), (3, 1, 6, 112, 28)],
        *[(5, 2, 6, 160, 28), *[(5, 1, 6, 160, 40)] * 2],
        (3, 1, 6, 320, None),
    ]
    # Blocks that keep their shape have a shortcut, the first apart: one of two, two of three, three, one and two.
    assert sum(isinstance(layer, keras.layers.Add) for layer in model.layers) == 1 + 2 + 3 + 1 + 2


def test_attention_is_in_the_expansion_of_13_blocks_at_the_resolution_of_their_output():
    model = build(AAMnasNet)
    found = [layer for layer in model.layers if isinstance(layer, AttentionAugmentedConv2D)]
    assert [layer.attention_size(layer.max_size)[0] for layer in found] == [14] * 3 + [14] * 4 + [14] * 2 + [7] * 4
    assert [layer.attention_pooling for layer in found] == [4, 2, 2, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert {layer.kernel_size for layer in found} == {(1, 1)}
    assert {(layer.num_heads, layer.key_ratio, layer.value_ratio) for layer in found} == {(4, 0.1, 0.05)}
    assert all(layer.name.endswith("_expand_conv") for layer in found)


@pytest.mark.parametrize(
    ("alpha", "channels"),
    [
        (0.75, [24, 16, 24, 32, 64, 88, 120, 240]),
        (1.0, [32, 16, 24, 40, 80, 112, 160, 320]),
        (1.4, [48, 24, 32, 56, 112, 160, 224, 448]),
    ],
)
def test_channels_are_multiples_of_8_near_alpha_times_those_of_a1(alpha, channels):
    model = build(MnasNet, alpha=alpha)
    names = {layer.name: layer for layer in model.layers}
    last_blocks = enumerate((1, 2, 3, 4, 2, 3, 1), start=1)
    found = [names[f"stage{stage}_block{block}_project_conv"].filters for stage, block in last_blocks]
    assert [names["stem_conv"].filters, *found] == channels
    assert names["head_conv"].filters == 1280


def test_pyramid_outputs_are_the_stages_at_each_resolution():
    model = build(MnasNet, input_shape=(64, 96, 3))
    shapes = {level: output.shape[1:] for level, output in model.pyramid_outputs.items()}
    assert shapes == {
        "P1": (32, 48, 16),
        "P2": (16, 24, 24),
        "P3": (8, 12, 40),
        "P4": (4, 6, 112),
        "P5": (2, 3, 320),
    }


def test_images_of_any_size_go_in_without_a_top():
    model = with_random_statistics(AAMnasNet(alpha=0.75, include_top=False))
    for size in ((33, 47), (64, 40)):
        outputs = keras.ops.convert_to_numpy(model(images(1, *size, 3)))
        assert outputs.shape == (1, -(-size[0] // 32), -(-size[1] // 32), 1280)
        assert np.isfinite(outputs).all()


@pytest.mark.parametrize("alpha", [0, -1.0, "1", True, float("nan"), None])
def test_alpha_must_be_a_number_above_0(alpha):
    with pytest.raises(ValueError, match=r"`alpha` must be a number above 0 and at most 100\. Received: alpha="):
        MnasNet(alpha=alpha)


def test_squeeze_excite_is_in_stages_3_5_and_6():
    model = build(MnasNet)
    stages = {layer.name.split("_")[0] for layer in model.layers if isinstance(layer, SqueezeExcite)}
    assert stages == {"stage3", "stage5", "stage6"}
