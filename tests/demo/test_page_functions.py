"""What the page does with a network, without the page."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers.demo import BOXES, NAMES, box_predictor, shifting_predictor, write_image
from helpers.explain import SHIFT
from PIL import Image

from aa_keras import explain
from aa_keras.demo import PageFunctions
from aa_keras.demo.functions import KEPT
from aa_keras.errors import UserError
from aa_keras.explain.figures import COLORS

FRAME = (0x19, 0xE3, 0xFF)
BRIGHTEST = np.rint(255 * np.array(COLORS(1.0)[:3]))


@pytest.fixture(scope="module")
def page():
    return PageFunctions(shifting_predictor())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_image(tmp_path_factory.mktemp("images") / "noise.png")


def brightest(picture, rows=4, columns=6):
    """The cells of a map whose middles have the color of the largest attention, in a picture of it."""
    height, width, _ = picture.shape
    found = []
    for row, column in np.ndindex(rows, columns):
        middle = (2 * row + 1) * height // (2 * rows), (2 * column + 1) * width // (2 * columns)
        if (picture[middle] == BRIGHTEST).all():
            found.append((row, column))
    return found


def test_predictions_are_those_of_the_predictor(page, path):
    predictor = shifting_predictor()
    (prediction,) = predictor.predict_files([path])
    assert page.classes(path) == predictor.spec.seen(prediction.outputs)
    assert page.predictions(path, 0.5) == predictor.spec.as_line(prediction, 5)["predictions"]
    assert [each["label"] for each in page.predictions(path, 0.5)] == [
        NAMES[number] for number, _ in page.classes(path)
    ]


@pytest.mark.parametrize(("pixel", "cell"), [((0.0, 0.0), (0, 0)), ((0.3, 0.5), (1, 3)), ((0.74, 0.6), (2, 3))])
def test_a_pixel_looks_where_the_network_says(page, path, pixel, cell):
    """At itself in the first head, and `SHIFT` away in the second one."""
    first, pictures = page.attention(path, "shifting", 0, pixel)
    second, _ = page.attention(path, "shifting", 1, pixel)
    assert brightest(first) == [cell]
    assert brightest(second) == [(cell[0] + SHIFT[0], cell[1] + SHIFT[1])]
    assert [brightest(picture) for picture, _ in pictures] == [brightest(first), brightest(second)]
    assert pictures[0][1] == "1: 100 %"
    assert first.shape[:2] == page.shown_size(path)
    for picture in (first, second, pictures[1][0]):
        rows, columns = np.nonzero((picture == FRAME).all(axis=-1))
        frame = (rows.mean() * 4 // picture.shape[0], columns.mean() * 6 // picture.shape[1])
        assert frame == cell


def test_maps_are_scaled_to_their_largest_value(page, path):
    """A pixel that looks everywhere alike, in each of two heads."""
    picture, pictures = page.attention(path, "even", 1, (0.9, 0.9))
    assert len(brightest(picture)) == 4 * 6
    assert [caption for _, caption in pictures] == ["1: 4.17 %", "2: 4.17 %"]


def test_a_pixel_at_the_last_edge_is_in_the_image(page, path):
    assert brightest(page.attention(path, "shifting", 0, (1.0, 1.0))[0]) == [(3, 5)]


def test_the_last_head_stands_for_one_that_a_layer_lacks(page, path):
    """Which another layer has."""
    last, beyond = (page.attention(path, "shifting", head, (0.3, 0.5))[0] for head in (1, 7))
    np.testing.assert_array_equal(beyond, last)


@pytest.mark.parametrize("min_score", [-0.1, 1.5, "0.5", None, float("nan"), [0.5]])
def test_scores_must_be_from_0_to_1(page, path, min_score):
    with pytest.raises(UserError, match="min_score must be a number from 0 to 1"):
        page.predictions(path, min_score)


def test_layers_and_heads_are_those_of_the_network(page):
    assert page.layers == {"shifting": (4, 6), "even": (4, 6)}
    assert (page.layer, page.heads) == ("even", 2)
    assert page.explains


def test_grad_cam_is_that_of_the_library(page, path):
    """The brightest place of the picture is that of the largest value."""
    picture = page.grad_cam(path, 2)
    predictor = shifting_predictor()
    fitted, _ = predictor.spec.preprocess(np.asarray(Image.open(path)))
    values = explain.grad_cam(predictor.model, fitted[None] / np.float32(255), 2)[0]
    assert picture.shape[:2] == page.shown_size(path)
    place = np.unravel_index(picture.sum(axis=-1).argmax(), picture.shape[:2])
    found = tuple(
        part * cells // length for part, cells, length in zip(place, values.shape, picture.shape, strict=False)
    )
    assert found == np.unravel_index(values.argmax(), values.shape)


def test_a_network_that_grad_cam_does_not_explain(path):
    inputs = keras.Input((8, 12, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)

    class Subclassed(keras.Model):
        input_shape = (None, 8, 12, 3)

        def __init__(self):
            super().__init__()
            self.inner = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))

        def call(self, images):
            return self.inner(images)

    model = Subclassed()
    model(np.zeros((1, 8, 12, 3), "float32"))
    predictor = dataclasses.replace(shifting_predictor(), model=model)
    with pytest.raises(UserError, match=r"Grad-CAM does not explain this network: .*functional or Sequential"):
        PageFunctions(predictor).grad_cam(path, 0)


def test_an_export_is_not_explained(path):
    page = PageFunctions(dataclasses.replace(shifting_predictor(), model=None))
    assert not page.explains
    assert (page.layers, page.layer, page.heads) == ({}, None, 0)
    assert page.classes(path)


def test_an_image_is_predicted_once_and_few_are_kept(tmp_path):
    predictor, calls = shifting_predictor(), []
    counting = dataclasses.replace(predictor, run=lambda images: calls.append(len(images)) or predictor.run(images))
    page = PageFunctions(counting)
    paths = [write_image(tmp_path / f"{seed}.png", seed=seed) for seed in range(KEPT + 1)]
    for _ in range(3):
        page.classes(paths[0])
        page.attention(paths[0], "even", 0, (0.5, 0.5))
    assert len(calls) == 1
    answers = [page.classes(path) for path in paths]
    assert len({tuple(answer) for answer in answers}) == len(paths)
    assert len(calls) == len(paths)
    page.classes(paths[0])  # which the others have displaced
    assert len(calls) == len(paths) + 1


def test_boxes_are_drawn_where_they_are(tmp_path):
    """In an image that is shown smaller than it is: 2048x4096 pixels as 512x1024, eight times the network's."""
    page, path = PageFunctions(box_predictor()), write_image(tmp_path / "large.png", 2048, 4096)
    drawn = page.drawn(path, 0.5).astype(int)
    assert drawn.shape == (512, 1024, 3)
    orange = (np.abs(drawn - (255, 127, 14)) < 30).all(axis=-1)  # the color of the second class
    rows, columns = np.flatnonzero(orange.sum(axis=1) > 400), np.flatnonzero(orange.sum(axis=0) > 200)
    for found, edges in ((rows, 8 * BOXES[0, ::2]), (columns, 8 * BOXES[0, 1::2])):
        np.testing.assert_allclose((found.min(), found.max()), edges, atol=3)
    blue = (np.abs(drawn - (31, 119, 180)) < 30).all(axis=-1)
    assert not (blue.sum(axis=1) > 40).any()
    assert ((np.abs(page.drawn(path, 0.1).astype(int) - (31, 119, 180)) < 30).all(axis=-1).sum(axis=1) > 40).any()
    boxes = page.predictions(path, 0.5)
    assert [(box["label"], box["left"], box["bottom"]) for box in boxes] == [("dog", 1024, 1536)]  # of the whole image
    assert len(page.predictions(path, 0.1)) == 2


def test_classes_of_the_same_name_are_told_apart():
    assert PageFunctions(shifting_predictor(("a", "b", "a"))).names == ["a (0)", "b", "a (2)"]


def test_images_that_cannot_be_read_are_named(page, tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "corrupt.jpg").write_bytes(b"\xff\xd8\xff" + bytes(99))
    Image.new("1", (8000, 6251)).save(tmp_path / "huge.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    for name, reason in {
        "empty.png": "empty.png cannot be read: it is empty",
        "corrupt.jpg": "corrupt.jpg cannot be read: ",
        "huge.png": "huge.png has more than 50 megapixels: make it smaller",
        "bomb.png": "bomb.png has more than 50 megapixels: make it smaller",
    }.items():
        with pytest.raises(UserError) as raised:
            page.classes(str(tmp_path / name))
        assert str(raised.value).startswith(reason)
    with pytest.raises(UserError, match=r"gone.png is not there any more: upload it again"):
        page.classes(str(tmp_path / "gone.png"))  # deleted after an hour
    Image.new("1", (8000, 6250)).save(tmp_path / "large.png")
    assert len(page.classes(str(tmp_path / "large.png"))) == 3
