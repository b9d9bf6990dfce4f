"""Every format: exported, run in a separate process, loaded again, and refused if its predictions differ."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from helpers.exports import (
    LITERT,
    NAMES,
    ONNX,
    OUTPUTS,
    PREPROCESSING,
    blank_classifier,
    load,
    servable,
    small_network,
)

from aa_keras.applications import AAWideResNet
from aa_keras.applications.blocks import dtype_policy
from aa_keras.applications.wide_resnet import preprocess_input
from aa_keras.attention import choice
from aa_keras.errors import UserError
from aa_keras.export import Prediction, Predictor, export_model, export_servable, saved_model, servable_for


@pytest.fixture(scope="module")
def network():
    return small_network(classes=len(NAMES))


def raw_images(count, size=(8, 6), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype="uint8")


def probabilities(model, raw):
    return model.predict((raw.astype("float32") - PREPROCESSING.mean) / PREPROCESSING.std, verbose=0)


@pytest.mark.parametrize("export_format", [ONNX, LITERT])
def test_it_answers_as_the_network_does(network, export_format, tmp_path):
    """SavedModels: tests/export/test_saved_model.py."""
    path = tmp_path / "deep" / OUTPUTS[export_format]
    report = export_servable(servable(network, PREPROCESSING, NAMES, (8, 6, 3)), path, export_format)
    assert [entry.name for entry in tmp_path.iterdir()] == ["deep"]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert report.agreement.difference < 1e-5
    assert report.agreement.same == 1
    assert report.drawn
    assert report.size > 100_000
    lines = str(report).splitlines()
    assert lines[0].startswith(f"{path}: ")
    assert lines[0].endswith("MB, float32, uint8 images (batch, 8, 6, 3)")
    assert "12 random images, 1 and 3 at a time" in lines[1]
    assert labels_in(export_format, path) == "apple\nmaple tree\nÖlbaum\nworm\n"
    predictor = load(export_format, path)
    assert predictor.spec.class_names == NAMES
    for count in (3, 1, 4):
        raw = raw_images(count, seed=count)
        np.testing.assert_allclose(predictor.run(raw)["probabilities"], probabilities(network, raw), atol=1e-5)
    # An image of another size is resized.
    (answer,) = predictor.predict([raw_images(1, (16, 12))[0]])
    assert answer["probabilities"].shape == (4,)


def labels_in(export_format, path):
    if export_format == "litert":
        with zipfile.ZipFile(path) as archive:
            return archive.read("labels.txt").decode("utf-8")
    import onnxruntime

    return onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["labels"] + "\n"


@pytest.mark.parametrize("export_format", [ONNX])
def test_half_precision_constants_and_blocks(export_format, tmp_path, monkeypatch):
    """A network in bfloat16 that normalizes pixels itself, and whose largest attention runs in blocks."""
    monkeypatch.setattr(choice, "LARGEST_DENSE_BYTES", 4 * 8 * 20**2)
    with dtype_policy("mixed_bfloat16"):
        model = small_network(include_preprocessing=True, name="mine")
    path = tmp_path / OUTPUTS[export_format]
    report = export_model(model, path, export_format, class_names=NAMES)
    words = f"Attention is computed densely in {report.title}, instead of in blocks: 0 MiB of logits an image"
    assert report.notes == (words,)
    exact = small_network(include_preprocessing=True)
    exact.set_weights(model.get_weights())
    raw = raw_images(3)
    expected = exact.predict(raw, verbose=0)
    np.testing.assert_allclose(load(export_format, path).run(raw)["probabilities"], expected, atol=1e-5)
    assert load(export_format, path).spec.preprocessing.mean == (0.0, 0.0, 0.0)


@pytest.mark.slow
def test_a_saved_model_of_unknown_size(tmp_path):
    model = AAWideResNet(10, 1, input_shape=(None, None, 3), classes=4)
    export_model(model, tmp_path / "exported")
    for size in ((8, 6), (20, 13)):
        raw = raw_images(2, size)
        expected = model.predict(preprocess_input(raw), verbose=0)
        found = load("saved_model", tmp_path / "exported").run(raw)["probabilities"]
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("export_format", [LITERT])
def test_unknown_sizes_are_fixed(export_format, tmp_path):
    model = AAWideResNet(10, 1, input_shape=(None, None, 3), classes=4, attention_stages=(3,))
    path = tmp_path / OUTPUTS[export_format]
    with pytest.raises(UserError, match="size must be the size of the images that the network 'aa_wide_resnet' takes"):
        export_model(model, path, export_format)
    report = export_model(model, path, export_format, size=(12, 20))
    assert report.notes[0] == "The network is built for images of 12x20, its tables of relative positions resized"
    assert load(export_format, path).spec.image_shape == (12, 20, 3)


@pytest.mark.parametrize("export_format", [ONNX])
def test_a_wrong_export_is_noticed(network, export_format, tmp_path, monkeypatch):
    """The check has teeth."""
    from aa_keras.export import onnx

    other = servable(small_network(classes=4, include_preprocessing=True), PREPROCESSING, NAMES, (8, 6, 3))
    monkeypatch.setattr(onnx, "write", lambda _, path, write=onnx.write: write(other, path))
    with pytest.raises(UserError, match="differs from the network"):
        export_servable(servable(network, PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported", export_format)
    assert not list(tmp_path.iterdir())


def test_a_second_signature_of_other_labels_is_noticed(tmp_path, monkeypatch):
    model = blank_classifier()
    wrong = servable(model, PREPROCESSING, NAMES[::-1], (8, 6, 3))
    monkeypatch.setattr(saved_model, "write", lambda _, path, write=saved_model.write: write(wrong, path))
    with pytest.raises(UserError, match="The signature 'top_k' of the export names"):
        export_servable(servable(model, PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("export_format", [LITERT])
@pytest.mark.parametrize(
    ("quantize", "share", "difference"),
    [pytest.param("float16", 0.6, 5e-3, marks=pytest.mark.slow), ("int8", 0.45, 0.1)],
)
def test_smaller_files_of_litert(export_format, quantize, share, difference, tmp_path):
    """They must be as small as their weights, and answer nearly as the network does."""
    model = small_network(size=(8, 8), classes=4)
    served = servable(model, PREPROCESSING, NAMES, (8, 8, 3))
    report = export_servable(served, tmp_path / "small", export_format, quantize=quantize)
    assert report.size < share * 4 * model.count_params() + 100_000
    assert 1e-6 < report.agreement.difference < difference
    assert f"MB, weights in {quantize}, uint8 images" in str(report)


@pytest.mark.parametrize("export_format", [LITERT])
def test_calibrated_integers(export_format, tmp_path):
    served = servable(small_network(size=(8, 8), classes=4), PREPROCESSING, NAMES, (8, 8, 3))
    calibration = [raw_images(1, (12, 9), seed)[0] for seed in range(8)]
    path = tmp_path / "integers"
    report = export_servable(served, path, export_format, quantize="int8", calibration=calibration)
    assert "MB, int8, uint8 images (batch, 8, 8, 3)" in str(report)
    assert (report.agreement.images, report.drawn) == (8, False)
    assert load(export_format, path).run(raw_images(3, (8, 8)))["probabilities"].shape == (3, 4)
    from ai_edge_litert.interpreter import Interpreter

    kinds = {detail["dtype"] for detail in Interpreter(str(path)).get_tensor_details()}
    floats = sum(detail["dtype"] == np.float32 for detail in Interpreter(str(path)).get_tensor_details())
    assert np.int8 in kinds
    assert floats <= 2  # what the image is cast to, and the output


def test_the_data_set_is_that_of_the_builder_or_of_the_network_itself():
    spec = servable_for(AAWideResNet(10, 1)).spec
    assert (spec.preprocessing.mean[0], spec.class_names[:2]) == (129.3, ("apple", "aquarium_fish"))
    assert (spec.preprocessing.image_size, spec.preprocessing.central_fraction) == ((32, 32), 1.0)
    itself = servable_for(AAWideResNet(10, 1, include_preprocessing=True)).spec
    assert (itself.preprocessing.mean, itself.class_names) == ((0.0,) * 3, spec.class_names)
    assert servable_for(AAWideResNet(10, 1, include_preprocessing=True), "cifar100").spec == itself
    assert servable_for(AAWideResNet(10, 1, classes=3)).spec.class_names == ("0", "1", "2")
    theirs = keras.applications.MobileNetV3Small(weights=None, name="resnet50", include_preprocessing=False)
    with pytest.raises(UserError, match="dataset must name the images that the network 'resnet50' is for"):
        servable_for(theirs)
    photographs = servable_for(theirs, "imagenet2012").spec
    assert (photographs.preprocessing.central_fraction, photographs.class_names[0]) == (0.875, "tench")


@pytest.mark.parametrize("export_format", [ONNX])
def test_the_process_that_asks_sees_neither_keras_nor_the_library(export_format, tmp_path):
    from aa_keras.export import onnx, runtimes

    onnx.write(servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported")
    np.savez(tmp_path / "batches.npz", one=raw_images(1))
    program = f"""
import os, runpy, sys
os.chdir({str(tmp_path)!r})
sys.argv = ["x", {export_format!r}, "exported", "batches.npz", "r.npz"]
runpy.run_path({runtimes.__file__!r}, run_name="__main__")
loaded = [name for name in ("keras", "aa_keras", "tensorflow") if sys.modules.get(name) is not None]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
    with np.load(tmp_path / "r.npz") as results:
        assert set(results) == {"one/probabilities", "latency"}


def test_what_travels_is_read_again():
    spec = servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)).spec
    assert type(spec).from_json(spec.as_json()) == spec
    assert json.loads(spec.as_json())["preprocessing"]["image_size"] == [8, 6]
    earlier = {**json.loads(spec.as_json()), "category_ids": []}  # of every task
    assert type(spec).from_json(json.dumps(earlier)) == spec


def test_former_names_of_methods_warn():
    spec, image = servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)).spec, np.zeros((9, 9, 3), np.uint8)
    with pytest.warns(DeprecationWarning, match="fit is now called preprocess"):
        assert spec.fit(image)[0].shape == (8, 6, 3)
    with pytest.warns(DeprecationWarning, match="answer is now called postprocess"):
        assert spec.answer({"probabilities": 1}, image, None) == {"probabilities": 1}
    predictor = Predictor(spec, lambda images: {"probabilities": np.full((len(images), len(NAMES)), 1 / len(NAMES))})
    with pytest.warns(DeprecationWarning, match="ask is now called predict"):
        assert [list(outputs) for outputs in predictor.ask([image])] == [["probabilities"]]
    with pytest.warns(DeprecationWarning, match="answer is now called outputs"):
        assert Prediction("a.png", (9, 9), {"probabilities": 1}).answer == {"probabilities": 1}
