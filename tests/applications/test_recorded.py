"""How a network was built: recorded on it and in its files, found again, and built again."""

import json
import pathlib
import re
import shutil
import sys
import zipfile

import keras
import numpy as np
import pytest
from helpers.builders import images, with_random_statistics, without_values
from helpers.hub import Hub
from PIL import Image

import aa_keras
from aa_keras.applications import AAResNet, AAWideResNet, BoTNet, ResNet, architecture_of, create_model
from aa_keras.applications.weights import Architecture, Weights, info

SMALL = {"depth": 10, "width": 1, "input_shape": (8, 12, 3), "classes": 5, "num_heads": 2}
RECORDED = Architecture("AAWideResNet", SMALL)


@pytest.fixture(scope="module")
def model():
    return with_random_statistics(AAWideResNet(**SMALL))


@pytest.fixture
def folder(model, tmp_path):
    return aa_keras.save_pretrained(model, tmp_path / "mine", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)).folder


@pytest.fixture
def file(model, tmp_path):
    model.save(tmp_path / "network.keras")
    return tmp_path / "network.keras"


def with_entries(path, changes):
    """Replaces entries of an archive, or removes them for None."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def without_record(path):
    """Makes a file what the first versions wrote."""
    return with_entries(path, {"assets/architecture.json": None})


def test_the_call_is_on_the_model_in_its_file_and_in_its_folder(model, file, folder):
    assert model.architecture == RECORDED
    assert architecture_of(model) == RECORDED
    assert architecture_of(Weights(file)) == architecture_of(file) == architecture_of(str(folder)) == RECORDED
    assert json.loads((folder / "weights.json").read_text())["arguments"] == {**SMALL, "input_shape": [8, 12, 3]}
    without_record(folder / "model.keras")
    assert architecture_of(Weights(folder / "model.keras", model.weights_info)) == Architecture("AAWideResNet", None)
    with without_values():
        assert AAResNet(18, input_tensor=keras.Input((64, 96, 3))).architecture.arguments == {
            **{"depth": 18, "input_shape": (64, 96, 3)}
        }
        activated = AAWideResNet(**SMALL, classifier_activation=keras.activations.sigmoid)
        assert activated.architecture.arguments == {**SMALL, "classifier_activation": "sigmoid"}
        whole = AAWideResNet(**{**SMALL, "depth": np.int64(10), "attention_stages": [1]})
        assert whole.architecture.arguments == {**SMALL, "attention_stages": (1,)}
    # The padding is that of the weights, and recorded.
    ResNet(18, width=8, blocks=(1, 1, 1, 1), padding="symmetric", input_shape=(64, 64, 3)).save(file)
    again = ResNet(18, width=8, blocks=(1, 1, 1, 1), input_shape=(64, 64, 3), weights=file)
    assert again.architecture.arguments["padding"] == "symmetric"


def test_the_file_is_that_of_a_plain_model(model, file):
    loaded = keras.models.load_model(file)
    assert type(loaded) is type(model)
    assert not hasattr(loaded, "architecture")
    nested = keras.Sequential([keras.Input((8, 12, 3)), model])
    nested.save(file)
    assert architecture_of(Weights(file)) is None  # not that of the network within


@pytest.mark.parametrize("kind", ["folder", "file", "hub", "run"])
def test_a_network_is_built_as_it_was_saved(kind, model, file, folder, tmp_path, monkeypatch, caplog):
    name = {"folder": str(folder), "file": file, "hub": "hf://me/network"}.get(kind)
    if kind == "hub":
        hub = Hub(tmp_path / "hub")
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        aa_keras.push_to_hub(folder, "me/network")
    if kind == "run":  # of a version that recorded nothing in files
        name = shutil.copy(without_record(file), tmp_path / "mine" / "best.keras")
        (folder / "weights.json").unlink()
        config = {"builder": "AAWideResNet", "builder_arguments": {"depth": 10, "width": 1, "num_heads": 2}}
        (folder / "config.json").write_text(json.dumps(config))
    again = create_model(name)
    np.testing.assert_array_equal(again(images(2, 8, 12, 3)), model(images(2, 8, 12, 3)))
    assert again.architecture == RECORDED
    caplog.clear()
    other = create_model(name, classes=3, input_shape=(16, 12, 3), include_preprocessing=True)
    assert other.output_shape == (None, 3)
    assert [re.sub(r".*: ", "", message) for message in caplog.messages] == [
        "resized 3 tables of relative positions for aa_wide_resnet",
        "the classifier of aa_wide_resnet, for 3 classes, is new and must be trained",
    ]
    np.testing.assert_array_equal(other.get_layer("stem_conv").kernel, model.get_layer("stem_conv").kernel)
    if kind in ("folder", "hub"):  # which say how images are normalized
        np.testing.assert_allclose(other.get_layer("preprocessing")(np.ones((1, 1, 1, 3)))[0, 0, 0, 1], -1 / 5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'clases'"):
        create_model(name, clases=3)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, r"record the arguments of their builder\. .*which do not; their builder is AAWideResNet"),
        ('{"builder": "AAWideResNet", "arguments": null}', "which do not; their builder is AAWideResNet"),
        ('{"builder": "Other", "arguments": {}}', "which do not; their builder is AAWideResNet"),
        ('{"builder": "AAWideResNet", "arguments": {"weights": "hf://me/other"}}', "AAWideResNet has.*with weights"),
        ('{"builder": "AAWideResNet", "arguments": {"code": "import os"}}', "AAWideResNet has.*with code"),
        ('{"builder": 3}', "architecture.json names no builder"),
        ("{", "`weights` must be a whole file"),
    ],
)
def test_a_record_that_does_not_do_is_refused(text, error, file):
    with_entries(file, {"assets/architecture.json": text})
    with pytest.raises(ValueError, match=error) as raised:
        create_model(file)
    assert "\n" not in str(raised.value)


def test_what_is_no_network_is_refused(tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="mine").save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"Received: name='.*other\.keras', which do not$"):
        create_model(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"`name` must be one of `list_models\(\)`.*Received: name='nowhere.keras'"):
        create_model("nowhere.keras")
    with pytest.raises(ValueError, match="`name` must be None, the path of a file of weights"):
        create_model(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"builder": ["AAWideResNet"], "builder_arguments": {}}', '{"builder": 3}']
)
def test_another_config_next_to_a_file_does_not_matter(text, model, file):
    without_record(file).with_name("config.json").write_text(text)
    assert architecture_of(Weights(file)) == Architecture("AAWideResNet", None)


def test_the_name_is_the_last_resort(model):
    with without_values():
        other = keras.Sequential([keras.Input((4,))], name="mine")
        other.architecture = "resnet"  # somebody else's
        assert architecture_of(other) is None
        assert architecture_of(AAWideResNet(**SMALL, name="resnet50")).builder == "AAWideResNet"
        copy = keras.models.clone_model(BoTNet(("c", "c", "c", "a"), input_shape=(64, 64, 3), name="botnet50_1"))
        assert architecture_of(copy) == Architecture("BoTNet50", None)
        assert architecture_of(keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3))) is None


def test_what_a_file_says_is_read_once(file, folder, monkeypatch):
    read = []
    original = info.read_content
    monkeypatch.setattr(info, "read_content", lambda path: read.append(path) or original(path))
    AAWideResNet(**{**SMALL, "input_shape": (None, None, 3)}, weights=file)
    AAWideResNet(**SMALL, weights=folder)
    create_model(folder)
    assert [pathlib.Path(path).name for path in read] == ["network.keras", "model.keras", "model.keras"]


@pytest.mark.parametrize("channels", [3, 1])
def test_the_example_of_the_model_card_runs(channels, tmp_path, monkeypatch):
    """From the text of the card alone, with the folder in place of the repository."""
    monkeypatch.chdir(tmp_path)
    built = with_random_statistics(AAWideResNet(**{**SMALL, "input_shape": (8, 12, channels)}))
    statistics = {"mean": (100.0,) * channels, "std": (50.0,) * channels}
    aa_keras.save_pretrained(built, "mine", interpolation="bicubic", **statistics)
    card = pathlib.Path("mine/README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, channels)).astype("uint8")
    Image.fromarray(pixels.squeeze()).save("photograph.png")
    names = {}
    exec(code.replace("hf://USER/REPOSITORY", "mine").replace("photograph.jpg", "photograph.png"), names)
    expected = built((pixels[None].astype("float32") - 100) / 50)
    np.testing.assert_allclose(names["outputs"], expected, rtol=1e-4, atol=1e-6)
