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

pytestmark = pytest.mark.jax

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


@pytest.mark.backend
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


def softmaxed_by_hand(tensor):
    exponentials = keras.ops.exp(tensor - keras.ops.max(tensor, axis=-1, keepdims=True))
    return exponentials / keras.ops.sum(exponentials, axis=-1, keepdims=True)


class Softmaxed(keras.layers.Layer):
    def call(self, inputs):
        return softmaxed_by_hand(inputs)


def nested(*layers):
    return keras.Sequential([keras.Input((3,)), *layers], name="head")


# What makes probabilities of logits, as functions of a feature vector and of the layer that returns logits.
ENDINGS = {
    "layer": lambda x, dense: keras.layers.Softmax()(dense(x)),
    "activation": lambda x, dense: keras.layers.Activation("softmax")(dense(x)),
    "operation": lambda x, dense: keras.ops.softmax(dense(x)),
    "own layer": lambda x, dense: Softmaxed()(dense(x)),
    "nested": lambda x, dense: nested(dense, keras.layers.Softmax())(x),
    "nested twice": lambda x, dense: keras.Sequential([keras.Input((3,)), nested(dense), keras.layers.Softmax()])(x),
    "and more": lambda x, dense: keras.layers.Reshape((3,))(
        keras.layers.Activation("linear", dtype="float32")(keras.layers.Dropout(0.5)(keras.ops.softmax(dense(x))))
    ),
    "sigmoids": lambda x, dense: keras.ops.sigmoid(dense(x)),
    "argument": lambda x, dense: with_activation(dense, keras.layers.Softmax())(x),
    "lambda": lambda x, dense: with_activation(dense, softmaxed_by_hand)(x),
    "nested argument": lambda x, dense: nested(with_activation(dense, "sigmoid"))(x),
}


def with_activation(dense, activation):
    return keras.layers.Dense(dense.units, activation=activation, name=dense.name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_last_activation_is_always_left_out(ending):
    """The same network has the same map, however it is written."""
    plain = classifier(None)
    inputs = keras.Input((4, 5, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 1, name="features")(inputs))
    model = keras.Model(inputs, ENDINGS[ending](pooled, keras.layers.Dense(3, name="predictions")))
    model.set_weights(plain.get_weights())
    images = images_of(2, 4, 5, 3)
    before = model.predict(images, verbose=0)
    for number in range(3):
        np.testing.assert_allclose(grad_cam(model, images, number), grad_cam(plain, images, number), atol=1e-5)
    np.testing.assert_allclose(model.predict(images, verbose=0), before, atol=1e-6)  # the model is as it was


@pytest.mark.backend
def test_of_a_model_in_another():
    """A headless network with its pooling inside: the last map is in it, and layers are named by their paths."""
    flat = classifier()
    features = keras.Sequential([keras.Input((4, 5, 3)), *flat.layers[:2]], name="stem")
    inner = keras.Sequential([keras.Input((4, 5, 3)), features], name="inner")
    inputs = keras.Input((4, 5, 3))
    scaled = keras.layers.Rescaling(1.0, name="scaled")(inputs)
    model = keras.Model(inputs, nested(flat.layers[2])(inner(scaled)))
    images = images_of(2, 4, 5, 3)
    np.testing.assert_allclose(model.predict(images, verbose=0), flat.predict(images, verbose=0), atol=1e-6)
    for number in range(3):
        expected = grad_cam(flat, images, number)
        np.testing.assert_allclose(grad_cam(model, images, number), expected, atol=1e-5)
        found = grad_cam(model, images, number, layer="inner/stem/features")
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert grad_cam(model, images, 0, layer="scaled").shape == (2, 4, 5)
    with pytest.raises(ValueError, match=r"such as 'inner/stem/features'\. Received: layer='features'"):
        grad_cam(model, images, 0, layer="features")


def test_a_map_of_one_pixel_is_not_the_last_one():
    inputs = keras.Input((4, 5, 3))
    features = keras.layers.Conv2D(3, 1)(inputs)
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(features)
    outputs = keras.layers.Flatten()(keras.layers.Conv2D(3, 1)(pooled))
    images = images_of(1, 4, 5, 3)
    assert grad_cam(keras.Model(inputs, keras.ops.softmax(outputs)), images, 0).shape == (1, 4, 5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_is_explained_for_and_against(activation):
    """It is that of the second class; the map of the first one has what speaks against it."""
    model = keras.Sequential([*classifier().layers[:2], keras.layers.Dense(1, activation=activation)])
    model.build((None, 4, 5, 3))
    two = keras.Sequential([*model.layers[:2], keras.layers.Dense(2)])
    two.build((None, 4, 5, 3))
    weights = model.layers[2].get_weights()
    two.layers[2].set_weights([np.concatenate([-each, each], axis=-1) for each in weights])
    images = images_of(3, 4, 5, 3)
    maps = [grad_cam(model, images, number) for number in (0, 1)]
    for number in (0, 1):
        np.testing.assert_allclose(maps[number], grad_cam(two, images, number), atol=1e-5)
        assert maps[number].max() == 1
    best = (two.predict(images, verbose=0)[:, 1] > 0).astype(int)
    np.testing.assert_allclose(grad_cam(model, images), grad_cam(two, images, best), atol=1e-5)
    np.testing.assert_allclose(grad_cam(model, images, "yes", ["no", "yes"]), maps[1], atol=1e-6)


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
