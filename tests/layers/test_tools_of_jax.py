"""What users of JAX do with networks: forward mode, transformations of functions, export."""

import keras
import numpy as np
import pytest
from helpers.layers import feature_map, small_network

if keras.backend.backend() != "jax":
    pytest.skip("JAX's own tools", allow_module_level=True)

import jax
import jax.numpy as jnp

pytestmark = pytest.mark.backend


def as_a_function(implementation):
    """A network as a function of its trainable variables and its inputs, and these variables."""
    model = small_network(implementation)
    state = [variable.value for variable in model.non_trainable_variables]
    call = jax.jit(lambda weights, inputs: model.stateless_call(weights, state, inputs)[0])
    return call, [variable.value for variable in model.trainable_variables]


@pytest.fixture(scope="module")
def function():
    return as_a_function("dense")


@pytest.fixture
def inputs():
    return jnp.asarray(feature_map(2, 6, 4, 3))


@pytest.mark.parametrize("implementation", ["dense", "blockwise"])
def test_forward_mode_is_the_slope(implementation, inputs):
    call, weights = as_a_function(implementation)
    direction = jnp.asarray(feature_map(*inputs.shape, seed=3))
    outputs, tangent = jax.jvp(lambda inputs: call(weights, inputs), (inputs,), (direction,))
    np.testing.assert_allclose(outputs, call(weights, inputs), atol=1e-5)
    ahead, behind = (call(weights, inputs + sign * 1e-2 * direction) for sign in (1, -1))
    assert np.abs(tangent).max() > 0.1
    np.testing.assert_allclose(tangent, (ahead - behind) / 2e-2, atol=1e-2 * np.abs(tangent).max())


def test_forward_and_reverse_mode_agree(function, inputs):
    call, weights = function
    forward, reverse = (mode(call, argnums=1)(weights, inputs) for mode in (jax.jacfwd, jax.jacrev))
    assert np.abs(reverse).max() > 0.01
    np.testing.assert_allclose(forward, reverse, atol=1e-5)


def test_the_curvature_is_the_slope_of_the_gradient(function, inputs):
    call, weights = function
    gradient = jax.grad(lambda inputs: jnp.sum(call(weights, inputs) ** 2))
    direction = jnp.asarray(feature_map(*inputs.shape, seed=3))
    _, curvature = jax.jvp(gradient, (inputs,), (direction,))  # forward over reverse, as Newton's methods do
    slope = (gradient(inputs + 1e-2 * direction) - gradient(inputs - 1e-2 * direction)) / 2e-2
    np.testing.assert_allclose(curvature, slope, atol=2e-2 * np.abs(curvature).max())


def test_vmap_and_checkpoint(function, inputs):
    call, weights = function
    of_each = jax.vmap(lambda image: call(weights, image[None])[0])(inputs)
    np.testing.assert_allclose(of_each, call(weights, inputs), atol=1e-5)

    def loss(function):
        return lambda weights: jnp.sum(function(weights, inputs) ** 2)

    expected, computed_again = (jax.grad(loss(each))(weights) for each in (call, jax.checkpoint(call)))
    for ours, theirs in zip(computed_again, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1, np.abs(theirs).max()))


def test_export_with_a_batch_of_any_size(function, inputs):
    call, weights = function
    (batch,) = jax.export.symbolic_shape("batch")
    symbolic = jax.ShapeDtypeStruct((batch, *inputs.shape[1:]), inputs.dtype)
    exported = jax.export.export(jax.jit(lambda inputs: call(weights, inputs)))(symbolic)
    loaded = jax.export.deserialize(exported.serialize())
    for images in (inputs, jnp.tile(inputs, (3, 1, 1, 1))):
        np.testing.assert_allclose(loaded.call(images), call(weights, images), atol=1e-5)
