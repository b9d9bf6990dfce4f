"""What users of TensorFlow do with networks: forward mode, second order, Jacobians by example, XLA."""

import keras
import numpy as np
import pytest
from helpers.layers import feature_map, small_network

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's own tools", allow_module_level=True)

import tensorflow as tf

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def model():
    return small_network("dense")


@pytest.fixture
def inputs():
    return tf.constant(feature_map(2, 6, 4, 3))


def slope(function, inputs, direction):
    return (function(inputs + 1e-2 * direction) - function(inputs - 1e-2 * direction)) / 2e-2


def gradient_of(model):
    """The gradient of the summed squares of a model's outputs, as a function of its inputs."""

    def gradient(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(model(inputs) ** 2)
        return tape.gradient(loss, inputs)

    return gradient


def test_forward_mode_is_the_slope(model, inputs):
    direction = tf.constant(feature_map(*inputs.shape, seed=3))
    with tf.autodiff.ForwardAccumulator(inputs, direction) as accumulator:
        outputs = model(inputs)
    tangent = accumulator.jvp(outputs)
    assert np.abs(tangent).max() > 0.1
    np.testing.assert_allclose(tangent, slope(model, inputs, direction), atol=1e-2 * np.abs(tangent).max())


def test_the_curvature_is_the_slope_of_the_gradient(model, inputs):
    direction = tf.constant(feature_map(*inputs.shape, seed=3))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        along = tf.reduce_sum(gradient_of(model)(inputs) * direction)
    curvature = tape.gradient(along, inputs)
    expected = slope(gradient_of(model), inputs, direction)
    np.testing.assert_allclose(curvature, expected, atol=2e-2 * np.abs(curvature).max())


def test_jacobians_by_example(model, inputs):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        outputs = model(inputs)
    together, one_by_one = (tape.batch_jacobian(outputs, inputs, experimental_use_pfor=pfor) for pfor in (True, False))
    assert np.abs(one_by_one).max() > 0.01
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    of_each = tf.vectorized_map(lambda image: model(image[None])[0], inputs)
    np.testing.assert_allclose(of_each, outputs, atol=1e-5)


def test_xla_computes_the_same(model, inputs):
    for function in (model, gradient_of(model)):
        compiled = tf.function(function, jit_compile=True)(inputs)
        np.testing.assert_allclose(compiled, function(inputs), atol=1e-4)
