"""Trained weights by name: the entries of the table, and files that are damaged, downloaded, or in half precision."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib

import keras
import numpy as np
import pytest
from helpers.builders import DETECTORS, build, images, with_random_statistics, without_values

from aa_keras import applications
from aa_keras.applications import AAWideResNet, AAWideResNet16_4, WideResNet16_4, aa_wide_resnet, pretrained
from aa_keras.commands.evaluate import evaluate_run
from aa_keras.recipes import find_recipe, list_recipes, load_recipe

ROOT = pathlib.Path(__file__).parents[2]
MEGABYTE = 1_000_000


def network(**arguments):
    return AAWideResNet(10, 1, input_shape=(8, 8, 3), classes=5, **arguments)


@pytest.fixture
def trained():
    return with_random_statistics(network())


@pytest.fixture
def listed(trained, tmp_path, monkeypatch):
    """An entry of the table whose file is in the package."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    pretrained.save_in_float16(trained, tmp_path / "network.keras")
    checksum = hashlib.sha256((tmp_path / "network.keras").read_bytes()).hexdigest()
    entry = pretrained.PretrainedWeights(
        *("AAWideResNet16_4", "squares", "network.keras", checksum, (("top1", 50.0),), "recipe.py", "Apache-2.0")
    )
    monkeypatch.setattr(pretrained, "PRETRAINED", (entry,))
    return entry


@pytest.mark.parametrize("entry", pretrained.PRETRAINED, ids=lambda entry: f"{entry.builder}-{entry.name}")
def test_what_the_table_says(entry):
    assert entry.builder in applications.__all__
    assert entry.recipe in list_recipes()
    path = entry.path()  # which compares the checksum
    assert path.stat().st_size < 16 * MEGABYTE
    folder = path.with_suffix("")
    result = json.loads((folder / "result.json").read_text())
    # The measurements with the file, whose weights are rounded, and before.
    evaluation = json.loads((folder / "evaluation.json").read_text())
    for name, score in entry.scores:
        assert score == round(100 * evaluation[name], 2)
        assert abs(evaluation[name] - result[name]) < 2e-3
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + result["epochs"]
    card = (folder / "README.md").read_text()
    scores = [f"{score} %" for _, score in entry.scores]
    assert all(fact in card for fact in (entry.sha256, *scores, entry.recipe, "Limits"))


@pytest.mark.slow
@pytest.mark.skipif("AA_KERAS_DATA" not in os.environ, reason="needs the data sets in AA_KERAS_DATA")
@pytest.mark.parametrize("entry", pretrained.PRETRAINED, ids=lambda entry: f"{entry.builder}-{entry.name}")
def test_a_model_evaluates_to_what_the_table_says(entry, tmp_path):
    config = load_recipe(find_recipe(entry.recipe))
    config.data_dir = os.environ["AA_KERAS_DATA"]
    measured = evaluate_run(config=config, weights=entry.path(), output=tmp_path)
    for name, score in entry.scores:
        assert round(100 * getattr(measured, name), 2) == score


def test_half_precision_is_half_the_size_and_loads_either_way(trained, tmp_path):
    trained.save(tmp_path / "whole.keras")
    pretrained.save_in_float16(trained, tmp_path / "half.keras")
    assert (tmp_path / "half.keras").stat().st_size < 0.7 * (tmp_path / "whole.keras").stat().st_size
    for model in (keras.models.load_model(tmp_path / "half.keras"), network(weights=tmp_path / "half.keras")):
        for ours, theirs in zip(model.weights, trained.weights, strict=True):
            assert ours.dtype == "float32"
            np.testing.assert_array_equal(ours, np.float16(theirs), err_msg=theirs.path)
        np.testing.assert_allclose(model(images(2, 8, 8, 3)), trained(images(2, 8, 8, 3)), atol=5e-3)


def test_what_half_precision_cannot_hold_is_refused(trained, tmp_path):
    trained.weights[0].assign(np.full(trained.weights[0].shape, 1e5))
    with pytest.raises(ValueError, match=r"weights that float16 can hold\. Received: layers/.* up to 100000"):
        pretrained.save_in_float16(trained, tmp_path / "half.keras")
    assert not (tmp_path / "half.keras").exists()


def test_a_name_is_found_for_its_builder_alone(listed, tmp_path):
    assert pretrained.find("AAWideResNet16_4", "squares") == listed
    path = tmp_path / "network.keras"
    assert pretrained.find("AAWideResNet16_4", path) is None
    for builder, weights in (("WideResNet16_4", "squares"), ("AAWideResNet16_4", "circles")):
        with pytest.raises(ValueError, match=rf"'squares' of AAWideResNet16_4\)\. Received: weights='{weights}'"):
            pretrained.find(builder, weights)


@pytest.mark.parametrize("name", applications.__all__)
def test_every_builder_finds_weights_by_name(name, monkeypatch):
    if name in DETECTORS:
        pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")

    def found(entry):
        raise LookupError(entry.builder)

    entry = pretrained.PretrainedWeights(name, "mine", "mine.keras", "", (), "", "")
    monkeypatch.setattr(pretrained, "PRETRAINED", (entry,))
    monkeypatch.setattr(pretrained.PretrainedWeights, "path", found)
    with pytest.raises(LookupError, match=f"^{name}$"), without_values():
        build(name, weights="mine")


def test_a_wrong_checksum_is_refused(listed, tmp_path):
    (tmp_path / "network.keras").write_bytes((tmp_path / "network.keras").read_bytes() + b"\0")
    with pytest.raises(
        ValueError, match=r"'squares' of AAWideResNet16_4 are damaged: .*network\.keras has the SHA-256"
    ):
        AAWideResNet16_4(weights="squares")


def test_a_file_that_is_fetched(listed, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    get_file = functools.partial(keras.utils.get_file, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    fetched = dataclasses.replace(listed, file="elsewhere.keras", url=(tmp_path / "network.keras").as_uri())
    path = fetched.path()
    assert path == tmp_path / "cache" / "models" / "aa_keras" / "elsewhere.keras"
    assert path.read_bytes() == (tmp_path / "network.keras").read_bytes()
    path.write_bytes(b"half of it")  # as a kill leaves it: fetched again
    assert fetched.path().read_bytes() == (tmp_path / "network.keras").read_bytes()
    with pytest.raises(ValueError, match="file hash does not match"):
        dataclasses.replace(fetched, sha256="0" * 64).path()


def test_a_name_of_another_builder_is_refused_and_the_names_are_reported(listed):
    with pytest.raises(
        ValueError, match=r"trained weights \('squares' of AAWideResNet16_4\)\. Received: weights='squares'"
    ):
        WideResNet16_4(weights="squares")


def test_trained_weights_of_other_images_and_of_other_classes(monkeypatch, tmp_path, caplog):
    """A backbone, also at another resolution; and for other classes a classifier that is new."""
    source = with_random_statistics(AAWideResNet16_4(input_shape=(16, 16, 3)))
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    pretrained.save_in_float16(source, tmp_path / "small.keras")
    checksum = hashlib.sha256((tmp_path / "small.keras").read_bytes()).hexdigest()
    entry = pretrained.PretrainedWeights("AAWideResNet16_4", "small", "small.keras", checksum, (), "", "")
    monkeypatch.setattr(pretrained, "PRETRAINED", (entry,))
    backbone = AAWideResNet16_4(include_top=False, weights="small", input_shape=(24, 20, 3))
    np.testing.assert_array_equal(backbone.weights[0], np.float16(source.weights[0]))
    caplog.clear()
    AAWideResNet16_4(weights="small", input_shape=(16, 16, 3))
    assert caplog.messages == []
    fewer = AAWideResNet16_4(weights="small", input_shape=(16, 16, 3), classes=10)
    assert [message.split("small.keras")[1] for message in caplog.messages] == [
        ": the classifier of aa_wide_resnet16_4, for 10 classes, is new and must be trained"
    ]
    for ours, theirs in zip(fewer.weights[:-2], source.weights[:-2], strict=True):
        np.testing.assert_array_equal(ours, np.float16(theirs))
    assert fewer.output_shape == (None, 10)
    with pytest.raises(ValueError, match=r"include_top=False leaves it out\) has the shape \(256, 100\) in the file"):
        AAWideResNet16_4(weights=tmp_path / "small.keras", input_shape=(16, 16, 3), classes=10)


def test_pixels_go_into_the_network_that_normalizes_them():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    expected = AAWideResNet16_4(weights="cifar100")(aa_wide_resnet.preprocess_input(pixels))
    found = AAWideResNet16_4(weights="cifar100", include_preprocessing=True)(pixels)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
