"""Explaining a network from the command line: pictures, a page, and errors."""

import base64

import numpy as np
import pytest
from helpers.explain import content_of, shifting_network
from helpers.exports import small_network
from helpers.predictions import predictions_of
from helpers.runs import CLASSES, finished_run
from PIL import Image

from aa_keras.applications import WideResNet
from aa_keras.commands.explain import FIGURES, explain_image
from aa_keras.data import DetectionPreprocessing
from aa_keras.errors import UserError
from aa_keras.explain import figures
from aa_keras.export import DetectionSpec


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("of") / "run", small_network((24, 24), classes=len(CLASSES)))


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """An image of another size than the network's."""
    path = tmp_path_factory.mktemp("images") / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((60, 45)).save(path)
    return path


def test_pictures_and_a_page(run, photograph, tmp_path, capsys):
    page = tmp_path / "pages" / "page.html"
    written = explain_image(str(photograph), workdir=str(run), output=str(tmp_path / "out"), html=str(page))
    assert written == [*(tmp_path / "out" / name for name in FIGURES), page]
    for path in written[:-1]:
        with Image.open(path) as picture:
            assert picture.info["dpi"] == pytest.approx((figures.DPI, figures.DPI), abs=0.1)
            assert min(picture.size) > 400
    assert f"{tmp_path / 'out'}: {', '.join(FIGURES)}\n{page}: 0." in capsys.readouterr().out
    content = content_of(page.read_text(encoding="utf-8"))
    (prediction,) = predictions_of([photograph], workdir=str(run))
    shares = prediction.outputs["probabilities"]
    order = np.argsort(-shares)
    assert [each["label"] for each in content["predictions"]] == [CLASSES[index] for index in order]
    np.testing.assert_allclose([each["probability"] for each in content["predictions"]], shares[order], atol=1e-6)
    assert content["size"] == [24, 24]  # what the network sees of it


def test_what_is_drawn_is_what_was_asked(photograph, tmp_path, monkeypatch):
    """The attention of the pixels that were named, in the layer that was named, of the model of a file."""
    drawn = {}
    monkeypatch.setattr(figures, "plot_heads", lambda image, maps, pixels, *_: drawn.update(maps=maps, pixels=pixels))
    monkeypatch.setattr(
        figures, "plot_contact_sheet", lambda image, maps, pixel, *_: drawn.update(sheet=maps, pixel=pixel)
    )
    shifting_network().save(tmp_path / "model.keras")
    options = {"model": str(tmp_path / "model.keras"), "dataset": "none", "output": str(tmp_path / "out")}
    explain_image(str(photograph), query=["0,0", "3,5", "2,2"], layer="shifting", **options)
    assert drawn["pixels"] == [(0, 0), (3, 5), (2, 2)]
    maps = drawn["maps"].reshape(2, 3, 24)
    assert maps.argmax(axis=-1).tolist() == [[0, 8, 7], [8, 16, 15]]  # of 4 rows of 6: itself, and one row and two on
    assert (list(drawn["sheet"]), drawn["pixel"]) == (["shifting", "even"], (3, 5))
    np.testing.assert_array_equal(drawn["sheet"]["shifting"], drawn["maps"][:, 1])
    explain_image(str(photograph), **options)
    assert drawn["pixels"] == [(y, x) for y in (1, 4, 6) for x in (2, 6, 10)]  # a grid on 8x12 pixels


def test_a_network_of_the_library_with_random_weights(photograph, tmp_path, capsys):
    """Its batch statistics are those of random images: otherwise each pixel would look at one other pixel alone."""
    page = tmp_path / "page.html"
    builder = "AAWideResNet(16, 1, input_shape=(32, 32, 3), num_heads=2)"
    explain_image(str(photograph), builder=builder, html=str(page))
    assert "AAWideResNet has random weights, and batch statistics of random images" in capsys.readouterr().out
    layers = content_of(page.read_text(encoding="utf-8"))["layers"]
    assert len(layers) == 6
    for layer in layers:
        largest = np.frombuffer(base64.b64decode(layer["largest"]), "<f4")
        assert np.median(largest) < 0.2


def test_without_attention_there_is_grad_cam(photograph, tmp_path, capsys):
    model = WideResNet(10, 1, weights=None, classes=3, input_shape=(32, 32, 3))
    model.save(tmp_path / "plain.keras")
    options = {"model": str(tmp_path / "plain.keras"), "dataset": "none"}
    written = explain_image(str(photograph), output=str(tmp_path / "out"), **options)
    assert [path.name for path in written] == ["grad_cam.png"]
    assert "has no attention: the pictures are of Grad-CAM alone" in capsys.readouterr().out
    with pytest.raises(UserError, match="--html need a network with attention"):
        explain_image(str(photograph), html=str(tmp_path / "page.html"), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": None}, "--image must be given"),
        ({"image": "/nowhere.png"}, "--image must be the file of an image"),
        ({"image": __file__}, "that can be read"),
        ({"workdir": None}, "exactly one of --workdir, --model and --builder"),
        ({"model": "a.keras"}, "exactly one of --workdir, --model and --builder"),
        ({"weights": "cifar100"}, "--weights goes with --builder"),
        ({"dataset": "coco"}, "--dataset and --labels go with --model or --builder"),
        ({"query": ["1"]}, "two whole numbers from 0. Received: --query=1"),
        ({"query": ["-1,2"]}, "two whole numbers from 0"),
        ({"query": ["3,24"]}, "of the 24x24 pixels that the network takes, up to 23,23. Received: --query=3,24"),
        ({"layer": "stage1_block1_conv3"}, "must name a layer with attention"),
        ({"html": "page.pdf"}, "--html must end in .html"),
        ({"output": __file__}, "--output must be a folder"),
    ],
)
def test_flags_that_cannot_be_used(arguments, message, run, photograph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        explain_image(**{"image": str(photograph), "workdir": str(run), **arguments})
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_the_image_is_not_overwritten(run, tmp_path):
    image = tmp_path / "heads.png"
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(image)
    before = image.read_bytes()
    with pytest.raises(UserError, match="would be overwritten"):
        explain_image(str(image), workdir=str(run), output=str(tmp_path))
    assert image.read_bytes() == before


def test_a_class_has_its_best_score():
    """As a detector's classes, of which there may be several boxes."""
    spec = DetectionSpec(("a", "b", "c"), (8, 8, 3), DetectionPreprocessing((0,), (1,), (8, 8)))
    outputs = {"labels": np.array([2, 0, 2, 0]), "confidence": np.array([0.9, 0.8, 0.7, 0.3])}
    assert spec.best_of_each(outputs) == [(2, 0.9), (0, 0.8)]
