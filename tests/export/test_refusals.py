"""Exports that are refused, and the disk after that: as before."""

import dataclasses
import importlib.util

import keras
import numpy as np
import pytest
from helpers.exports import (
    FORMATS,
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
from aa_keras.applications.datasets import CIFAR100
from aa_keras.errors import UserError
from aa_keras.export import check, export_model, export_servable, servable_for


@pytest.mark.parametrize("export_format", [ONNX, pytest.param("saved_model", marks=pytest.mark.slow)])
def test_an_export_that_answers_otherwise_is_not_written(export_format, tmp_path, monkeypatch):
    """Existing files stay, and no other file is left."""
    path = tmp_path / OUTPUTS[export_format]
    if export_format == "saved_model":
        path.mkdir()
    (path / "labels.txt" if export_format == "saved_model" else path).write_text("old")
    differing_by(0.02, monkeypatch)
    with pytest.raises(UserError) as raised:
        export_servable(
            servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)), path, export_format, overwrite=True
        )
    assert str(raised.value).endswith(
        "differs from the network by 0.02 in a probability, and at most 0.0001 is allowed: nothing was written"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert (path / "labels.txt" if export_format == "saved_model" else path).read_text() == "old"


def differing_by(difference, monkeypatch):
    """Makes the check of an export find a difference."""
    compare = check.compare
    monkeypatch.setattr(check, "compare", lambda *args: dataclasses.replace(compare(*args), difference=difference))


def test_answers_that_rounding_decides_are_reported(tmp_path, monkeypatch):
    differing_by(0.02, monkeypatch)
    monkeypatch.setattr(check, "compare_with_itself", lambda *_: (0.01, 1.0, 12))
    with pytest.raises(UserError, match=r"nothing was written. In Keras, .* differ by 0.01 between .* Is it trained"):
        export_servable(servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3)), tmp_path / "exported")


def test_a_tolerance_that_is_too_small_is_not_the_networks_fault(tmp_path, monkeypatch):
    differing_by(1.2e-7, monkeypatch)
    monkeypatch.setattr(check, "compare_with_itself", lambda *_: (6e-8, 1.0, 12))
    network = servable(blank_classifier(), PREPROCESSING, NAMES, (8, 6, 3))
    with pytest.raises(UserError) as raised:
        export_servable(network, tmp_path / "exported", tolerance=0.0)
    assert str(raised.value) == (
        "The SavedModel differs from the network by 1.2e-07 in a probability, and at most 0 is allowed: nothing was "
        "written. In Keras, the network's own predictions differ by 6e-08 between batches of 1 and of 12 images"
    )
    for tolerance in (float("nan"), float("inf"), -1.0):
        with pytest.raises(UserError, match=f"tolerance must be a number, at least 0. Received: tolerance={tolerance}"):
            export_servable(network, tmp_path / "exported", tolerance=tolerance)
    assert not list(tmp_path.iterdir())


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
        ({"calibration": [], "quantize": "int8", "format": "litert"}, "calibration must have at least one image"),
        ({"dataset": "mnist"}, "dataset must be one of cifar100, imagenet2012, coco, bccd, none"),
        ({"class_names": ["a"]}, "class_names must be 4, one for each class. Received: 1"),
    ],
)
def test_mistakes_are_reported(arguments, error, tmp_path):
    with pytest.raises(UserError, match=error):
        export_model(AAWideResNet(10, 1, classes=4), tmp_path / "exported", **arguments)
    assert not list(tmp_path.iterdir())


def test_networks_that_are_no_classifiers(tmp_path):
    with pytest.raises(UserError, match="was it built without a top"):
        export_model(AAWideResNet(10, 1, include_top=False, input_shape=(8, 8, 3)), tmp_path / "exported")
    with pytest.raises(UserError, match=r"must take images \(batch, height, width, channels\)"):
        export_model(keras.Sequential([keras.Input((4,)), keras.layers.Softmax()]), tmp_path / "exported")
    with pytest.raises(UserError, match="dataset must name the images that the network 'mine' is for"):
        export_model(keras.models.clone_model(small_network(name="mine")), tmp_path / "exported")
    assert servable_for(small_network(name="mine")).spec.preprocessing.mean == CIFAR100.mean  # that of its builder
    with pytest.raises(UserError, match="images of 1 channels"):
        export_model(blank_classifier((8, 6, 1)), tmp_path / "exported", dataset="cifar100")


def test_what_is_there_is_kept(tmp_path):
    model = blank_classifier()
    (tmp_path / "thesis.txt").write_text("mine")
    for export_format, path, error in (
        ("saved_model", tmp_path, "output must be a new folder, or the folder of a SavedModel"),
        ("saved_model", tmp_path / "thesis.txt", "output must be a new folder, or the folder of a SavedModel"),
        ("onnx", tmp_path, "output must be a file"),
        ("onnx", tmp_path / "thesis.txt", "output must not exist unless overwrite is given"),
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
    words = rf'^the package {package} is missing: pip install "aa-keras\[{export_format}\]" installs what'
    with pytest.raises(ModuleNotFoundError, match=words):
        export_model(blank_classifier(), tmp_path / "exported", export_format, dataset="none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("export_format", FORMATS)
def test_files_of_others_are_refused(export_format, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(b"something else") if export_format != "saved_model" else path.mkdir()
    with pytest.raises(UserError, match=r"path must be .*Received: path=.*other"):
        load(export_format, path)
