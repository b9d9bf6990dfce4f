"""Gradients reach every weight of the layers, and training changes each of them."""

import keras
import numpy as np
import pytest
from helpers.layers import POSITION_ENCODINGS, feature_map, to_numpy, with_random_weights

from aa_keras.attention import blockwise
from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D, SqueezeExcite

pytestmark = pytest.mark.backend

AUGMENTED = {"filters": 7, "kernel_size": 3, "num_heads": 2, "value_ratio": 0.6, "min_key_dim": 3}
LAYERS = {
    "attention": (SelfAttention2D, {"num_heads": 2, "key_dim": 3, "value_dim": 2}),
    "convolution": (AttentionAugmentedConv2D, AUGMENTED),
    "pooled": (AttentionAugmentedConv2D, {"strides": 2, "attention_pooling": 2, **AUGMENTED}),
}


def gradients_by_name(layer, inputs, jit_compile=False):
    """The gradients of a random projection of the outputs, with respect to each weight."""
    tf = pytest.importorskip("tensorflow")
    variables = [weight.value for weight in layer.trainable_weights]

    def gradients_of(inputs):
        with tf.GradientTape() as tape:
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs * feature_map(*outputs.shape, seed=5))
        return tape.gradient(loss, variables)

    gradients = tf.function(gradients_of, jit_compile=True)(inputs) if jit_compile else gradients_of(inputs)
    return {
        weight.path.split("/", 1)[1]: None if gradient is None else to_numpy(gradient)
        for weight, gradient in zip(layer.trainable_weights, gradients, strict=True)
    }


@pytest.mark.parametrize("way", ["argument", "before it is built", "after it is built"])
@pytest.mark.parametrize(("layer_class", "arguments"), [*LAYERS.values(), (SqueezeExcite, {})], ids=[*LAYERS, "se"])
def test_what_is_frozen_stays_frozen(layer_class, arguments, way, tmp_path):
    layer = layer_class(**arguments, trainable=way != "argument")
    if way == "before it is built":
        layer.trainable = False
    model = keras.Sequential([keras.Input((9, 7, 5)), layer])
    if way == "after it is built":
        layer.trainable = False
    model.save(tmp_path / "model.keras")
    for copy in (model, keras.models.clone_model(model), keras.models.load_model(tmp_path / "model.keras")):
        assert not copy.layers[0].trainable
        assert copy.trainable_weights == []
        assert not any(child.trainable for child in copy.layers[0]._flatten_layers())
        copy.layers[0].trainable = True
        assert len(copy.trainable_weights) == len(copy.weights) > 0


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs tf.GradientTape")
@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
@pytest.mark.parametrize(("layer_class", "arguments"), LAYERS.values(), ids=LAYERS)
def test_a_gradient_reaches_every_weight(layer_class, arguments, position_encoding):
    inputs = feature_map(2, 9, 7, 5)
    layer = with_random_weights(layer_class(**arguments, position_encoding=position_encoding), inputs.shape)

    gradients = gradients_by_name(layer, inputs)

    assert len(gradients) == len(layer.weights)
    for weight, gradient in gradients.items():
        assert gradient is not None, weight
        assert np.isfinite(gradient).all(), weight
        if weight.endswith("table"):
            # Every offset lies between some two pixels.
            assert (np.abs(gradient).max(axis=1) > 1e-5).all(), weight
        elif weight.endswith("qkv/kernel"):
            # 2 heads of 3, 3 and 2 channels: queries, keys and values, each from every channel of the input.
            for part in np.split(gradient[0, 0], [6, 12], axis=-1):
                assert (np.abs(part).max(axis=1) > 1e-4).all(), weight
        else:
            assert np.abs(gradient).max() > 1e-3, weight


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs tf.GradientTape")
@pytest.mark.parametrize("implementation", ["dense", "blockwise"])
def test_gradients_compiled_by_xla_are_the_same(implementation, monkeypatch):
    """As `fit` computes them with `jit_compile=True`: the gradients of pooling and of the resize included."""
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 4 * 2 * 6 * 4)  # 4 of the 6 queries
    inputs = feature_map(2, 9, 7, 5)
    arguments = {**AUGMENTED, "strides": 2, "attention_pooling": 2, "implementation": implementation}
    layer = with_random_weights(AttentionAugmentedConv2D(**arguments), inputs.shape)
    expected = gradients_by_name(layer, inputs)
    for name, gradient in gradients_by_name(layer, inputs, jit_compile=True).items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-4, rtol=1e-4, err_msg=name)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs tf.GradientTape")
def test_gradients_of_the_tables_are_dense():
    """Optimizers that square a sparse gradient take each use of a row for a gradient of its own."""
    tf = pytest.importorskip("tensorflow")
    inputs = feature_map(1, 3, 4, 5)
    layer = with_random_weights(SelfAttention2D(num_heads=2, key_dim=3), inputs.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs) ** 2)
    tables = layer.relative_embedding.trainable_weights
    for table, gradient in zip(tables, tape.gradient(loss, [table.value for table in tables]), strict=True):
        assert not hasattr(gradient, "indices")
        assert gradient.shape == table.shape


@pytest.mark.parametrize("input_size", [(8, 6), (None, None)])
def test_one_step_of_fit_changes_every_weight(input_size):
    model = keras.Sequential(
        [
            keras.Input((*input_size, 3)),
            AttentionAugmentedConv2D(8, 3, strides=2, num_heads=2, max_size=8, activation="relu"),
            AttentionAugmentedConv2D(8, 3, num_heads=2, attention_pooling=2, max_size=4),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()

    history = model.fit(feature_map(4, 8, 6, 3), np.array([0, 1, 2, 0]), batch_size=4, verbose=0)

    assert np.isfinite(history.history["loss"]).all()
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new), weight.path
