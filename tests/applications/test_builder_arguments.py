"""The arguments that the builders share with `keras.applications`, and errors for those that make no sense."""

import re

import keras
import numpy as np
import pytest
from helpers.builders import KINDS, build, images, with_random_statistics, without_values

from aa_keras.applications import AAWideResNet, WideResNet, aa_wide_resnet, datasets
from aa_keras.layers import AttentionAugmentedConv2D


def network(builder=AAWideResNet, **arguments):
    return builder(**{"depth": 10, "width": 1, "input_shape": (8, 8, 3), **arguments})


@pytest.fixture(scope="module")
def classifier():
    return with_random_statistics(network())


def with_weights_of(classifier, model):
    """Gives a network without a top, or with another activation, the weights of the classifier."""
    model.set_weights(classifier.get_weights()[: len(model.weights)])
    return model


def test_defaults_are_those_of_cifar100():
    model = WideResNet(10, 1)
    assert (model.input_shape, model.output_shape, model.name) == ((None, 32, 32, 3), (None, 100), "wide_resnet")


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [(None, lambda maps: maps), ("avg", lambda maps: maps.mean((1, 2))), ("max", lambda maps: maps.max((1, 2)))],
)
def test_without_a_top_the_last_map_is_pooled_as_asked(classifier, pooling, pooled):
    inputs = images(2, 8, 8, 3)
    model = with_weights_of(classifier, network(include_top=False, pooling=pooling))
    maps = keras.Model(classifier.inputs, classifier.pyramid_outputs["P2"]).predict(inputs, verbose=0)
    assert maps.shape == (2, 2, 2, 64)
    np.testing.assert_allclose(model(inputs), pooled(maps), rtol=1e-6, atol=1e-6)
    assert model.output_shape == (None, *pooled(maps).shape[1:])


def test_the_classifier_is_a_dense_layer_on_the_averaged_map(classifier):
    inputs = images(2, 8, 8, 3)
    averages = with_weights_of(classifier, network(include_top=False, pooling="avg"))(inputs)
    kernel, bias = classifier.get_weights()[-2:]
    logits = with_weights_of(classifier, network(classifier_activation=None))(inputs)
    np.testing.assert_allclose(logits, averages @ kernel + bias, rtol=1e-5, atol=1e-5)


def test_softmax_of_the_logits_are_the_probabilities(classifier):
    inputs = images(2, 8, 8, 3)
    logits = with_weights_of(classifier, network(classifier_activation=None))(inputs).numpy().astype("float64")
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier(inputs), softmax, rtol=1e-5)
    sigmoid = with_weights_of(classifier, network(classifier_activation="sigmoid"))(inputs)
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_input_tensor_may_be_the_output_of_another_layer(classifier):
    image = keras.Input((12, 10, 3))
    cropped = keras.layers.Cropping2D(((1, 3), (2, 0)))(image)
    model = with_weights_of(classifier, network(input_tensor=cropped, input_shape=None))
    assert model.inputs[0] is image
    inputs = images(2, 12, 10, 3)
    np.testing.assert_allclose(model(inputs), classifier(inputs[:, 1:9, 2:10]), rtol=0, atol=1e-6)


def test_input_tensor_may_come_with_its_own_shape(classifier):
    image = keras.Input((8, 8, 3), name="image")
    model = with_weights_of(classifier, network(input_tensor=image, input_shape=[8, 8, 3]))
    assert model.inputs[0] is image
    np.testing.assert_allclose(model(images(1, 8, 8, 3)), classifier(images(1, 8, 8, 3)), rtol=0, atol=1e-6)


def test_images_may_have_any_number_of_channels():
    assert network(input_shape=(8, 8, 1))(images(1, 8, 8, 1)).shape == (1, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_normalize_pixels_itself(kind):
    dataset = datasets.CIFAR100 if "Wide" in kind else datasets.IMAGENET
    with without_values():
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            model = build(kind, include_preprocessing=True)
        finally:
            keras.config.set_dtype_policy("float32")
    first, second = model.layers[1:3]
    assert first.name == "preprocessing"
    assert re.fullmatch("stem_conv1?", second.name)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape[1:])).astype("uint8")
    normalized = first(pixels)
    assert normalized.dtype == "float32"
    np.testing.assert_allclose(
        normalized, (pixels - np.array(dataset.mean)) / np.array(dataset.std), rtol=1e-5, atol=1e-5
    )
    assert first.weights == []


def test_a_network_that_normalizes_pixels_is_saved_with_that(classifier, tmp_path):
    model = network(include_preprocessing=True)
    model.set_weights(classifier.get_weights())
    model.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    expected = classifier(aa_wide_resnet.preprocess_input(pixels))
    for copy in (model, keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_allclose(copy(pixels), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(copy.predict(pixels, verbose=0), expected, rtol=1e-4, atol=1e-6)


def test_integers_of_numpy_are_integers():
    with without_values():
        model = AAWideResNet(
            np.int64(10),
            np.uint8(1),
            include_top=np.True_,
            input_shape=[np.int32(8), None, np.int64(3)],
            classes=np.int64(4) + 1,
            num_heads=np.int16(2),
            attention_stages=[np.int64(2), 3],
        )
        assert (model.input_shape, model.output_shape) == ((None, 8, None, 3), (None, 5))
        keras.models.model_from_json(model.to_json())


def test_name_is_the_models():
    assert network(name="mine").name == "mine"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"depth": 11}, "`depth` must be 6 n . 4: .*Received: depth=11"),
        ({"depth": 4}, "`depth` must be 6 n . 4: .*Received: depth=4"),
        ({"depth": 16.0}, "`depth` must be a positive integer.*Received: depth=16.0"),
        ({"width": 0}, "`width` must be a positive integer.*Received: width=0"),
        ({"width": 1.5}, "`width` must be a positive integer.*Received: width=1.5"),
        ({"width": True}, "`width` must be a positive integer.*Received: width=True"),
        ({"shortcut": "x"}, "`shortcut` must be 'pad' or 'projection'.*Received: shortcut='x'"),
        ({"shortcut": None}, "`shortcut` must be .*Received: shortcut=None"),
        ({"pooling": "avg"}, "`pooling` is for models without .*Received: pooling='avg', include_top=True"),
        ({"pooling": "mean", "include_top": False}, "`pooling` must be None, 'avg' or 'max'.*Received: pooling='mean'"),
        ({"input_shape": (8, 8)}, r"`input_shape` must be .*Received: input_shape=\(8, 8\)"),
        ({"input_shape": (8, 8, None)}, r"`input_shape` must be .*Received: input_shape=\(8, 8, None\)"),
        ({"input_shape": (None, 8, 8, 3)}, r"`input_shape` must be .*Received: input_shape=\(None, 8, 8, 3\)"),
        ({"input_shape": (0, 8, 3)}, r"`input_shape` must be .*Received: input_shape=\(0, 8, 3\)"),
        ({"input_shape": 8}, "`input_shape` must be .*Received: input_shape=8"),
        ({"classes": 0}, "`classes` must be a positive integer.*Received: classes=0"),
        ({"classes": "10"}, "`classes` must be a positive integer.*Received: classes='10'"),
        ({"classes": True}, "`classes` must be a positive integer.*Received: classes=True"),
        ({"classes": 5.0}, "`classes` must be a positive integer.*Received: classes=5.0"),
        ({"depth": 10**14}, "`depth` must be a positive integer of at most 1,204.*Received: depth=100000000000000"),
        ({"width": 10**6}, "`width` must be a positive integer of at most 1,000.*Received: width=1000000"),
        ({"include_top": "False"}, "`include_top` must be True or False.*Received: include_top='False'"),
        ({"include_top": 0}, "`include_top` must be True or False.*Received: include_top=0"),
        ({"include_preprocessing": None}, "`include_preprocessing` must be True or False.*Received: include_pre"),
        (
            {"include_preprocessing": True, "input_shape": (8, 8, 1)},
            r"`include_preprocessing` needs images of 3 channels.*Received: .*images of shape \(8, 8, 1\)",
        ),
        ({"input_shape": (True, 8, 3)}, r"`input_shape` must be .*Received: input_shape=\(True, 8, 3\)"),
        ({"input_shape": (8, 8, 10**20)}, r"`input_shape` must be .*Received: input_shape=\(8, 8, 1000"),
        ({"input_shape": (8.0, 8, 3)}, r"`input_shape` must be .*Received: input_shape=\(8.0, 8, 3\)"),
        ({"weights": "imagenet"}, "`weights` must be None, the path .*Received: weights='imagenet'"),
        ({"weights": "missing.weights.h5"}, "`weights` must be None, the path .*Received: weights='missing.weights"),
        ({"weights": 1}, "`weights` must be None, the path .*Received: weights=1"),
    ],
)
@pytest.mark.parametrize("builder", [AAWideResNet, WideResNet])
def test_arguments_out_of_range(builder, arguments, error):
    with without_values(), pytest.raises(ValueError, match=f"(?s){error}"):
        network(builder, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"attention_stages": (4,)}, r"from 1 to 3.*Received: attention_stages=\(4,\)"),
        ({"attention_stages": (0,)}, r"from 1 to 3.*Received: attention_stages=\(0,\)"),
        ({"attention_stages": 2}, "must be a tuple .*Received: attention_stages=2"),
        ({"attention_stages": None}, "must be a tuple .*Received: attention_stages=None"),
        ({"attention_stages": (True,)}, r"must be a tuple .*Received: attention_stages=\(True,\)"),
        ({"attention_stages": (2.0,)}, r"must be a tuple .*Received: attention_stages=\(2.0,\)"),
        ({"attention_stages": ("2",)}, r"must be a tuple .*Received: attention_stages=\('2',\)"),
        ({"key_ratio": 1e308}, "`key_ratio` must be .*Received: key_ratio=1e.308"),
        ({"attention_pooling": 2**31 - 1}, "`attention_pooling` must be .*Received: attention_pooling=2147483647"),
        ({"attention_stages": (2, 2)}, r"must be a tuple .*Received: attention_stages=\(2, 2\)"),
        ({"num_heads": 0}, "`num_heads` must be a positive integer.*Received: num_heads=0"),
        ({"num_heads": 17}, "`num_heads` must be at most `filters`.*Received: num_heads=17"),
        ({"key_ratio": 0}, "`key_ratio` must be .*Received: key_ratio=0"),
        ({"value_ratio": 1.5}, "`value_ratio` must be .*Received: value_ratio=1.5"),
        ({"position_encoding": "absolute"}, "`position_encoding` must be .*Received: position_encoding='absolute'"),
        ({"attention_pooling": 0}, "`attention_pooling` must be .*Received: attention_pooling=0"),
    ],
)
def test_options_of_attention_out_of_range(arguments, error):
    with without_values(), pytest.raises(ValueError, match=f"(?s){error}"):
        network(**arguments)


@pytest.mark.parametrize(
    ("make_tensor", "input_shape", "error"),
    [
        (
            lambda: keras.Input((12, 12, 3)),
            (8, 8, 3),
            r"input_tensor of shape \(None, 12, 12, 3\), input_shape=\(8, 8, 3\)",
        ),
        (lambda: keras.Input((None, None, 3)), (8, 8, 3), r"input_tensor of shape \(None, None, None, 3\)"),
        (
            lambda: keras.Input((8, 8, None)),
            None,
            r"a known number of channels.*input_tensor of shape \(None, 8, 8, None\)",
        ),
        (lambda: keras.Input((8, 24)), None, r"input_tensor of shape \(None, 8, 24\)"),
        (lambda: np.zeros((1, 8, 8, 3)), None, "`input_tensor` must be a Keras tensor.*Received: input_tensor=array"),
        (lambda: "image", None, "`input_tensor` must be a Keras tensor.*Received: input_tensor='image'"),
    ],
)
def test_input_tensors_that_do_not_fit(make_tensor, input_shape, error):
    with pytest.raises(ValueError, match=f"(?s){error}"):
        network(input_tensor=make_tensor(), input_shape=input_shape)


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match=r"(?s)channels-last.*Received: image_data_format='channels_first'"):
            network()
    finally:
        keras.config.set_image_data_format("channels_last")


AUGMENTED = [kind for kind in KINDS if kind.startswith("AA")]


@pytest.mark.parametrize("encoding", ["relative", "sinusoidal", "coordinates", None])
@pytest.mark.parametrize("kind", AUGMENTED)
def test_every_augmented_network_takes_every_encoding_of_positions(kind, encoding):
    with without_values():
        model = build(kind, position_encoding=encoding)
    augmented = [layer for layer in model.layers if isinstance(layer, AttentionAugmentedConv2D)]
    assert {layer.position_encoding for layer in augmented} == {encoding}


@pytest.mark.parametrize("kind", AUGMENTED)
def test_every_augmented_network_may_have_attention_alone(kind):
    with without_values():
        model = build(kind, key_ratio=1.0, value_ratio=1.0)
    augmented = [layer for layer in model.layers if isinstance(layer, AttentionAugmentedConv2D)]
    assert augmented
    assert {layer.convolution for layer in augmented} == {None}
