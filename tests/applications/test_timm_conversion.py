"""Checkpoints of timm: converted strictly, to the same numbers, cached, and refused if they are something else."""

import json
import logging
import shutil
import sys

import keras
import numpy as np
import pytest
from helpers.hub import Hub
from helpers.timm_checkpoints import FIXTURES, SMALL, load_drawn, read_fixture, small_resnet, write

from aa_keras import applications
from aa_keras.applications import AAResNet, AAResNet50, ResNet, SEResNet, WideResNet, create_model
from aa_keras.applications.weights import finding

safetensors = pytest.importorskip("safetensors.numpy", reason="the extra `timm` is not installed")
drawn = load_drawn()
pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize(
    "fixture",
    # seresnet50 has all that resnet50 has.
    [pytest.param(path, marks=pytest.mark.slow if path.stem == "resnet50" else ()) for path in FIXTURES],
    ids=lambda path: path.stem,
)
def test_a_converted_network_computes_what_timms_does(fixture, tmp_path):
    known = read_fixture(fixture)
    path = write(tmp_path / "some.safetensors", known["shapes"])
    size = drawn.FIXTURE_SIZE
    arguments = {"input_shape": (*size, 3), "classes": drawn.FIXTURE_CLASSES, "classifier_activation": None}
    model = getattr(applications, known["builder"])(weights=path, **arguments)
    logits = model(drawn.drawn_images(*size), training=False)
    np.testing.assert_allclose(logits, known["logits"], rtol=0, atol=1e-4)
    assert np.abs(known["logits"]).max() > 0.3


def test_a_converted_network_is_kept_with_what_is_known_of_it(checkpoint, cache, monkeypatch, caplog):
    checkpoint.with_name("config.json").write_text(
        json.dumps({"pretrained_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.5], "crop_pct": 0.95}})
    )
    images = drawn.drawn_images(64, 64)
    with caplog.at_level(logging.WARNING):
        first = ResNet(weights=checkpoint, **SMALL)
    assert f"converted {len(small_resnet())} tensors of ResNet" in caplog.text
    assert first.weights_info.builder == "ResNet"
    assert first.weights_info.mean == (127.5, 102.0, 76.5)
    assert (first.weights_info.central_fraction, first.weights_info.interpolation) == (0.95, "bicubic")
    (folder,) = (cache / "converted").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.keras", "weights.json"]
    monkeypatch.setattr(finding, "convert", None)  # which would fail
    second = ResNet(weights=checkpoint, **SMALL)
    np.testing.assert_array_equal(first(images), second(images))
    again = create_model(folder, input_shape=(64, 64, 3))  # whose other arguments are recorded
    np.testing.assert_array_equal(first(images), again(images))
    whole = keras.models.load_model(folder / "model.keras")
    for one, other in zip(whole.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    normalizing = ResNet(weights=checkpoint, include_preprocessing=True, **SMALL)
    expected = first((pixels - [127.5, 102.0, 76.5]) / [51.0, 63.75, 127.5])
    np.testing.assert_allclose(normalizing(pixels), expected, atol=1e-5)
    np.testing.assert_allclose(first(first.weights_info.preprocess_input(pixels)), expected, atol=1e-5)


def test_everything_that_decides_a_conversion_decides_where_it_is_kept(checkpoint, cache, tmp_path):
    """A configuration that comes later, another one, and the same file in another folder."""
    assert ResNet(weights=checkpoint, **SMALL).weights_info.central_fraction == 0.875
    for fraction in (0.95, 0.5):
        checkpoint.with_name("config.json").write_text(json.dumps({"crop_pct": fraction}))
        assert ResNet(weights=checkpoint, **SMALL).weights_info.central_fraction == fraction
    (tmp_path / "other").mkdir()
    copy = shutil.copy(checkpoint, tmp_path / "other")
    info = ResNet(weights=copy, **SMALL).weights_info
    assert (info.source, info.central_fraction) == (str(copy), 0.875)
    assert len(list((cache / "converted").iterdir())) == 4


def test_what_was_kept_is_converted_again_where_it_is_damaged(checkpoint, cache, caplog):
    before = ResNet(weights=checkpoint, **SMALL).get_weights()
    (folder,) = (cache / "converted").iterdir()
    content = (folder / "model.keras").read_bytes()
    (folder / "model.keras").write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.WARNING):
        after = ResNet(weights=checkpoint, **SMALL).get_weights()
    assert "damaged" in caplog.text
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"pretrained_cfg": {"mean": 3}}', '{"pretrained_cfg": {"crop_pct": 9}}']
)
def test_a_configuration_beside_it_that_makes_no_sense_is_refused(content, checkpoint):
    checkpoint.with_name("config.json").write_text(content)
    with pytest.raises(ValueError, match=r"is not a configuration of timm|is invalid"):
        ResNet(weights=checkpoint, **SMALL)


def test_a_damaged_checkpoint_is_refused_in_a_line(checkpoint, cache):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"`weights` must be a whole checkpoint .*small\.safetensors") as error:
        ResNet(weights=checkpoint, **SMALL)
    assert "\n" not in str(error.value)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"layer2.0.bn2.bias": None}, r"it looks like ResNet, but lacks layer2\.0\.bn2\.bias"),
        ({"conv1.weight": None}, r"it lacks conv1\.weight"),
        ({"layer3.0.conv2b.weight": np.ones(3, "float32")}, r"has no weight for layer3\.0\.conv2b\.weight"),
        ({"layer1.0.bn1.weight": np.ones(9, "float32")}, r"layer1\.0\.bn1\.weight has the shape \(9,\).*\(8,\)"),
        ({"layer1.0.conv1.weight": np.ones(8, "float32")}, r"layer1\.0\.conv1\.weight has the shape \(8,\)"),
        ({"fc.bias": np.full(5, np.nan, "float32")}, r"fc\.bias holds numbers that are infinite or NaN"),
    ],
)
def test_the_first_difference_is_named(changes, difference, tmp_path):
    path = write(tmp_path / "other.safetensors", small_resnet(), **changes)
    with pytest.raises(ValueError, match=difference) as error:
        ResNet(weights=path, **SMALL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("builder", "arguments", "difference"),
    [
        (ResNet, {"blocks": (1, 2, 1, 1)}, r"other\.safetensors', where the file has another model: .*'stage"),
        (ResNet, {"width": 16}, r"stem_bn.* has the shape \(8,\) in the file, \(16,\) in the model"),
        (SEResNet, {}, "the file lacks .*stage1_block1_se"),
        (ResNet, {"padding": "same"}, "padding of the layer 'stem_conv' is 'valid' in the file, 'same' in the model"),
        (AAResNet, {"blocks": (1, 2, 1, 1)}, "the layer 'stage2_block2_conv1' have the shapes None"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(builder, arguments, difference, tmp_path):
    path = write(tmp_path / "other.safetensors", small_resnet())
    with pytest.raises(ValueError, match=difference):
        builder(weights=path, **{**SMALL, **arguments})


def test_other_families_have_none_of_timms(checkpoint):
    with pytest.raises(ValueError, match="`weights` can be weights of timm for ResNets and BoTNets alone"):
        WideResNet(10, 1, weights=checkpoint)


def test_an_augmented_network_takes_what_fits_of_a_plain_one(checkpoint, caplog):
    with caplog.at_level(logging.WARNING):
        model = AAResNet(weights=checkpoint, num_heads=2, **SMALL)
    plain = ResNet(weights=checkpoint, **SMALL)
    untrained = AAResNet(num_heads=2, padding="symmetric", **SMALL)
    layers = {layer.name: layer for layer in plain.layers}
    augmented = [layer for layer in model.layers if hasattr(layer, "self_attention")]
    assert len(augmented) == 3
    followers = {layer.name.replace("conv", "bn"): layer.convolution.filters for layer in augmented}
    assert [layer.filters - layer.convolution.filters for layer in augmented] == [2, 2, 6]
    partial = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        theirs, new = layers[layer.name].get_weights(), untrained.get_layer(layer.name).get_weights()
        if layer in augmented:
            kept = layer.convolution.filters
            np.testing.assert_array_equal(layer.convolution.kernel, theirs[0][..., :kept])
            partial += 1
        elif layer.name in followers:
            kept = followers[layer.name]
            # Attention's channels, which start with the mean of the previous channels after the ReLU.
            normal = np.random.default_rng(0).normal(size=(10_000, 1))
            means = np.maximum(theirs[1] + theirs[0] * normal, 0).mean(axis=0)
            for variable, before, fresh in zip(layer.weights, theirs, new, strict=True):
                ours = np.array(variable)
                np.testing.assert_array_equal(ours[:kept], before[:kept])
                expected = {"gamma": 0 * fresh, "beta": means}.get(variable.name, fresh)
                np.testing.assert_allclose(ours[kept:], expected[kept:], atol=0.03)
                partial += 1
        else:
            for ours, before in zip(layer.get_weights(), theirs, strict=True):
                np.testing.assert_array_equal(ours, before)
    new = sum(len(layer.self_attention.weights) for layer in augmented)
    whole = len(model.weights) - partial - new
    assert f"took {whole} weights whole, and of {partial} the channels that are" in caplog.text
    assert f"{new} are new and must be trained" in caplog.text


def test_without_attention_an_augmented_convolution_is_the_plain_one(checkpoint):
    """The strided one as well: kept channels see the windows that they were trained on."""
    model, plain = AAResNet(weights=checkpoint, num_heads=2, **SMALL), ResNet(weights=checkpoint, **SMALL)
    name, size = "stage2_block1_conv2", (16, 16)
    inputs = np.random.default_rng(0).normal(size=(1, *size, 16)).astype("float32")
    kept = model.get_layer(name).convolution.filters
    padded = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    np.testing.assert_allclose(
        model.get_layer(name)(inputs)[..., :kept], plain.get_layer(name)(padded)[..., :kept], atol=1e-5
    )


def test_weights_for_other_classes_leave_the_classifier_new(checkpoint, caplog):
    for builder in (ResNet, AAResNet):
        model = builder(weights=checkpoint, **{**SMALL, "classes": 7})
        assert model.has_new_weights
        assert "the classifier of" in caplog.text
        caplog.clear()
    assert not ResNet(weights=checkpoint, **SMALL).has_new_weights
    assert AAResNet(weights=checkpoint, **SMALL).has_new_weights  # attention's


@pytest.fixture
def hub(tmp_path, monkeypatch):
    found = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", found)
    return found


def test_weights_by_timms_name(hub, cache, monkeypatch, caplog):
    repository = hub.folder / "timm" / "resnet50.tv2_in1k"
    write(repository / "model.safetensors", small_resnet())
    (repository / "config.json").write_text('{"pretrained_cfg": {"crop_pct": 0.965, "interpolation": "bilinear"}}')
    (repository / "README.md").write_text("---\ntags: [a]\nlicense: bsd-3-clause\n---\n# Card\n")
    info = ResNet(weights="timm/resnet50.tv2_in1k", **SMALL).weights_info
    assert (info.source, info.licence, info.interpolation) == ("timm/resnet50.tv2_in1k", "bsd-3-clause", "bilinear")
    assert info.scores == {"top1": 80.85, "top5": 95.434}
    assert "timm, on ImageNet's validation images at 224x224" in info.reported
    (folder,) = (cache / "timm").iterdir()
    card = (folder / "README.md").read_text()
    assert all(fact in card for fact in ("license: bsd-3-clause", "80.85", "timm/resnet50.tv2_in1k", "bilinear"))
    # The hub is asked again, and without it what was downloaded is used.
    (repository / "config.json").write_text('{"pretrained_cfg": {"crop_pct": 0.5}}')
    assert ResNet(weights="timm/resnet50.tv2_in1k", **SMALL).weights_info.central_fraction == 0.5
    shutil.rmtree(repository)
    monkeypatch.setattr(finding, "convert", None)  # which would fail
    assert ResNet(weights="timm/resnet50.tv2_in1k", **SMALL).weights_info.central_fraction == 0.5
    assert "timm/resnet50.tv2_in1k: an earlier download is used, since huggingface.co could not be" in caplog.text


def test_without_the_hub_there_is_a_line(hub):
    with pytest.raises(ValueError, match=r"`weights` could not be downloaded from huggingface\.co: .*network") as error:
        ResNet(weights="timm/resnet50.a9_in1k", **SMALL)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"`weights` of AAResNet50 must be weights of timm's resnet50\. Received"):
        AAResNet50(weights="timm/resnet101.a1_in1k")
    for name in ("timm/", "timm/../x", "timm/a/b"):
        with pytest.raises(ValueError, match="must name weights of timm"):
            ResNet(weights=name, **SMALL)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r'pip install "aa-keras\[timm\]"'):
        ResNet(weights="timm/resnet50.a1_in1k", **SMALL)


@pytest.mark.parametrize(
    ("blocks", "width", "bottleneck", "builder", "depth"),
    [
        ((2, 2, 2, 2), 64, False, "ResNet", 18),  # which has no builder of its own
        ((3, 4, 6, 3), 64, False, "ResNet34", 34),
        ((3, 4, 6, 3), 64, True, "ResNet50", 50),
        ((3, 4, 23, 3), 64, True, "ResNet101", 101),
        ((3, 8, 36, 3), 64, True, "ResNet152", 152),
        ((3, 4, 6, 3), 32, True, "ResNet", 50),
        ((1, 1, 1, 1), 64, False, "ResNet", 18),
    ],
)
def test_a_checkpoint_identifies_its_network(blocks, width, bottleneck, builder, depth):
    shapes = small_resnet(classes=3, blocks=blocks, width=width, bottleneck=bottleneck)
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    found, arguments = ResNet.definition.family.timm.structure(state)
    assert found == builder
    assert found in applications.__all__
    assert (arguments["depth"], arguments["blocks"], arguments["width"]) == (depth, blocks, width)
    assert arguments["classes"] == 3
