"""Networks as folders with a model card: written, read, refused, uploaded, downloaded; URLs with a checksum."""

import functools
import hashlib
import json
import pathlib
import sys

import keras
import numpy as np
import pytest
from helpers.builders import images, with_random_statistics
from helpers.hub import Hub

import aa_keras
from aa_keras.applications import AAWideResNet, MnasNet, WideResNet
from aa_keras.applications.datasets import CIFAR100
from aa_keras.applications.weights.info import WeightsInfo

SMALL = {"depth": 10, "width": 1, "input_shape": (8, 8, 3), "classes": 5}


@pytest.fixture(scope="module")
def model():
    return with_random_statistics(AAWideResNet(**SMALL))


@pytest.fixture
def folder(model, tmp_path):
    aa_keras.save_pretrained(
        *(model, tmp_path / "mine"),
        source="a test",
        licence="MIT",
        scores={"top1": 12.5},
        reported="nobody, on nothing",
        mean=(1.0, 2.0, 3.0),
        std=(4.0, 5.0, 6.0),
        class_names=tuple("abcde"),
    )
    return tmp_path / "mine"


def test_a_folder_gives_the_same_network_and_describes_it(folder, model):
    again = AAWideResNet(weights=folder, **SMALL)
    np.testing.assert_array_equal(again(images(2, 8, 8, 3)), model(images(2, 8, 8, 3)))
    info = again.weights_info
    assert (info.builder, info.licence, info.scores) == ("AAWideResNet", "MIT", {"top1": 12.5})
    assert (info.mean, info.std, info.class_names) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), tuple("abcde"))
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: keras\nlicense: mit\n")
    facts = (
        "AAWideResNet",
        f"{sum(np.size(weight) for weight in model.trainable_weights):,}",
        "12.5",
        "nobody, on nothing",
        "a, b, c, d, e",
        "8x8x3",
    )
    assert all(fact in card for fact in facts)
    whole = keras.models.load_model(folder / "model.keras")
    np.testing.assert_allclose(whole(images(2, 8, 8, 3)), model(images(2, 8, 8, 3)), atol=1e-6)


def test_a_network_that_normalizes_pixels_does_it_as_the_folder_says(folder, tmp_path):
    small_mnasnet = {"alpha": 0.1, "input_shape": (32, 32, 3), "classes": 5}
    saved = aa_keras.save_pretrained(
        MnasNet(**small_mnasnet), tmp_path / "mnasnet", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)
    )
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype("float32")
    for network in (
        AAWideResNet(weights=folder, include_preprocessing=True, **SMALL),
        MnasNet(weights=saved.folder, include_preprocessing=True, **small_mnasnet),
    ):
        expected = (pixels - [1.0, 2.0, 3.0]) / [4.0, 5.0, 6.0]
        np.testing.assert_allclose(network.get_layer("preprocessing")(pixels), expected, atol=1e-4)


@pytest.mark.parametrize("position_encoding", [None, "sinusoidal", "coordinates"])
def test_an_augmented_network_without_tables_is_no_plain_one(position_encoding, tmp_path):
    network = with_random_statistics(AAWideResNet(position_encoding=position_encoding, **SMALL))
    aa_keras.save_pretrained(network, tmp_path / "augmented")
    again = AAWideResNet(position_encoding=position_encoding, weights=tmp_path / "augmented", **SMALL)
    assert not again.has_new_weights
    for one, other in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_augmented_network_takes_a_plain_one_in_a_folder(tmp_path):
    plain = with_random_statistics(WideResNet(**SMALL))
    aa_keras.save_pretrained(plain, tmp_path / "plain")
    augmented = AAWideResNet(weights=tmp_path / "plain", num_heads=2, **SMALL)
    for name in ("stem_conv", "stage2_block1_conv2", "predictions"):
        for ours, theirs in zip(
            augmented.get_layer(name).get_weights(), plain.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_what_a_builder_knows_need_not_be_said(model, folder, tmp_path):
    info = aa_keras.save_pretrained(model, tmp_path / "described").info
    assert (info.builder, info.mean, info.std) == ("AAWideResNet", CIFAR100.mean, CIFAR100.std)
    assert info.central_fraction == 1.0  # small images are seen whole
    photographs = MnasNet(alpha=0.1, input_shape=(32, 32, 3))
    assert aa_keras.save_pretrained(photographs, tmp_path / "photographs").info.central_fraction == 0.875
    tuned = AAWideResNet(weights=folder, **SMALL)
    info = aa_keras.save_pretrained(tuned, tmp_path / "tuned").info
    assert (info.mean, info.std, info.scores, info.licence) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), {}, "")
    loaded = keras.models.load_model(folder / "model.keras")
    with pytest.raises(
        ValueError, match="`builder`, `source`, `mean` and `std` must be given for a model that no builder"
    ):
        aa_keras.save_pretrained(loaded, tmp_path / "loaded")
    said = {"builder": "AAWideResNet", "source": "mine", "mean": (1.0,) * 3, "std": (2.0,) * 3}
    assert aa_keras.save_pretrained(loaded, tmp_path / "loaded", **said).info.std == (2.0, 2.0, 2.0)


def test_what_is_in_a_folder_is_kept_unless_it_may_go(folder, model):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"`directory` must be a new folder or an empty one.*Received: directory="):
        aa_keras.save_pretrained(model, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    aa_keras.save_pretrained(model, folder, overwrite=True, source="another")
    assert AAWideResNet(weights=folder, **SMALL).weights_info.source == "another"
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"licence": 3}, "`licence` of weights is invalid. Received: licence=3"),
        ({"scores": {"top1": "high"}}, "`scores` of weights is invalid"),
        ({"std": (1.0, 0.0, 1.0)}, "`std` of weights is invalid"),
        ({"central_fraction": 1.5}, "`central_fraction` of weights is invalid"),
        ({"interpolation": "nearest"}, "`interpolation` of weights is invalid"),
        ({"accuracy": 1.0}, "The fields of `WeightsInfo` are .* Received: accuracy"),
        ({"builder": None}, r"`builder` of weights is invalid\. Received: builder=None"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, error, model, tmp_path):
    with pytest.raises(ValueError, match=error):
        aa_keras.save_pretrained(model, tmp_path / "new", **fields)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="`model` must be a Keras model"):
        aa_keras.save_pretrained(None, tmp_path / "new")


def damaged_model(folder):
    (folder / "model.keras").write_bytes((folder / "model.keras").read_bytes()[:-1])


def no_model(folder):
    (folder / "model.keras").unlink()


def no_json(folder):
    (folder / "weights.json").write_text("{")


def other_field(folder):
    content = json.loads((folder / "weights.json").read_text())
    (folder / "weights.json").write_text(json.dumps({**content, "code": "import os"}))


@pytest.mark.parametrize("damage", [damaged_model, no_model, no_json, other_field])
def test_a_damaged_folder_is_refused(damage, folder):
    damage(folder)
    with pytest.raises(ValueError, match=r"`weights` must be a folder that `aa_keras\.save_pretrained` wrote") as error:
        AAWideResNet(weights=folder, **SMALL)
    assert "\n" not in str(error.value)


def test_a_folder_goes_to_the_hub_and_comes_from_there(folder, model, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    hub = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    (folder / "secret.txt").write_text("not for others")
    assert aa_keras.push_to_hub(folder, "me/network", private=True) == "https://huggingface.co/me/network"
    assert hub.created == [("me/network", True)]
    assert sorted(path.name for path in (hub.folder / "me" / "network").iterdir()) == [
        *("README.md", "model.keras", "weights.json")
    ]
    other = AAWideResNet(**SMALL)
    aa_keras.save_pretrained(other, hub.folder / "me" / "network@v2", source="me")
    for _ in range(2):  # downloaded, and from the hub's cache
        for weights, expected in (("hf://me/network", model), ("hf://me/network@v2", other)):
            again = AAWideResNet(weights=weights, **SMALL)
            np.testing.assert_array_equal(again(images(2, 8, 8, 3)), expected(images(2, 8, 8, 3)))
        hub.folder = pathlib.Path("nowhere")
    hub.folder = tmp_path / "hub"
    aa_keras.save_pretrained(other, hub.folder / "me" / "network", source="me", overwrite=True)
    again = AAWideResNet(weights="hf://me/network", **SMALL)  # which is another one now
    np.testing.assert_array_equal(again(images(2, 8, 8, 3)), other(images(2, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"`weights` could not be downloaded from huggingface\.co"):
        AAWideResNet(weights="hf://me/other", **SMALL)
    with pytest.raises(ValueError, match="`weights` must be 'hf://USER/REPOSITORY'"):
        AAWideResNet(weights="hf://me/a/b", **SMALL)


def test_a_url_needs_a_checksum_that_is_right(model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.utils, "get_file", functools.partial(keras.utils.get_file, cache_dir=tmp_path / "cache"))
    model.save(tmp_path / "network.keras")
    url = (tmp_path / "network.keras").as_uri()
    checksum = hashlib.sha256((tmp_path / "network.keras").read_bytes()).hexdigest()
    again = AAWideResNet(weights=f"{url}#sha256={checksum}", **SMALL)
    np.testing.assert_array_equal(again(images(2, 8, 8, 3)), model(images(2, 8, 8, 3)))
    for wrong in (url, f"{url}#sha256=12", "https://localhost/network.txt#sha256=" + "0" * 64):
        with pytest.raises(ValueError, match=r"`weights` must be the URL of a file .* with its checksum"):
            AAWideResNet(weights=wrong, **SMALL)
    with pytest.raises(ValueError, match=r"`weights` could not be downloaded: .*hash") as error:
        AAWideResNet(weights=f"{url}#sha256={'0' * 64}", **SMALL)
    assert "\n" not in str(error.value)


def test_information_is_of_one_kind():
    assert WeightsInfo("ResNet50", "somewhere").interpolation == "bilinear"
    with pytest.raises(ValueError, match="`builder` of weights is invalid"):
        WeightsInfo(3, "somewhere")
