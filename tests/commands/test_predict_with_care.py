"""Predicting with networks, names of files, editors and disks that are not as expected."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import small_network
from helpers.predictions import predictions_of
from helpers.runs import CLASSES, finished_run

from aa_keras.commands import predict, trained, writers
from aa_keras.commands.explain import explain_image
from aa_keras.commands.export import export_network
from aa_keras.commands.images import read_images
from aa_keras.commands.predict import predict_images
from aa_keras.data import DetectionPreprocessing, Preprocessing
from aa_keras.errors import UserError
from aa_keras.export import ClassificationSpec, DetectionSpec


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("of") / "run", small_network((24, 24), classes=len(CLASSES)))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return odd_images.write_images(tmp_path_factory.mktemp("photographs"), {"a.jpg": odd_images.WHOLE})


def classifier_of(outputs, activation):
    """A network with some outputs, whatever the image."""
    pooled = keras.layers.GlobalAveragePooling2D()
    model = keras.Sequential([keras.Input((8, 8, 3)), pooled, keras.layers.Dense(len(outputs), activation=activation)])
    model.set_weights([np.zeros((3, len(outputs)), "float32"), np.float32(outputs)])
    return model


@pytest.mark.parametrize(
    ("outputs", "activation", "error"),
    [
        ((15.4, -3), None, r"must be probabilities, .*is its last activation a softmax\? It returned -3 to 15.4$"),
        ((0.2, 0.1), "sigmoid", r"Several sigmoids, .* \(multi-label\), are not supported.* sums from 1.07 to 1.07"),
        ((15.4,), None, "must be probabilities"),
        ((float("nan"), 0), "softmax", "are not all numbers"),
    ],
)
def test_outputs_that_are_no_probabilities(photographs, tmp_path, outputs, activation, error):
    classifier_of(outputs, activation).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match=error) as raised:
        predict_images([str(photographs / "a.jpg")], model=str(tmp_path / "model.keras"), dataset="none")
    assert "\n" not in str(raised.value)


def test_one_sigmoid_is_two_classes(photographs, tmp_path, capsys):
    model = classifier_of((2.0,), "sigmoid")
    model.save(tmp_path / "model.keras")
    (tmp_path / "labels.txt").write_text("\ufeffcat\r\ndog\r\n", encoding="utf-8")
    arguments = {"dataset": "none", "labels": str(tmp_path / "labels.txt")}
    export_network(model=str(tmp_path / "model.keras"), output=str(tmp_path / "saved"), **arguments)
    image = str(photographs / "a.jpg")
    yes = 1 / (1 + np.exp(-2.0))
    for kind in ({"model": str(tmp_path / "model.keras"), **arguments}, {"saved_model": str(tmp_path / "saved")}):
        capsys.readouterr()
        (prediction,) = predictions_of([image], **kind)
        np.testing.assert_allclose(prediction.outputs["probabilities"], [1 - yes, yes], atol=1e-6)
        predict_images([image], **kind)
        assert "dog 88.1%  cat 11.9%" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_labels_of_any_editor(tmp_path, encoding):
    (tmp_path / "labels.txt").write_text("Katze\nÖlbaum\n", encoding=encoding)
    assert trained.read_labels(str(tmp_path / "labels.txt")) == ("Katze", "Ölbaum")


@pytest.mark.slow
def test_the_name_of_a_file_may_be_no_text(run, photographs, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9.jpg")
    (folder / name).write_bytes(odd_images.WHOLE)
    predict_images([str(folder)], workdir=str(run), output=str(tmp_path / "answers.csv"))
    assert b"caf\xe9.jpg,1," in (tmp_path / "answers.csv").read_bytes()
    predict_images([str(folder)], workdir=str(run), output=str(tmp_path / "answers.json"))
    (answer,) = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    assert answer["image"] == str(folder / name)
    program = [sys.executable, "-m", "aa_keras", "predict", f"--workdir={run}", str(folder)]
    table = subprocess.run(program, capture_output=True, check=True).stdout
    assert b"caf\xe9.jpg  " in table
    explain_image(image=str(folder / name), workdir=str(run), output=str(tmp_path / "explained"))
    assert (tmp_path / "explained" / "grad_cam.png").is_file()


def test_answers_are_not_lost(run, photographs, tmp_path, monkeypatch, capsys):
    (tmp_path / "answers.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        predict_images([str(photographs)], workdir=str(run), output=str(tmp_path / "answers.csv"))
    predicted = []
    monkeypatch.setattr(predict, "_predicted", lambda *_: predicted.append(1))
    with pytest.raises(IsADirectoryError):  # before any image is read
        predict_images([str(photographs)], workdir=str(run), output=str(tmp_path / "answers.csv"))
    assert not predicted
    monkeypatch.undo()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writers, "write_whole", full)
    capsys.readouterr()
    with pytest.raises(OSError, match="No space left"):
        predict_images([str(photographs / "a.jpg")], workdir=str(run), output=str(tmp_path / "other.json"))
    assert json.loads(capsys.readouterr().out)[0]["image"] == str(photographs / "a.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["answers.csv"]


def test_min_score_is_a_number(run, photographs):
    with pytest.raises(UserError, match=r"--min_score must be a number from 0 to 1\. Received: --min_score=nan"):
        predict_images([str(photographs)], workdir=str(run), min_score=float("nan"))


def test_images_for_a_detector_are_turned(tmp_path):
    """As their EXIF data ask, since boxes are in the pixels that people see; those for a classifier are not."""
    path = tmp_path / "sideways.jpg"
    path.write_bytes(odd_images.sideways_photograph(odd_images.picture(30, 50)))
    shapes = [image.shape for turn in (True, False) for _, image in read_images([path], turn)]
    assert shapes == [(50, 30, 3), (30, 50, 3)]
    preprocessing = DetectionPreprocessing((0.0,) * 3, (1.0,) * 3, (8, 8))
    assert DetectionSpec(("a",), (None, None, 3), preprocessing).turns_images
    assert not ClassificationSpec(("a",), (8, 8, 3), Preprocessing((0.0,), (1.0,))).turns_images
