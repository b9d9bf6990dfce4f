"""Dense attention: its own gradient, the type of its logits, and what bfloat16 costs."""

import keras
import numpy as np
import pytest
from keras import ops

from aa_keras import attention
from aa_keras.attention.positions import with_key_positions, with_position_logits

pytestmark = pytest.mark.backend

BACKEND = keras.backend.backend()


def drawn(size, dtype="float32", heads=2, key_dim=6, value_dim=3, scale=1.0):
    """Queries, keys, values and both tables for maps of `size`, as float64 arrays that `dtype` holds exactly."""
    generator = np.random.default_rng(0)
    height, width = size
    space = (1, heads, height, width)
    shapes = [(*space, key_dim), (*space, key_dim), (*space, value_dim), (2 * height - 1, key_dim)]
    arrays = [generator.normal(size=shape) * scale for shape in (*shapes, (2 * width - 1, key_dim))]
    return [ops.convert_to_numpy(ops.cast(ops.cast(array, dtype), "float32")).astype("float64") for array in arrays]


def relative(tables, size):
    return [attention.relative_embeddings(table, axis) for table, axis in zip(tables, size, strict=True)]


def attend(size, implementation="dense"):
    def function(queries, keys, values, *tables):
        return attention.attention_2d(queries, keys, values, *relative(tables, size), implementation)

    return function


def reference(queries, keys, values, *tables):
    return attention.reference_attention(queries, keys, values, *tables)[0]


def gradients(function, inputs):
    """The gradients of the summed squares of a function's outputs, which can be differentiated themselves."""

    def loss(*inputs):
        return ops.sum(ops.square(function(*inputs)))

    if BACKEND == "jax":
        import jax

        return jax.jit(jax.grad(loss, tuple(range(len(inputs)))))(*inputs)
    if BACKEND == "torch":
        import torch

        inputs = [tensor if tensor.requires_grad else tensor.detach().requires_grad_() for tensor in inputs]
        return torch.autograd.grad(loss(*inputs), inputs, create_graph=True)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = loss(*inputs)
    return tape.gradient(total, inputs)


def numbers(tensors):
    return [ops.convert_to_numpy(ops.stop_gradient(tensor)) for tensor in tensors]


def assert_near_to_those_of_the_reference(ours, expected, tolerance):
    for gradient, of_reference in zip(numbers(ours), numbers(expected), strict=True):
        scale = np.abs(of_reference).max()
        assert scale > 0.1
        np.testing.assert_allclose(gradient, of_reference, atol=tolerance * scale)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_its_gradient_is_that_of_the_reference(dtype, tolerance):
    arrays = drawn((4, 3), dtype)
    ours = gradients(attend((4, 3)), [ops.convert_to_tensor(array, dtype) for array in arrays])
    expected = gradients(reference, [ops.convert_to_tensor(array, "float32") for array in arrays])
    assert_near_to_those_of_the_reference([ops.cast(each, "float32") for each in ours], expected, tolerance)


def test_its_gradient_can_be_differentiated_again():
    inputs = [ops.convert_to_tensor(array, "float32") for array in drawn((4, 3))]

    def slopes(function):
        return lambda *inputs: ops.concatenate([ops.ravel(of_input) for of_input in gradients(function, inputs)])

    ours, expected = (gradients(slopes(function), inputs) for function in (attend((4, 3)), reference))
    assert_near_to_those_of_the_reference(ours, expected, 1e-5)


@pytest.mark.parametrize(
    ("dtype", "size", "relative", "expected"),
    [
        ("float32", (64, 64), True, "float32"),
        ("float64", (64, 64), True, "float64"),
        ("float16", (4, 4), True, "float32"),
        ("bfloat16", (32, 32), True, "bfloat16"),
        ("bfloat16", (33, 32), True, "float32"),
        ("bfloat16", (33, 32), False, "bfloat16"),
        ("bfloat16", (None, 32), True, "float32"),
    ],
)
def test_the_type_of_logits(dtype, size, relative, expected):
    spec = attention.AttentionSpec(8, *size, key_dim=20, value_dim=2, relative=relative, dtype=dtype)
    assert spec.logits_dtype == expected
    if None not in size:
        bytes_each = {"bfloat16": 2, "float32": 4, "float64": 8}[expected]
        assert spec.logits_bytes == bytes_each * 8 * (size[0] * size[1]) ** 2


@pytest.mark.parametrize(
    ("implementation", "side", "scale"),
    [("dense", 14, 1.0), ("dense", 32, 1.0), ("dense", 32, 1.7), ("blockwise", 32, 1.0)],
)
def test_bfloat16_is_as_exact_as_the_attention_of_keras(implementation, side, scale):
    size = (side, side)
    arrays = drawn(size, "bfloat16", key_dim=20, value_dim=8, scale=scale)
    inputs = [ops.convert_to_tensor(array, "bfloat16") for array in arrays]
    exact = exactly(*arrays)

    def error(outputs):
        return np.sqrt(np.mean((ops.convert_to_numpy(ops.cast(outputs, "float32")) - exact) ** 2))

    ours = error(attend(size, implementation)(*inputs))
    assert ours > 1e-5  # else it has not been computed in bfloat16
    assert ours < 1.02 * error(attention_of_keras(size, *inputs))


def exactly(queries, keys, values, *tables):
    """Attention in float64."""
    height, width, key_dim = queries.shape[2:]
    queries = queries * key_dim**-0.5
    of_rows, of_columns = (
        table[np.arange(size)[None, :] - np.arange(size)[:, None] + size - 1]
        for table, size in zip(tables, (height, width), strict=True)
    )
    logits = np.einsum("bnyxd,bnhwd->bnyxhw", queries, keys, optimize=True)
    logits = logits + np.einsum("bnyxd,yhd->bnyxh", queries, of_rows, optimize=True)[..., :, None]
    logits = logits + np.einsum("bnyxd,xwd->bnyxw", queries, of_columns, optimize=True)[..., None, :]
    exponentials = np.exp(logits - logits.max(axis=(-2, -1), keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=(-2, -1), keepdims=True)
    return np.einsum("bnyxhw,bnhwd->bnyxd", probabilities, values, optimize=True)


def attention_of_keras(size, queries, keys, values, *tables):
    """The output of `keras.layers.MultiHeadAttention` in bfloat16, with queries and keys that include their positions.

    Its projections are the identity, and heads of 256 channels make its scale an exact 1 / 16.
    """
    _, heads, height, width, key_dim = queries.shape
    value_dim, positions = values.shape[-1], height * width
    scaled = ops.cast(ops.cast(queries, "float32") * key_dim**-0.5, "bfloat16")
    logits = attention.relative_logits(scaled, *relative(tables, size))
    scaled, keys, values, *logits = (
        ops.reshape(tensor, (1, heads, positions, -1)) for tensor in (scaled, keys, values, *logits)
    )
    longer = (with_position_logits(scaled, tuple(logits)) * 16, with_key_positions(keys, height, width))
    inputs = [ops.pad(tensor, ((0, 0), (0, 0), (0, 0), (0, 256 - tensor.shape[-1]))) for tensor in longer]
    inputs = [ops.reshape(ops.transpose(tensor, (0, 2, 1, 3)), (1, positions, -1)) for tensor in (*inputs, values)]
    queries, keys, values = inputs
    layer = keras.layers.MultiHeadAttention(
        heads, 256, value_dim, use_bias=False, output_shape=heads * value_dim, dtype="bfloat16"
    )
    layer.build(queries.shape, values.shape, keys.shape)
    lengths = (heads * 256, heads * 256, heads * value_dim, heads * value_dim)
    shapes = [weight.shape for weight in layer.weights]
    layer.set_weights([np.eye(length).reshape(shape) for length, shape in zip(lengths, shapes, strict=True)])
    outputs, _ = layer(queries, values, keys, return_attention_scores=True)
    return ops.transpose(ops.reshape(outputs, (1, height, width, heads, value_dim)), (0, 3, 1, 2, 4))
