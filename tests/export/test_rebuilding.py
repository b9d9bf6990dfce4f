"""Networks rebuilt for an export: the same predictions in float32, other sizes, dense attention."""

import warnings

import keras
import numpy as np
import pytest
from helpers.exports import randomized, small_network

from aa_keras import attention
from aa_keras.applications import AAResNet, AAWideResNet
from aa_keras.applications.blocks import dtype_policy
from aa_keras.attention import blockwise, choice
from aa_keras.errors import UserError
from aa_keras.export.rebuilding import is_float32, not_dense, rebuilt
from aa_keras.layers import AttentionAugmentedConv2D, RelativePositionEmbedding2D


def images(size=(8, 6), count=3):
    return np.random.default_rng(0).normal(size=(count, *size, 3)).astype("float32")


def test_what_needs_no_change_stays():
    model = small_network()
    assert rebuilt(model) is rebuilt(model, dense=True) is rebuilt(model, size=(8, 6)) is model


@pytest.mark.parametrize("precision", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"])
def test_a_network_of_half_precision_computes_in_float32(precision):
    with dtype_policy(precision):
        model = small_network(include_preprocessing=True)
    assert not is_float32(model)
    copy = rebuilt(model)
    assert is_float32(copy)
    assert not is_float32(model)  # which is not touched
    pixels = 60 * images() + 120
    exact = small_network(include_preprocessing=True)
    exact.set_weights(model.get_weights())
    expected = exact.predict(pixels, verbose=0)
    np.testing.assert_array_equal(copy.predict(pixels, verbose=0), expected)
    assert np.abs(model.predict(pixels, verbose=0) - expected).max() > 1e-4


def test_tables_are_resized_for_another_size():
    model = small_network()
    copy = rebuilt(model, size=(12, 9))
    assert copy.input_shape == (None, 12, 9, 3)
    assert copy.predict(images((12, 9)), verbose=0).shape == (3, 4)
    for old, new in zip(model.weights, copy.weights, strict=True):
        value = old.numpy()
        if old.shape != new.shape:
            assert old.name in ("height_table", "width_table")
            value = attention.resized_table(value, (new.shape[0] + 1) // 2)
        np.testing.assert_array_equal(new, value)
    tables = [layer for layer in copy._flatten_layers() if isinstance(layer, RelativePositionEmbedding2D)]
    assert [tuple(table.height_table.shape) for table in tables] == [(23, 20)]


def test_a_network_of_unknown_size_gets_one():
    """Its tables stay those of 32x32 pixels, of which it would have used the centre: resized, they are others."""
    model = randomized(AAWideResNet(10, 1, input_shape=(None, None, 3), classes=4))
    same = rebuilt(model, size=(32, 32))
    np.testing.assert_allclose(
        same.predict(images((32, 32)), verbose=0), model.predict(images((32, 32)), verbose=0), atol=1e-6
    )
    assert rebuilt(model, size=(16, 20)).input_shape == (None, 16, 20, 3)


def test_blocks_become_dense(monkeypatch):
    monkeypatch.setattr(choice, "LARGEST_DENSE_BYTES", 4 * 8 * 20**2)
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 4 * 8 * 20 * 4)
    model = small_network()
    assert [(spec.height, spec.width) for spec in not_dense(model)] == [(8, 6)]
    copy = rebuilt(model, dense=True)
    assert not not_dense(copy)
    np.testing.assert_allclose(copy.predict(images(), verbose=0), model.predict(images(), verbose=0), atol=1e-6)
    explicit = small_network(implementation="blockwise")
    assert len(not_dense(explicit)) == 1
    assert not not_dense(rebuilt(explicit, dense=True))


def test_any_network_of_keras_with_augmented_layers():
    inner = keras.Sequential([keras.Input((9, 7, 4)), AttentionAugmentedConv2D(8, 3, num_heads=2, min_key_dim=4)])
    inputs = keras.Input((9, 7, 4))
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalMaxPooling2D()(inner(inputs)))
    model = randomized(keras.Model(inputs, outputs))
    with dtype_policy("mixed_bfloat16"):
        half = keras.models.clone_model(model)
    given = np.random.default_rng(0).normal(size=(2, 9, 7, 4)).astype("float32")
    np.testing.assert_array_equal(rebuilt(model).predict(given, verbose=0), model.predict(given, verbose=0))
    assert rebuilt(half) is half or is_float32(rebuilt(half))


def test_what_cannot_be_rebuilt_is_reported():
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    with pytest.raises(UserError, match="cannot be rebuilt for images of 16x16"):
        rebuilt(flat, size=(16, 16))
    quantized = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)])
    with warnings.catch_warnings(action="ignore"):  # that layers without weights are left alone
        quantized.quantize("int8")
    with pytest.raises(UserError, match="`quantize` was called on"):
        rebuilt(quantized, size=(16, 16))


def test_a_network_with_pooling_before_attention():
    model = randomized(AAResNet(18, width=8, blocks=(1, 1, 1, 1), input_shape=(40, 56, 3), classes=3))
    copy = rebuilt(model, size=(48, 40))
    assert rebuilt(copy, size=(48, 40)) is copy
    assert copy.predict(images((48, 40)), verbose=0).shape == (3, 3)


def test_a_network_that_was_trained():
    """A compiled model with metrics and an optimizer."""
    model = small_network()
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(images(), np.eye(4)[:3], verbose=0)
    copy = rebuilt(model, size=(12, 9))
    assert len(copy.weights) == len(model.weights)
    same = rebuilt(copy, size=(8, 6))
    last = model.layers[-1].name
    np.testing.assert_array_equal(same.get_layer(last).kernel, model.get_layer(last).kernel)
