"""Backbones of detectors: networks of any family, and weights of classifiers in them."""

import importlib
import sys
import types

import keras
import numpy as np
import pytest
from helpers.builders import images, with_random_statistics, without_values

import aa_keras
from aa_keras import recipes
from aa_keras._startup import quiet_import
from aa_keras.applications import AAMnasNet, AARetinaNet, BoTNet, ResNet, create_model, retinanet
from aa_keras.applications.datasets import COCO
from aa_keras.export.rebuilding import rebuilt
from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.tasks import fine_tuning

with quiet_import():
    pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")

SMALL = {"depth": 18, "width": 8, "blocks": (1, 1, 1, 1)}
BOTNET = {"stages": ("c", "c", "c", "a"), "head_channels": 64}
# A network of each family, its levels, and the channels of the last one.
BACKBONES = {
    "AAResNet": (SMALL, range(2, 6), 64),
    "AAMnasNet": ({"alpha": 0.1}, range(1, 6), 32),
    "AAWideResNet": ({"depth": 10, "width": 1, "num_heads": 2}, range(6), 256),
    "BoTNet": (BOTNET, range(2, 6), 64),
}
OTHERS = sorted(set(BACKBONES) - {"AAResNet"})


def detector(**arguments):
    resnet = {} if "backbone" in arguments else SMALL
    given = {**resnet, "max_level": 5, "head_convolutions": 1, "input_shape": (64, 96, 3), "classes": 3, **arguments}
    return AARetinaNet(**given)


@pytest.mark.parametrize("backbone", OTHERS)
def test_a_detector_on_any_network_learns_and_is_loaded(backbone, tmp_path):
    arguments, levels, _ = BACKBONES[backbone]
    model = detector(backbone=backbone, backbone_arguments=arguments, input_shape=(64, 64, 3))
    assert sorted(model.encoder.pyramid_outputs) == [f"P{level}" for level in levels]
    x = images(2, 64, 64, 3)
    y = {"boxes": np.tile(np.float32([[[4, 4, 60, 60]]]), (2, 1, 1)), "labels": np.ones((2, 1), "float32")}
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.Adam(1e-3), run_eagerly=keras.backend.backend() == "tensorflow")
    assert np.isfinite(model.fit(x, y, batch_size=2, verbose=0).history["loss"][0])
    changed = [np.any(np.array(weight) != old) for weight, old in zip(model.trainable_weights, before, strict=True)]
    still = [weight.path for weight, is_new in zip(model.trainable_weights, changed, strict=True) if not is_new]
    # Nothing of the network is left out; few units of squeeze-and-excitation may all be zero for two images.
    assert [path for path in still if "_se/" not in path] == []
    model.save(tmp_path / "detector.keras")
    again = keras.models.load_model(tmp_path / "detector.keras")
    np.testing.assert_array_equal(again(x)["cls_logits"], model(x)["cls_logits"])
    recorded = again.architecture.arguments
    assert (recorded["backbone"], recorded["backbone_arguments"]) == (backbone, arguments)


def test_pixels_are_normalized_as_for_all_detectors():
    """Not as for the images that the network is for otherwise."""
    arguments = {"backbone": "AAWideResNet", "backbone_arguments": BACKBONES["AAWideResNet"][0]}
    with_inside = detector(**arguments, include_preprocessing=True)
    layer = with_inside.encoder.get_layer("preprocessing")
    np.testing.assert_allclose(layer(np.float32([[[COCO.mean]]])), 0, atol=1e-4)
    assert with_inside.architecture.arguments["include_preprocessing"]
    larger = rebuilt(with_inside, (96, 128), dense=True)
    assert larger(images(1, 96, 128, 3))["cls_logits"].shape[1] == 9 * (12 * 16 + 6 * 8 + 3 * 4)
    assert "preprocessing" not in {layer.name for layer in detector(**arguments).encoder.layers}


def test_a_network_is_taken_with_its_weights(tmp_path):
    network = with_random_statistics(AAMnasNet(alpha=0.1, input_shape=(64, 96, 3), classes=7))
    model = detector(backbone=network, input_shape=None)
    x = images(1, 64, 96, 3)
    level = keras.Model(network.inputs, network.pyramid_outputs["P5"])
    np.testing.assert_array_equal(model.encoder(x), level(x))
    model.save(tmp_path / "detector.keras")
    loaded = keras.models.load_model(tmp_path / "detector.keras")
    np.testing.assert_array_equal(loaded(x)["cls_logits"], model(x)["cls_logits"])
    assert rebuilt(loaded, (128, 96)).input_shape == (None, 128, 96, 3)
    with pytest.raises(ValueError, match="which do not; their builder is AARetinaNet"):
        create_model(tmp_path / "detector.keras")


def test_a_plain_network_is_rebuilt_for_formats_without_blockwise_attention():
    model = detector(backbone="MnasNet", backbone_arguments={"alpha": 0.1})
    assert rebuilt(model, (96, 128), dense=True).input_shape == (None, 96, 128, 3)


def test_weights_of_a_backbone_decide_its_padding(tmp_path):
    botnet = with_random_statistics(BoTNet(**BOTNET, padding="symmetric", input_shape=(64, 64, 3), classes=7))
    aa_keras.save_pretrained(botnet, tmp_path / "botnet", mean=COCO.mean, std=COCO.std)
    model = detector(backbone="BoTNet", backbone_arguments=BOTNET, backbone_weights=tmp_path / "botnet")
    assert model.architecture.arguments["backbone_arguments"] == {**BOTNET, "padding": "symmetric"}
    np.testing.assert_array_equal(model.encoder.get_layer("head_conv").kernel, botnet.get_layer("head_conv").kernel)
    model.save(tmp_path / "detector.keras")
    again = create_model(tmp_path / "detector.keras")
    np.testing.assert_array_equal(again(images(1, 64, 96, 3))["cls_logits"], model(images(1, 64, 96, 3))["cls_logits"])
    assert again.architecture == model.architecture


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"backbone": "ResNet51"}, "`backbone` must be one of 'BoTNet'.* Received: backbone='ResNet51'"),
        ({"backbone": "AARetinaNet50"}, "`backbone` must be one of .*Received: backbone='AARetinaNet50'"),
        ({"backbone": 3}, "`backbone` must be one of .*Received: backbone=3"),
        ({"backbone": "MnasNet", "depth": 18}, "`depth` is for the ResNet .*Received: depth=18, backbone='MnasNet'"),
        (
            {"backbone": "MnasNet", "backbone_arguments": {"width": 3, "classes": 3}},
            "`backbone_arguments` must be arguments of MnasNet: alpha. Received: classes, width",
        ),
        ({"backbone": "MnasNet", "backbone_arguments": "alpha"}, "`backbone_arguments` must be a dictionary"),
        ({"backbone_arguments": {"alpha": 1.0}}, "`backbone_arguments` go with the name of a `backbone`"),
    ],
)
def test_a_backbone_that_does_not_do_is_refused(arguments, error):
    with pytest.raises(ValueError, match=error):
        AARetinaNet(**arguments)


def test_a_network_that_does_not_do_is_refused():
    with without_values():
        small = AAMnasNet(alpha=0.1, input_shape=(64, 96, 3))
        other = keras.Sequential([keras.Input((64, 96, 3)), keras.layers.Conv2D(3, 1)], name="mine")
    with pytest.raises(
        ValueError, match=r"`backbone` must be a network of images \(128, 128, 3\) with layers called P3"
    ):
        detector(backbone=small, input_shape=(128, 128, 3))
    with pytest.raises(ValueError, match=r"Received: a network of images .* with none of them"):
        detector(backbone=other)
    with pytest.raises(ValueError, match="must be None for a `backbone` that is a network"):
        detector(backbone=small, include_preprocessing=True)


@pytest.mark.parametrize("backbone", [pytest.param(name, marks=pytest.mark.slow) for name in OTHERS] + ["AAResNet"])
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="KerasHub's tests are run with TensorFlow")
def test_the_encoder_passes_the_test_of_backbones_of_keras_hub(backbone, monkeypatch):
    """Calls, saving, precision and quantization. Its module imports grain, which this test does not need."""
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "grain", types.ModuleType("grain"))
        case = importlib.import_module("keras_hub.src.tests.test_case").TestCase()
    arguments, levels, channels = BACKBONES[backbone]
    case.setUp()
    case.run_vision_backbone_test(
        cls=retinanet._import_detector().PyramidEncoder,
        init_kwargs={"builder": backbone, "image_shape": (64, 96, 3), "arguments": arguments},
        input_data=keras.ops.ones((2, 64, 96, 3)),
        expected_output_shape=(2, 2, 3, channels),
        expected_pyramid_output_keys=[f"P{level}" for level in levels],
        expected_pyramid_image_sizes=[(64 >> level, 96 >> level) for level in levels],
    )


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
