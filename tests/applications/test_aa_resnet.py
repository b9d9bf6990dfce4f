"""The stages of ResNets: their sizes at any image size, and where attention is."""

import keras
import numpy as np
import pytest
from helpers.builders import images, with_random_statistics, without_values

from aa_keras.applications import AAResNet50, ResNet50
from aa_keras.applications.datasets import IMAGENET
from aa_keras.layers import AttentionAugmentedConv2D


@pytest.mark.parametrize("builder", [AAResNet50, ResNet50])
def test_stages_have_a_quarter_to_a_32nd_of_the_resolution(builder):
    with without_values():
        model = builder(input_shape=(224, 160, 3))
        unknown = builder(include_top=False)
    for level, filters in zip((2, 3, 4, 5), (256, 512, 1024, 2048), strict=True):
        size = (224 // 2**level, 160 // 2**level)
        assert model.pyramid_outputs[f"P{level}"].shape == (None, *size, filters)
        assert unknown.pyramid_outputs[f"P{level}"].shape == (None, None, None, filters)
    assert sorted(model.pyramid_outputs) == ["P2", "P3", "P4", "P5"]


def test_attention_is_in_every_block_of_the_last_three_stages_pooled_in_the_first_of_them():
    with without_values():
        model = AAResNet50()
    augmented = {
        layer.name: (layer.attention_pooling, layer.attention_size(layer.max_size))
        for layer in model.layers
        if isinstance(layer, AttentionAugmentedConv2D)
    }
    expected = {}
    for stage, blocks, pooling, size in ((2, 4, 2, 14), (3, 6, 1, 14), (4, 3, 1, 7)):
        for block in range(1, blocks + 1):
            expected[f"stage{stage}_block{block}_conv2"] = (pooling, (size, size))
    assert augmented == expected


def test_without_a_top_images_of_any_size_go_in():
    model = AAResNet50(include_top=False)
    with_random_statistics(model)
    pyramid = keras.Model(model.inputs, model.pyramid_outputs)
    for height, width in ((33, 65), (96, 40)):
        outputs = pyramid(images(1, height, width, 3))
        for level in (2, 3, 4, 5):
            size = (-(-height // 2**level), -(-width // 2**level))
            assert outputs[f"P{level}"].shape[1:3] == size
            assert np.isfinite(keras.ops.convert_to_numpy(outputs[f"P{level}"])).all()


def test_classes_of_imagenet_have_names_of_their_own():
    names = IMAGENET.class_names
    assert len(set(names)) == len(names) == 1000
    assert names[0] == "tench"
    assert [name for name in names if "crane" in name] == ["crane bird", "crane"]
