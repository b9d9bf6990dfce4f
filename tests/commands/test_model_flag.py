"""The networks that --model names: folders, the hub, files of this library and of others."""

import sys

import keras
import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import small_network
from helpers.hub import Hub
from helpers.predictions import predictions_of
from helpers.runs import CLASSES

import aa_keras
from aa_keras.applications.datasets import CIFAR100
from aa_keras.commands import trained
from aa_keras.data.decoding import decode_image
from aa_keras.errors import UserError


def test_a_network_of_a_folder_and_of_the_hub(tmp_path, monkeypatch, capsys):
    """As they say themselves: how images are normalized, and the names of the classes."""
    model = small_network((24, 24), classes=len(CLASSES), name="mine")
    about = {"mean": (1.0, 2.0, 3.0), "std": (40.0, 50.0, 60.0), "class_names": CLASSES, "interpolation": "bicubic"}
    aa_keras.save_pretrained(model, tmp_path / "folder", **about)
    hub = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    aa_keras.push_to_hub(tmp_path / "folder", "me/network")
    for name in (str(tmp_path / "folder"), str(tmp_path / "folder" / "model.keras"), "hf://me/network"):
        servable = trained.servable_of_flags(model=name)
        preprocessing = servable.spec.preprocessing
        assert (servable.spec.class_names, preprocessing.mean) == (CLASSES, (1.0, 2.0, 3.0))
        assert (preprocessing.std, preprocessing.interpolation) == ((40.0, 50.0, 60.0), "bicubic")
        assert servable.model.architecture == model.architecture
    (tmp_path / "a.jpg").write_bytes(odd_images.WHOLE)
    (prediction,) = predictions_of([tmp_path / "a.jpg"], model=str(tmp_path / "folder"))
    pixels, _ = servable.at_fixed_size().spec.preprocess(decode_image(odd_images.WHOLE))
    expected = model((pixels[None] - np.float32([1, 2, 3])) / np.float32([40, 50, 60]))[0]
    np.testing.assert_allclose(prediction.outputs["probabilities"], expected, atol=1e-4)
    assert capsys.readouterr().err == ""
    overridden = trained.servable_of_flags(model=str(tmp_path / "folder"), dataset="none")
    assert overridden.spec.preprocessing.mean == (0.0, 0.0, 0.0)
    for name, error in (
        (str(tmp_path), "--model must be a file of a Keras model, .keras, a folder that .* Received: --model="),
        ("hf://me", "--model must be 'hf://USER/REPOSITORY'"),
        ("hf://me/other", r"--model could not be downloaded from huggingface\.co"),
    ):
        with pytest.raises(UserError, match=f"^{error}"):
            trained.servable_of_flags(model=name)
    (tmp_path / "folder" / "model.keras").write_bytes(b"half of it")
    with pytest.raises(UserError, match=r"^--model must be a folder that `aa_keras\.save_pretrained` wrote.*damaged"):
        trained.servable_of_flags(model=str(tmp_path / "folder"))


def test_a_file_says_how_its_network_was_built(tmp_path, capsys):
    """Whatever the network is called: a record comes before a name."""
    small_network(name="resnet50").save(tmp_path / "model.keras")
    servable = trained.servable_of_flags(model=str(tmp_path / "model.keras"))
    assert servable.spec.preprocessing.mean == CIFAR100.mean
    assert "images are normalized as for the network 'resnet50'" in capsys.readouterr().err


def test_files_of_other_libraries_are_taken_as_they_are(tmp_path):
    """Among them an older format, and a model with a backbone of its own."""

    @keras.saving.register_keras_serializable("test")
    class Classifier(keras.Model):
        def __init__(self, backbone, **kwargs):
            outputs = keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(backbone.output))
            super().__init__(backbone.inputs, outputs, **kwargs)
            self.backbone = backbone

        def get_config(self):
            return {"backbone": keras.saving.serialize_keras_object(self.backbone), "name": self.name}

        @classmethod
        def from_config(cls, config):
            return cls(keras.saving.deserialize_keras_object(config["backbone"]), name=config["name"])

    inputs = keras.Input((8, 8, 3))
    model = Classifier(keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)), name="mine")
    model.save(tmp_path / "mine.keras")
    keras.Model(model.inputs, model.outputs).save(tmp_path / "mine.h5")
    for name in ("mine.keras", "mine.h5"):
        servable = trained.servable_of_flags(model=str(tmp_path / name), dataset="none")
        assert servable.spec.class_names == ("0", "1", "2", "3")
        np.testing.assert_allclose(servable.model(np.ones((1, 8, 8, 3))), model(np.ones((1, 8, 8, 3))), atol=1e-6)
