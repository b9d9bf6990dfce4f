"""Every format: exported, asked in a process of its own, loaded again, and refused where it answers otherwise."""

import importlib
import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from export_helpers import blank_classifier, servable, small_network

from aa_keras.applications import AAWideResNet
from aa_keras.applications._building import dtype_policy
from aa_keras.attention import choice
from aa_keras.data import Preprocessing
from aa_keras.errors import UserError
from aa_keras.export import check, export_model, export_servable, saved_model, servable_for

PREPROCESSING = Preprocessing((130.0, 120.0, 5.0), (70.0, 60.0, 110.0), image_size=(8, 6), central_fraction=1.0)
NAMES = ("apple", "maple tree", "Ölbaum", "worm")
OUTPUTS = {"saved_model": "exported", "onnx": "exported.onnx", "litert": "exported.tflite"}
NEEDED = {"saved_model": (), "onnx": ("tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}


def marked(name):
    """A format, to be skipped with a reason where its extra is not installed."""
    missing = [package for package in NEEDED[name] if importlib.util.find_spec(package) is None]
    skipped = pytest.mark.skipif(bool(missing), reason=f"the extra `{name}` is not installed: {', '.join(missing)}")
    return pytest.param(name, marks=skipped)


SAVED_MODEL, ONNX, LITERT = FORMATS = [marked(name) for name in NEEDED]


def load(export_format, path):
    return importlib.import_module(f"aa_keras.export.{export_format}").load(str(path))


@pytest.fixture(scope="module")
def network():
    return small_network(classes=len(NAMES))


def raw_images(count, size=(8, 6), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype="uint8")


def probabilities(model, raw):
    return model.predict((raw.astype("float32") - PREPROCESSING.mean) / PREPROCESSING.std, verbose=0)


@pytest.mark.parametrize("export_format", FORMATS)
def test_it_answers_as_the_network_does(network, export_format, tmp_path):
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
    assert "12 drawn images, 1 and 3 at a time" in lines[1]
    assert labels_in(export_format, path) == "apple\nmaple tree\nÖlbaum\nworm\n"
    predictor = load(export_format, path)
    assert predictor.spec.class_names == NAMES
    for count in (3, 1, 4):
        raw = raw_images(count, seed=count)
        np.testing.assert_allclose(predictor.run(raw)["probabilities"], probabilities(network, raw), atol=1e-5)
    # Of another size, an image is made to fit.
    (answer,) = predictor.ask([raw_images(1, (16, 12))[0]])
    assert answer["probabilities"].shape == (4,)


def labels_in(export_format, path):
    if export_format == "saved_model":
        return (path / "labels.txt").read_text(encoding="utf-8")
    if export_format == "litert":
        with zipfile.ZipFile(path) as archive:
            return archive.read("labels.txt").decode("utf-8")
    import onnxruntime

    return onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["labels"] + "\n"


@pytest.mark.parametrize("export_format", [ONNX, LITERT])
def test_half_precision_constants_and_blocks(export_format, tmp_path, monkeypatch):
    """A network in bfloat16 that normalises pixels itself, and whose largest attention runs in blocks."""
    monkeypatch.setattr(choice, "LARGEST_DENSE_BYTES", 4 * 8 * 20**2)
    with dtype_policy("mixed_bfloat16"):
        model = small_network(include_preprocessing=True, name="mine")
    path = tmp_path / OUTPUTS[export_format]
    report = export_model(model, path, export_format, class_names=NAMES)
    told = f"Attention is computed densely in {report.title}, instead of in blocks: 0 MiB of logits an image"
    assert report.notes == (told,)
    exact = small_network(include_preprocessing=True)
    exact.set_weights(model.get_weights())
    raw = raw_images(3)
    expected = exact.predict(raw, verbose=0)
    np.testing.assert_allclose(load(export_format, path).run(raw)["probabilities"], expected, atol=1e-5)
    assert load(export_format, path).spec.preprocessing.mean == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("export_format", [SAVED_MODEL, ONNX])
def test_photographs_of_any_size(export_format, tmp_path):
    """As a run with an image size has it: the SavedModel makes them fit, for the others it is done before them."""
    model = small_network(size=(16, 16), classes=4)
    preprocessing = Preprocessing(PREPROCESSING.mean, PREPROCESSING.std, image_size=(16, 16))
    path = tmp_path / OUTPUTS[export_format]
    report = export_servable(servable(model, preprocessing, NAMES, (None, None, 3)), path, export_format)
    told = "Images have to be fitted into 16x16 before, as `aa-keras predict` does"
    assert report.notes == (() if export_format == "saved_model" else (told,))
    assert report.image_shape == ((None, None, 3) if export_format == "saved_model" else (16, 16, 3))
    photographs = [raw_images(1, (30, 40))[0], raw_images(1, (25, 19))[0]]
    expected = [model.predict(preprocessing.for_evaluation(image)[None], verbose=0)[0] for image in photographs]
    found = [answer["probabilities"] for answer in load(export_format, path).ask(photographs)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    keras_found = [answer["probabilities"] for answer in servable_of(model, preprocessing).ask(photographs)]
    np.testing.assert_allclose(keras_found, expected, atol=1e-6)


def servable_of(model, preprocessing):
    return servable(model, preprocessing, NAMES, (None, None, 3)).predictor()


@pytest.mark.parametrize("export_format", [SAVED_MODEL, LITERT])
def test_unknown_sizes(export_format, tmp_path):
    model = AAWideResNet(10, 1, input_shape=(None, None, 3), classes=4, attention_stages=(3,))
    path = tmp_path / OUTPUTS[export_format]
    if export_format == "saved_model":
        export_model(model, path, export_format)
        for size in ((8, 6), (20, 13)):
            raw = raw_images(2, size)
            expected = model.predict(
                (raw - np.float32([129.3, 124.1, 112.4])) / np.float32([68.2, 65.4, 70.4]), verbose=0
            )
            np.testing.assert_allclose(load(export_format, path).run(raw)["probabilities"], expected, atol=1e-5)
        return
    with pytest.raises(UserError, match="size must say which images the network 'aa_wide_resnet' is to take"):
        export_model(model, path, export_format)
    report = export_model(model, path, export_format, size=(12, 20))
    assert report.notes[0] == "The network is built for images of 12x20, its tables of relative positions resized"
    assert load(export_format, path).spec.image_shape == (12, 20, 3)


@pytest.mark.parametrize("export_format", [SAVED_MODEL, ONNX])
def test_an_export_that_answers_otherwise_is_not_written(export_format, tmp_path, monkeypatch):
    """What is there stays, and nothing is left beside it."""
    path = tmp_path / OUTPUTS[export_format]
    if export_format == "saved_model":
        path.mkdir()
    (path / "labels.txt" if export_format == "saved_model" else path).write_text("old")
    monkeypatch.setattr(check, "compare_with_itself", lambda *_: (-2.0, 1.0))
    with pytest.raises(UserError, match=r"differs from the network by .* in a probability.*nothing was written"):
        export_servable(
            servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)),
            path,
            export_format,
            tolerance=-1.0,
            overwrite=True,
        )
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert (path / "labels.txt" if export_format == "saved_model" else path).read_text() == "old"


def test_a_wrong_export_is_noticed(network, tmp_path, monkeypatch):
    """The check has teeth: an export of other weights, and one whose labels are in another order."""
    monkeypatch.setattr(saved_model, "write", writing(small_network(classes=4, include_preprocessing=True)))
    with pytest.raises(UserError, match="differs from the network"):
        export_servable(servable(network, PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported")
    monkeypatch.setattr(saved_model, "write", writing(network, NAMES[::-1]))
    with pytest.raises(UserError, match="The signature 'top_k' of the export names"):
        export_servable(servable(network, PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported")
    assert not list(tmp_path.iterdir())


def writing(model, names=NAMES, write=saved_model.write):
    return lambda _, path: write(servable(model, PREPROCESSING, names, (8, 6, 3)), path)


def test_answers_that_rounding_decides_are_told(tmp_path):
    with pytest.raises(UserError, match=r"depend on rounding: by Keras, they differ by .* Is it trained"):
        export_servable(
            servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported", tolerance=-1.0
        )


def test_outputs_that_are_no_probabilities(tmp_path):
    logits = small_network(classifier_activation=None)
    with pytest.raises(UserError, match=r"must be probabilities.*is its last activation a softmax"):
        export_model(logits, tmp_path / "exported")
    logits.set_weights([np.full_like(weight, np.nan) for weight in logits.get_weights()])
    with pytest.raises(UserError, match="are not all numbers"):
        export_model(logits, tmp_path / "exported")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"format": "tflite"}, "format must be one of saved_model, onnx, litert. Received: format=tflite"),
        ({"quantize": "int4"}, "quantize must be one of none, float16, int8. Received: quantize=int4"),
        ({"quantize": "int8", "format": "onnx"}, "quantize is for format=litert"),
        ({"calibration": [1]}, "calibration is for quantize=int8"),
        ({"calibration": [], "quantize": "int8", "format": "litert"}, "calibration must be images, one at least"),
        ({"dataset": "mnist"}, "dataset must be one of cifar100, imagenet2012, coco, bccd, none"),
        ({"class_names": ["a"]}, "class_names must be 4, one for each class. Received: 1"),
    ],
)
def test_mistakes_are_told(arguments, error, tmp_path):
    with pytest.raises(UserError, match=error):
        export_model(AAWideResNet(10, 1, classes=4), tmp_path / "exported", **arguments)
    assert not list(tmp_path.iterdir())


def test_networks_that_are_no_classifiers(tmp_path):
    with pytest.raises(UserError, match="was it built without a top"):
        export_model(AAWideResNet(10, 1, include_top=False, input_shape=(8, 8, 3)), tmp_path / "exported")
    with pytest.raises(UserError, match=r"must take images \(batch, height, width, channels\)"):
        export_model(keras.Sequential([keras.Input((4,)), keras.layers.Softmax()]), tmp_path / "exported")
    with pytest.raises(UserError, match="dataset must say which images the network 'mine' is for"):
        export_model(small_network(name="mine"), tmp_path / "exported")
    with pytest.raises(UserError, match="images of 1 channels"):
        export_model(blank_classifier((8, 6, 1)), tmp_path / "exported", dataset="cifar100")


def test_what_is_there_is_kept(tmp_path):
    model = blank_classifier()
    (tmp_path / "thesis.txt").write_text("mine")
    for export_format, path, error in (
        ("saved_model", tmp_path, "output must be a new folder, or that of a SavedModel"),
        ("saved_model", tmp_path / "thesis.txt", "output must be a new folder, or that of a SavedModel"),
        ("onnx", tmp_path, "output must be a file"),
        ("onnx", tmp_path / "thesis.txt", "output must not exist, or overwrite be given"),
    ):
        overwrite = error.startswith("output must be")
        with pytest.raises(UserError, match=error):
            export_model(model, path, export_format, dataset="none", overwrite=overwrite)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("package", ["onnxruntime", "ai_edge_litert"])
def test_a_missing_extra_is_named(package, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find_spec(name))
    export_format = "onnx" if package == "onnxruntime" else "litert"
    told = rf'^the package {package} is missing: pip install "aa-keras\[{export_format}\]" installs what'
    with pytest.raises(ModuleNotFoundError, match=told):
        export_model(blank_classifier(), tmp_path / "exported", export_format, dataset="none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("export_format", FORMATS)
def test_files_of_others_are_refused(export_format, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(b"something else") if export_format != "saved_model" else path.mkdir()
    with pytest.raises(UserError, match=rf"--{export_format} must be .*Received: --{export_format}=.*other"):
        load(export_format, path)


@pytest.mark.parametrize("export_format", [LITERT])
@pytest.mark.parametrize(("quantize", "share", "difference"), [("float16", 0.6, 5e-3), ("int8", 0.45, 0.1)])
def test_smaller_files_of_litert(export_format, quantize, share, difference, tmp_path):
    """They are to be as small as their weights, and to answer nearly as the network does."""
    served = servable(small_network(size=(8, 8), classes=4), PREPROCESSING, NAMES, (8, 8, 3))
    whole = export_servable(served, tmp_path / "whole", export_format)
    report = export_servable(served, tmp_path / "small", export_format, quantize=quantize)
    assert report.size < share * whole.size
    assert 0 < report.agreement.difference < difference
    calibration = [raw_images(1, (12, 9), seed)[0] for seed in range(8)]
    if quantize == "int8":
        calibrated = export_servable(
            served, tmp_path / "integers", export_format, quantize="int8", calibration=calibration
        )
        assert calibrated.agreement.images == 8
        assert not calibrated.drawn
        assert calibrated.agreement.difference != report.agreement.difference
        assert load(export_format, tmp_path / "integers").run(raw_images(3, (8, 8)))["probabilities"].shape == (3, 4)


def test_the_data_set_is_that_of_the_builder_or_of_the_network_itself():
    spec = servable_for(AAWideResNet(10, 1)).spec
    assert (spec.preprocessing.mean[0], spec.class_names[:2]) == (129.3, ("apple", "aquarium_fish"))
    assert (spec.preprocessing.image_size, spec.preprocessing.central_fraction) == ((32, 32), 1.0)
    itself = servable_for(AAWideResNet(10, 1, include_preprocessing=True)).spec
    assert (itself.preprocessing.mean, itself.class_names) == ((0.0,) * 3, spec.class_names)
    assert servable_for(AAWideResNet(10, 1, include_preprocessing=True), "cifar100").spec == itself
    assert servable_for(AAWideResNet(10, 1, classes=3)).spec.class_names == ("0", "1", "2")
    theirs = keras.applications.MobileNetV3Small(weights=None, name="resnet50", include_preprocessing=False)
    with pytest.raises(UserError, match="dataset must say which images the network 'resnet50' is for"):
        servable_for(theirs)
    photographs = servable_for(theirs, "imagenet2012").spec
    assert (photographs.preprocessing.central_fraction, photographs.class_names[0]) == (0.875, "tench")


def test_the_process_that_asks_sees_neither_keras_nor_the_library(tmp_path):
    from aa_keras.export import runtimes

    saved_model.write(servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported")
    np.savez(tmp_path / "batches.npz", one=raw_images(1))
    program = f"""
import os, runpy, sys
os.chdir({str(tmp_path)!r})
sys.argv = ["x", "saved_model", "exported", "batches.npz", "r.npz"]
runpy.run_path({runtimes.__file__!r}, run_name="__main__")
loaded = [name for name in ("keras", "aa_keras") if sys.modules.get(name) is not None]
assert not loaded, loaded
"""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-P", "-c", program], check=True, env=environment)
    with np.load(tmp_path / "r.npz") as results:
        assert {"one/probabilities", "latency", "top_k/labels"} <= set(results)


def test_what_travels_is_read_again():
    spec = servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)).spec
    assert type(spec).from_json(spec.as_json()) == spec
    assert json.loads(spec.as_json())["preprocessing"]["image_size"] == [8, 6]
