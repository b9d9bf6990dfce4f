"""Attention where the number of images is known only when a graph runs: the same results, and LiteRT converts it."""

import keras
import numpy as np
import pytest
from helpers.layers import feature_map, outputs_of, randomize_weights

from aa_keras.attention import blockwise
from aa_keras.layers import AttentionAugmentedConv2D

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends know it")


def network(implementation, monkeypatch):
    """Two augmented convolutions, whose blocks have few of the queries each."""
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 4 * 2 * 35 * 8)
    options = {"num_heads": 2, "min_key_dim": 4, "implementation": implementation}
    layers = [
        AttentionAugmentedConv2D(8, 3, strides=2, **options),
        AttentionAugmentedConv2D(6, 3, attention_pooling=2, value_ratio=1, **options),
    ]
    return randomize_weights(keras.Sequential([keras.Input((13, 9, 5)), *layers]))


@pytest.mark.parametrize("implementation", ["dense", "blockwise"])
def test_a_network_of_a_fixed_size_converts_to_litert(implementation, monkeypatch, tmp_path):
    import tensorflow as tf

    model = network(implementation, monkeypatch)
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    (given,), (returned,) = interpreter.get_input_details(), interpreter.get_output_details()
    for batch in (1, 3):
        inputs = feature_map(batch, 13, 9, 5, seed=batch)
        interpreter.resize_tensor_input(given["index"], inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], inputs)
        interpreter.invoke()
        outputs = interpreter.get_tensor(returned["index"])
        np.testing.assert_allclose(outputs, outputs_of(model, inputs), atol=2e-5, rtol=1e-5)


def test_results_and_gradients_are_those_of_a_known_number(monkeypatch):
    import tensorflow as tf

    model = network("blockwise", monkeypatch)
    variables = [weight.value for weight in model.trainable_weights]

    def outputs_and_gradients(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(inputs)
            loss = tf.reduce_sum(outputs**2)
        return outputs, tape.gradient(loss, [inputs, *variables])

    inputs = tf.constant(feature_map(3, 13, 9, 5))
    unknown = tf.function(outputs_and_gradients, input_signature=[tf.TensorSpec((None, 13, 9, 5))])
    expected, found = outputs_and_gradients(inputs), unknown(inputs)
    for ours, theirs in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max(), rtol=1e-4)
