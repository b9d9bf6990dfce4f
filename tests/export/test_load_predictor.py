"""Trained networks of every kind, loaded by their path."""

import re

import keras
import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import LITERT, NAMES, ONNX, OUTPUTS, PREPROCESSING, servable, small_network
from helpers.runs import finished_run

import aa_keras
from aa_keras.errors import UserError
from aa_keras.export import export_servable, load_predictor
from aa_keras.export.loading import export_kind
from aa_keras.export.saved_model import SPEC

FORMATS = ["saved_model", ONNX, LITERT]


@pytest.fixture(scope="module")
def network():
    return servable(small_network(), PREPROCESSING, NAMES, (8, 6, 3))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Paths of images of two sizes, with a corrupt one between them."""
    folder = tmp_path_factory.mktemp("images")
    sizes = {"a.png": (20, 30), "b.png": (31, 17), "d.png": (8, 6)}
    for seed, (name, size) in enumerate(sizes.items()):
        (folder / name).write_bytes(odd_images.encode(odd_images.picture(*size, seed), "PNG"))
    (folder / "c.png").write_bytes(b"no image")
    return [folder / f"{name}.png" for name in "abcd"]


def predicted(predictor, images):
    return [each.outputs.get("probabilities") for each in predictor.predict_files(images, batch_size=3)]


@pytest.mark.parametrize("export_format", FORMATS)
def test_exports(network, images, export_format, tmp_path):
    path = tmp_path / OUTPUTS[export_format].replace("exported.", "of-any.name.")
    export_servable(network, path, export_format)
    assert export_kind(path) == export_format
    predictor = load_predictor(path)
    assert predictor.spec == network.spec
    for found, expected in zip(predicted(predictor, images), predicted(network.predictor(), images), strict=True):
        assert (found is None) == (expected is None)
        assert found is None or np.abs(found - expected).max() < 1e-5
    for argument in ({"dataset": "none"}, {"class_names": NAMES}):
        with pytest.raises(UserError, match="dataset and class_names must be None for an export"):
            load_predictor(path, **argument)


def test_folders_and_files_of_keras(network, images, tmp_path):
    about = {"mean": PREPROCESSING.mean, "std": PREPROCESSING.std, "class_names": NAMES}
    aa_keras.save_pretrained(network.model, tmp_path / "folder", **about)
    network.model.save(tmp_path / "alone.keras")
    of_folder = load_predictor(tmp_path / "folder")
    assert of_folder.spec.class_names == NAMES
    alone = load_predictor(str(tmp_path / "alone.keras"), dataset="none", class_names=NAMES)
    assert (alone.spec.class_names, alone.spec.preprocessing.mean) == (NAMES, (0.0, 0.0, 0.0))
    assert [export_kind(tmp_path / name) for name in ("folder", "alone.keras", "nothing")] == [None] * 3
    found = predicted(of_folder, images)
    assert found[2] is None
    assert all(probabilities.shape == (4,) for probabilities in found[:2])
    # The normalization of the folder, not that of `dataset`.
    assert np.abs(found[0] - predicted(alone, images)[0]).max() > 1e-3


def test_predictions_of_files_are_those_of_arrays(network, images):
    predictor = network.predictor()
    found = list(predictor.predict_files(images, batch_size=2))
    assert [each.image for each in found] == list(map(str, images))
    assert [each.size for each in found] == [(20, 30), (31, 17), None, (8, 6)]
    assert [str(each.error or "") for each in found] == ["", "", "it is not an image of a known format", ""]
    arrays = [odd_images.picture(*size, seed) for seed, size in enumerate([(20, 30), (31, 17), (8, 6)])]
    of_files = [each.outputs["probabilities"] for each in found if not each.error]
    of_arrays = [outputs["probabilities"] for outputs in predictor.predict(arrays)]
    np.testing.assert_allclose(of_files, of_arrays, atol=1e-6)


def test_a_file_that_is_gone(network, images, tmp_path):
    (found,) = network.predictor().predict_files([tmp_path / "gone.png"])
    assert isinstance(found.error, FileNotFoundError)


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9, 3), np.float32), np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8)],
    ids=["float32", "no channels", "four channels"],
)
def test_other_arrays_are_refused(network, image):
    words = re.escape(f"images must be uint8 arrays of shape (height, width, 3). Received: one of shape {image.shape}")
    with pytest.raises(UserError, match=f"^{words}"):
        network.predictor().predict([image])


def test_a_run_of_an_earlier_version(tmp_path):
    run = finished_run(tmp_path / "run", small_network())
    assert not (run / SPEC).exists()
    with pytest.raises(UserError, match=r"path must .* Received: path=.*run, a run of an earlier version"):
        load_predictor(run)


def test_a_network_that_does_not_fit_its_run(network, tmp_path):
    network.model.save(tmp_path / "model.keras")
    (tmp_path / SPEC).write_text(servable(network.model, PREPROCESSING, NAMES, (8, 6, 3)).spec.as_json())
    assert load_predictor(tmp_path).spec == network.spec
    keras.Sequential([keras.Input((8, 6, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()]).save(
        tmp_path / "best.keras"
    )
    with pytest.raises(UserError, match="it has 3 classes, and the run 4"):
        load_predictor(tmp_path / "best.keras")


@pytest.mark.parametrize("name", ["nothing", "empty", "text.txt"])
def test_paths_of_nothing(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no network")
    with pytest.raises(UserError, match=rf"^path must .*Received: path=.*{name}"):
        load_predictor(tmp_path / name)
