"""RetinaNets: how they start, what they lose and find, and that files of them load."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers.builders import build, images, with_random_statistics, without_values

from aa_keras import applications
from aa_keras._startup import quiet_import
from aa_keras.applications import AAResNet, AARetinaNet, datasets, paper
from aa_keras.complexity import model_complexity
from aa_keras.layers import AttentionAugmentedConv2D

with quiet_import():
    pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")

from aa_keras.applications.detector import decoder
from aa_keras.applications.detector import model as detector

pytestmark = pytest.mark.jax

SMALL = {"depth": 18, "width": 8, "blocks": (1, 1, 1, 1), "max_level": 5, "head_convolutions": 1}


def small(**arguments):
    return AARetinaNet(**{**SMALL, "input_shape": (64, 96, 3), "classes": 3, **arguments})


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return with_random_statistics(small())


@pytest.mark.parametrize("spec", paper.DETECTORS, ids=lambda spec: spec.builder)
def test_specs_have_parameters_and_flops(spec):
    with without_values():
        network = getattr(applications, spec.builder)()
        whole, without = (model_complexity(network, attention_products=products) for products in (True, False))
    assert whole.parameters == spec.parameters
    assert round(whole.flops / 1e9, 2) == spec.gflops
    assert round(without.flops / 1e9, 2) == spec.gflops_without_products


@pytest.mark.parametrize("name", ["AARetinaNet", "RetinaNet", "SERetinaNet"])  # others are of other sizes
def test_every_detector_is_built(name):
    with without_values():
        network = build(name)
        anchors = (128 // 8) ** 2 * 9 + sum((128 // 2**level) ** 2 * 9 for level in range(4, 8))
        shapes = {key: tuple(output.shape) for key, output in network.output.items()}
        assert shapes == {"bbox_regression": (None, anchors, 4), "cls_logits": (None, anchors, 3)}
        layers = network.backbone.image_encoder.layers
        assert any(isinstance(layer, AttentionAugmentedConv2D) for layer in layers) == name.startswith("AA")
        assert any("_se" in layer.name for layer in layers) == name.startswith("SE")


def test_flops_are_those_of_every_convolution(model):
    """The heads run on every level, and the pyramid's convolutions each on its own."""
    with without_values():
        network = build("RetinaNet", max_level=5)
        backbone = build(
            "ResNet", depth=18, width=16, blocks=(1, 1, 1, 1), input_shape=(128, 128, 3), include_top=False
        )
        difference = model_complexity(network).flops - model_complexity(backbone).flops
    positions = {level: (128 // 2**level) ** 2 for level in (3, 4, 5)}
    channels = {3: 32, 4: 64, 5: 128}
    pyramid = sum(positions[level] * (channels[level] * 256 + 9 * 256 * 256) for level in positions)
    heads = sum(positions.values()) * 9 * (2 * 256 * 256 + 256 * 36 + 256 * 27)
    assert difference == 2 * (pyramid + heads)


def test_heads_start_as_the_paper_has_them(model):
    heads = (model.box_head, model.classification_head)
    kernels = [layer.kernel for head in heads for layer in (*head.conv_layers, head.prediction_layer)]
    for kernel in kernels:
        assert np.std(kernel) == pytest.approx(0.01, rel=0.05)
    pyramid = [
        layer for layer in model.backbone.feature_pyramid._flatten_layers() if isinstance(layer, keras.layers.Conv2D)
    ]
    kernels += [layer.kernel for layer in pyramid]
    flat = [np.ravel(kernel)[:200] for kernel in kernels]
    for first in range(len(flat)):
        for second in range(first):
            assert abs(np.corrcoef(flat[first], flat[second])[0, 1]) < 0.5
    np.testing.assert_allclose(model.classification_head.prediction_layer.bias, -np.log(99), rtol=1e-5)
    np.testing.assert_array_equal(model.box_head.prediction_layer.bias, 0)
    quiet = model({"images": np.zeros((1, 64, 96, 3), "float32")}["images"])
    assert np.mean(keras.ops.sigmoid(quiet["cls_logits"])) == pytest.approx(0.01, rel=0.5)


def test_input_shapes_have_to_fit_the_pyramid():
    for shape, level in (((640, 600, 3), 7), ((192, 256, 3), 7), ((64, 100, 3), 5)):
        with pytest.raises(ValueError, match=f"multiples of {2**level}.*Received: input_shape=.*max_level={level}"):
            small(input_shape=shape, max_level=level)
    for shape in ((None, None, 3), (64, 96), 64, (), (64, 96, True)):
        with pytest.raises(ValueError, match=r"`input_shape` must be a tuple \(height, width, channels\) of positive"):
            small(input_shape=shape)
    wrong = {
        "min_level": 2,
        "max_level": 8,
        "head_convolutions": 0,
        "anchor_size": 0,
        "classes": 0,
        "backbone_weights": "nowhere.keras",
        "weights": "nowhere",
        "depth": 51,
    }
    for argument, value in wrong.items():
        with pytest.raises(ValueError, match=f"(?s)`{argument}` must be .*Received: {argument}={value!r}"):
            small(**{argument: value})


def focal(logits, labels):
    """Equation 5 of Lin et al., term by term."""
    total = 0.0
    for logit, is_class in zip(np.ravel(logits), np.ravel(labels), strict=True):
        probability = 1 / (1 + np.exp(-logit))
        of_truth, weight = (probability, 0.25) if is_class else (1 - probability, 0.75)
        total += -weight * (1 - of_truth) ** 2 * np.log(of_truth)
    return total


def smooth_l1(difference):
    distance = abs(difference)
    return np.where(distance < 1 / 9, 0.5 * distance**2 * 9, distance - 0.5 / 9).sum()


def loss_of(model, boxes, labels, weights=None):
    """The loss of some predictions, and what the two terms should be by the anchors that are matched."""
    generator = np.random.default_rng(3)
    anchors = sum(3 * 3 * (64 // 2**level) * (96 // 2**level) for level in (3, 4, 5))
    x = np.zeros((len(boxes), 64, 96, 3), "float32")
    predicted = {
        "bbox_regression": generator.normal(size=(len(boxes), anchors, 4), scale=0.3).astype("float32"),
        "cls_logits": generator.normal(size=(len(boxes), anchors, 3)).astype("float32") - 2,
    }
    targets, classes = map(np.asarray, model.label_encoder(images=x, gt_boxes=boxes, gt_classes=labels))
    weights = np.ones(len(boxes)) if weights is None else weights
    positives = max(1, sum(np.sum(classes[index] > -1) * weights[index] for index in range(len(boxes))))
    expected = 0.0
    for index in range(len(boxes)):
        positive, counted = classes[index] > -1, classes[index] != -2
        one_hot = np.eye(3)[np.where(positive, classes[index], 0).astype(int)] * positive[:, None]
        expected += weights[index] * focal(predicted["cls_logits"][index][counted], one_hot[counted])
        expected += weights[index] * smooth_l1((predicted["bbox_regression"][index] - targets[index])[positive])
    y = {"boxes": keras.ops.convert_to_tensor(boxes), "labels": keras.ops.convert_to_tensor(labels)}
    sample_weight = keras.ops.convert_to_tensor(weights, "float32")
    predicted = {name: keras.ops.convert_to_tensor(value) for name, value in predicted.items()}
    return float(model.compute_loss(x=x, y=y, y_pred=predicted, sample_weight=sample_weight)), expected / positives


@pytest.mark.backend
def test_the_loss_is_the_papers(model):
    model.compile("sgd")
    boxes = np.full((2, 3, 4), -1, "float32")
    labels = np.full((2, 3), -1, "float32")
    boxes[0, :2], labels[0, :2] = [[8, 8, 40, 40], [30, 50, 60, 90]], [2, 0]
    boxes[1, :1], labels[1, :1] = [[0, 0, 33, 30]], [1]
    found, expected = loss_of(model, boxes, labels)
    assert found == pytest.approx(expected, rel=1e-4)
    found, expected = loss_of(model, boxes, labels, np.array([1.0, 0.0]))
    assert found == pytest.approx(expected, rel=1e-4)
    # Images without boxes have something to learn from too: KerasHub's own loss is 0 there.
    nothing = np.full((2, 3, 4), -1, "float32")
    found, expected = loss_of(model, nothing, np.full((2, 3), -1, "float32"))
    assert found == pytest.approx(expected, rel=1e-4)
    assert found > 50


def test_extreme_sizes_are_bounded(model, monkeypatch):
    """exp() of what an untrained head may say would overflow."""
    anchors = model.output["bbox_regression"].shape[1]
    predictions = {
        "bbox_regression": np.full((1, anchors, 4), 1e3, "float32"),
        "cls_logits": np.zeros((1, anchors, 3), "float32"),
    }
    seen = []
    monkeypatch.setattr(decoder.ClassWiseNonMaxSuppression, "call", lambda _, boxes, *__, **___: seen.append(boxes))
    with pytest.raises(TypeError):  # of KerasHub, which gets no detections
        model.decode_predictions(predictions, np.zeros((1, 64, 96, 3), "float32"))
    top, left, bottom, right = np.moveaxis(np.asarray(seen[0]), -1, 0)
    boxes = np.concatenate(list(model.anchor_generator(np.zeros((1, 64, 96, 3), "float32")).values()))
    height, width = (boxes[:, 2:] - boxes[:, :2]).T
    np.testing.assert_allclose(bottom[0] - top[0], 62.5 * height, rtol=1e-2)
    np.testing.assert_allclose(right[0] - left[0], 62.5 * width, rtol=1e-2)


def test_heads_are_in_float32_in_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = small()
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.save(tmp_path / "mixed.keras")
    for network in (mixed, keras.models.load_model(tmp_path / "mixed.keras")):
        outputs = network(images(1, 64, 96, 3))
        assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} == {"float32"}
        assert network.classification_head.compute_dtype == network.box_head.compute_dtype == "float32"
        assert network.backbone.image_encoder.get_layer("stem_conv").compute_dtype == "bfloat16"
        assert network.backbone.feature_pyramid.compute_dtype == "bfloat16"
        # More than bfloat16 can represent.
        assert np.any(np.asarray(outputs["cls_logits"]).view(np.uint32) & 0xFFFF)


IN_A_FRESH_PROCESS = """
import sys
import numpy as np
import keras
if sys.argv[1] == "imported":
    import aa_keras
    assert "keras_hub" not in sys.modules
model = keras.models.load_model(sys.argv[2])
np.savez(sys.argv[3], **model.predict(np.load(sys.argv[4]), verbose=0))
"""


@pytest.mark.slow
def test_a_file_loads_in_a_fresh_process_that_imports_the_library(model, tmp_path):
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images(2, 64, 96, 3))
    expected = model.predict(images(2, 64, 96, 3), verbose=0)
    files = [str(tmp_path / name) for name in ("model.keras", "found.npz", "images.npy")]
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS]
    subprocess.run([*command, "imported", *files], check=True)
    with np.load(tmp_path / "found.npz") as found:
        assert set(found) == set(expected)
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-3)
    forgotten = subprocess.run([*command, "forgotten", *files], capture_output=True, text=True)
    assert "Could not locate class" in forgotten.stderr
    assert "aa_keras>RetinaNet" in forgotten.stderr


def test_weights_of_another_size_and_of_a_backbone(model, tmp_path, caplog):
    model.save(tmp_path / "model.keras")
    larger = small(input_shape=(96, 128, 3), weights=tmp_path / "model.keras")
    assert "resized 6 tables" in caplog.text
    assert larger(images(1, 96, 128, 3))["cls_logits"].shape[-1] == 3
    np.testing.assert_array_equal(larger.box_head.prediction_layer.kernel, model.box_head.prediction_layer.kernel)
    with pytest.raises(
        ValueError, match=r"layers/prediction_head_1/prediction_layer.* has the shape \(3, 3, 256, 27\)"
    ):
        small(classes=5, weights=tmp_path / "model.keras")

    with pytest.raises(ValueError, match="attention_pooling of the layer 'backbone' is 2 in the file, 1 in the model"):
        small(attention_pooling=1, weights=tmp_path / "model.keras")

    classifier = AAResNet(18, width=8, blocks=(1, 1, 1, 1), input_shape=(64, 96, 3), classes=4)
    with_random_statistics(classifier).save(tmp_path / "classifier.keras")
    on_it = small(backbone_weights=tmp_path / "classifier.keras")
    ours = on_it.backbone.image_encoder(images(1, 64, 96, 3))
    theirs = keras.Model(classifier.inputs, classifier.get_layer("P5").output)(images(1, 64, 96, 3))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert "classifier.keras" not in str(on_it.get_config())
    with pytest.raises(ValueError, match="`weights` must be of the same architecture"):
        small(width=16, backbone_weights=tmp_path / "classifier.keras")


def trained(**arguments):
    """The detector of blood cells, as its model card builds it."""
    thin = {"width": 32, "anchor_size": 2.5, "input_shape": (192, 256, 3)}
    return small(**{**thin, "weights": "bccd", "include_preprocessing": True, **arguments})


def test_trained_weights_find_a_cell(caplog):
    """A drawn white cell, purple in a pale round, on a grey slide."""
    y, x = np.mgrid[:192, :256]
    pixels = np.full((192, 256, 3), (205, 200, 195), "uint8")
    distance = np.hypot(y - 96, x - 128)
    pixels[distance < 36] = (215, 175, 215)
    pixels[distance < 27] = (110, 70, 160)
    found = trained().predict(pixels[None], verbose=0)
    top, left, bottom, right = found["boxes"][0, 0]
    assert datasets.BCCD.class_names[found["labels"][0, 0]] == "WBC"
    assert found["confidence"][0, 0] > 0.3
    assert abs(top + bottom - 192) + abs(left + right - 256) < 30
    assert 40 < bottom - top < 90
    assert "new" not in caplog.text


def test_trained_weights_for_other_classes(caplog):
    model, other = trained(), trained(classes=5)
    assert "the classifier of aa_retinanet, for 5 classes, is new" in caplog.text
    assert (model.has_new_weights, other.has_new_weights) == (False, True)
    for ours, theirs in zip(other.weights, model.weights, strict=True):
        if ours.shape == theirs.shape:
            np.testing.assert_array_equal(ours, theirs)
    assert other.classification_head.prediction_layer.kernel.shape[-1] == 45
    with pytest.raises(ValueError, match=r"`weights` must be of the same architecture.*aa_retinanet_bccd\.keras"):
        trained(width=16)


def test_pixels_may_be_normalized_inside():
    keras.utils.set_random_seed(0)
    with_inside = small(include_preprocessing=True)
    keras.utils.set_random_seed(0)
    without = small()
    without.set_weights(
        [weight for weight in with_inside.get_weights() if weight.shape != (3,)][: len(without.weights)]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3)).astype("uint8")
    expected = without(applications.retinanet.preprocess_input(pixels))
    np.testing.assert_allclose(with_inside(pixels)["cls_logits"], expected["cls_logits"], rtol=1e-4, atol=1e-4)


@pytest.mark.backend
def test_training_through_fit_alone(model):
    """As a user of Keras would: `compile` and `fit` with dense boxes."""
    keras.utils.set_random_seed(0)
    network = small(min_level=5, classes=2)
    # Eagerly on TensorFlow, which traces a step for longer than it takes six of them.
    on = keras.backend.backend()
    network.compile(keras.optimizers.Adam(1e-3), run_eagerly=on == "tensorflow", jit_compile=on == "jax")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4, 64, 96, 3)).astype("float32")
    y = {"boxes": np.full((4, 2, 4), -1, "float32"), "labels": np.full((4, 2), -1, "float32")}
    for index in range(4):
        x[index, :, 20 + 4 * index : 60 + 4 * index] += 4
        y["boxes"][index, 0], y["labels"][index, 0] = (0, 20 + 4 * index, 64, 60 + 4 * index), 1
    history = network.fit(x, y, batch_size=4, epochs=6, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < 0.7 * history[0]


def test_a_missing_extra_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    for module in ("model", "encoder"):
        monkeypatch.delitem(sys.modules, f"aa_keras.applications.detector.{module}")
        monkeypatch.delattr(applications.detector, module)
    with pytest.raises(ImportError, match=r'keras_hub is missing: pip install "aa-keras\[detection\]"') as raised:
        small()
    assert len(str(raised.value).splitlines()) == 1
    monkeypatch.undo()
    assert small().name == "aa_retinanet"
    assert detector is sys.modules["aa_keras.applications.detector.model"]
