"""Backbones of detectors from weights of classifiers: what is taken, what is new, and what learns."""

import numpy as np
import pytest
from helpers.builders import with_random_statistics

import aa_keras
from aa_keras import recipes
from aa_keras._startup import quiet_import
from aa_keras.applications import AARetinaNet, ResNet
from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.tasks import fine_tuning

with quiet_import():
    pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")

SMALL = {"depth": 18, "width": 8, "blocks": (1, 1, 1, 1)}


def detector(**arguments):
    return AARetinaNet(**SMALL, max_level=5, head_convolutions=1, input_shape=(64, 96, 3), classes=3, **arguments)


def test_a_backbone_may_be_that_of_a_plain_network_in_a_folder(tmp_path):
    """Attention is new then: it learns, where all that was taken is frozen, and at the rate of the heads."""
    plain = with_random_statistics(ResNet(**SMALL, padding="symmetric", input_shape=(64, 64, 3)))
    aa_keras.save_pretrained(plain, tmp_path / "plain")
    model = detector(backbone_weights=tmp_path / "plain")
    backbone = model.backbone.image_encoder.layers
    (stem,) = (layer for layer in backbone if layer.name == "stem_conv")
    np.testing.assert_array_equal(stem.kernel, plain.get_layer("stem_conv").kernel)
    assert any(layer.name == "stem_conv_pad" for layer in backbone)  # as the weights were trained
    config = recipes.default_config()
    config.update(freeze="backbone", head_learning_rate_multiplier=3.0, layer_decay=0.5)
    multipliers = fine_tuning.prepare(model, backbone, config)
    trained = {layer.name for layer in backbone if layer.trainable_variables}
    augmented = {layer.name for layer in backbone if isinstance(layer, AttentionAugmentedConv2D)}
    assert trained == augmented | {name.replace("conv", "bn") for name in augmented}
    assert {rate for path, rate in multipliers.items() if "self_attention" in path or "head" in path} == {3.0}
    aa_keras.save_pretrained(plain, tmp_path / "other", mean=(127.5,) * 3, std=(127.5,) * 3)
    with pytest.raises(ValueError, match="`backbone_weights` must have been trained with ImageNet's statistics"):
        detector(backbone_weights=tmp_path / "other")
    aa_keras.save_pretrained(model, tmp_path / "detector", mean=(127.5,) * 3, std=(127.5,) * 3)
    with pytest.raises(ValueError, match="`weights` must have been trained with ImageNet's statistics"):
        detector(weights=tmp_path / "detector")
