"""Grad-CAM: against what it is by hand, for classes by name and number, of every family."""

import importlib.util
import json
import os
import pathlib

import keras
import numpy as np
import pytest

from aa_keras import applications
from aa_keras.applications import AAMnasNet, AAWideResNet, ResNet
from aa_keras.data.decoding import decode_image
from aa_keras.explain import grad_cam

NAMES = ("ant", "bee", "cat")


def images_of(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def classifier(activation="softmax"):
    """A feature map of three channels, pooled, and a class for each."""
    return keras.Sequential(
        [
            keras.Input((4, 5, 3)),
            keras.layers.Conv2D(3, 1, name="features"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation=activation, name="predictions"),
        ]
    )


@pytest.mark.parametrize("activation", ["softmax", None])
def test_of_a_linear_head_it_is_the_weighted_sum_of_the_channels(activation):
    """The gradient of a logit after a pooling is the class's weights over the number of pixels."""
    model = classifier(activation)
    images = images_of(2, 4, 5, 3)
    kernel, bias, weights, _ = model.get_weights()
    features = images @ kernel[0, 0] + bias
    for number, name in enumerate(NAMES):
        expected = np.maximum((features * weights[:, number] / 20).sum(axis=-1), 0)
        expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-12)
        np.testing.assert_allclose(grad_cam(model, images, number), expected, atol=1e-5)
        np.testing.assert_allclose(grad_cam(model, images, [name, name], NAMES), expected, atol=1e-5)
    best = np.argmax(model.predict(images, verbose=0), axis=1)
    np.testing.assert_allclose(grad_cam(model, images), grad_cam(model, images, best), atol=1e-6)
    np.testing.assert_allclose(grad_cam(model, images, layer="features"), grad_cam(model, images), atol=1e-6)
    np.testing.assert_allclose(grad_cam(model, keras.ops.convert_to_tensor(images)), grad_cam(model, images), atol=1e-6)


def test_it_finds_what_a_class_is_reported_by():
    """A class that the red channel identifies is where the red pixel is."""
    model = classifier()
    model.set_weights([np.eye(3)[None, None], np.zeros(3), np.eye(3), np.zeros(3)])
    images = np.zeros((1, 4, 5, 3), "float32")
    images[0, 2, 3, 0] = 1
    maps = grad_cam(model, images, "ant", NAMES)
    assert np.unravel_index(maps[0].argmax(), (4, 5)) == (2, 3)
    assert maps.sum() == 1
    assert grad_cam(model, images, "bee", NAMES).sum() == 0


@pytest.mark.parametrize(
    ("build", "size", "map_size"),
    [
        (lambda: AAWideResNet(10, 1, weights=None, classes=5), 32, 8),
        (lambda: ResNet(18, width=8, weights=None, classes=5, input_shape=(64, 64, 3)), 64, 2),
        (lambda: AAMnasNet(alpha=0.35, weights=None, classes=5, input_shape=(64, 64, 3)), 64, 2),
    ],
)
def test_of_the_zoo(build, size, map_size):
    """The last feature map, and not one that is pooled for channel attention."""
    maps = grad_cam(build(), images_of(2, size, size, 3), 3)
    assert maps.shape == (2, map_size, map_size)
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_of_a_model_around_another():
    inner = keras.Sequential([keras.Input((4, 5, 3)), keras.layers.Conv2D(2, 1)], name="inner")
    inputs = keras.Input((4, 5, 3))
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(inner(inputs)))
    assert grad_cam(keras.Model(inputs, keras.layers.Softmax()(outputs)), images_of(1, 4, 5, 3), 0).shape == (1, 4, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 3}, "numbers from 0 to 2. Received: 3"),
        ({"classes": "bees", "class_names": NAMES}, "such as 'bee'. Received: 'bees'"),
        ({"classes": "bee"}, "which need `class_names`"),
        ({"classes": [0]}, "must be one, or 2, one for each image. Received: 1"),
        ({"layer": "feature"}, "such as 'features'. Received: layer='feature'"),
        ({"layer": "predictions"}, r"'predictions' returns \[\(None, 3\)\]"),
    ],
)
def test_what_cannot_be_asked(arguments, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(classifier(), images_of(2, 4, 5, 3), **arguments)


def test_a_model_without_classes():
    with pytest.raises(ValueError, match="must return probabilities or logits"):
        grad_cam(AAWideResNet(10, 1, weights=None, include_top=False), images_of(1, 32, 32, 3))


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="the extra `detection` is not installed")
@pytest.mark.skipif("AA_KERAS_DATA" not in os.environ, reason="AA_KERAS_DATA does not name a folder of data")
def test_of_a_detector_it_is_where_the_object_is():
    """The pixels that speak most for a white blood cell are in its box."""
    folder = pathlib.Path(os.environ["AA_KERAS_DATA"]) / "bccd"
    content = json.loads((folder / "annotations" / "instances_test.json").read_text(encoding="utf-8"))
    (number,) = (category["id"] for category in content["categories"] if category["name"] == "WBC")
    box = next(each for each in content["annotations"] if each["category_id"] == number)
    name = next(each["file_name"] for each in content["images"] if each["id"] == box["image_id"])
    image = decode_image(next(folder.rglob(name)).read_bytes()).astype("float32")
    images = keras.ops.image.resize(image[None], (192, 256))
    model = applications.AARetinaNet(
        depth=18,
        width=32,
        blocks=(1, 1, 1, 1),
        max_level=5,
        head_convolutions=1,
        anchor_size=2.5,
        input_shape=(192, 256, 3),
        classes=3,
        weights="bccd",
        include_preprocessing=True,
    )
    maps = grad_cam(model, images, "WBC", applications.datasets.BCCD.class_names)
    assert maps.shape == (1, 24, 32)  # the finest level of the pyramid
    y, x = np.unravel_index(maps[0].argmax(), maps[0].shape)
    left, top, width, height = np.array(box["bbox"]) * 256 / image.shape[1]
    assert left <= 8 * (x + 0.5) <= left + width
    assert top <= 8 * (y + 0.5) <= top + height
