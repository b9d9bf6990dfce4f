"""The reference against plain loops, and everything that computes the same against the reference."""

import itertools

import numpy as np
import pytest
from helpers import oracle
from helpers.kernels import ON_CPU, kernels_on_cpu  # noqa: F401
from keras import ops

from aa_keras.attention import attention_2d, blockwise, reference_attention, relative_embeddings

pytestmark = pytest.mark.backend

BATCH, HEADS, HEIGHT, WIDTH, KEY_DIM, VALUE_DIM = 2, 3, 4, 5, 6, 2
IMPLEMENTATIONS = ["dense", "blockwise", *ON_CPU]


@pytest.fixture
def arguments():
    """Queries, keys, values and the tables of both axes."""
    generator = np.random.default_rng(0)
    space = (BATCH, HEADS, HEIGHT, WIDTH)
    shapes = [(*space, KEY_DIM), (*space, KEY_DIM), (*space, VALUE_DIM)]
    shapes += [(2 * HEIGHT - 1, KEY_DIM), (2 * WIDTH - 1, KEY_DIM)]
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def test_the_reference_is_what_loops_over_pixels_give(arguments):
    queries, keys, values, *tables = (array.astype("float64") for array in arguments)
    outputs, probabilities = map(ops.convert_to_numpy, reference_attention(*map(ops.convert_to_tensor, arguments)))
    for image, head in itertools.product(range(BATCH), range(HEADS)):
        of_head = (tensor[image, head] for tensor in (queries, keys, values))
        expected, expected_probabilities = oracle.attention(*of_head, *tables)
        np.testing.assert_allclose(probabilities[image, head], expected_probabilities, atol=1e-5)
        np.testing.assert_allclose(outputs[image, head], expected, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.usefixtures("kernels_on_cpu")
def test_every_implementation_is_the_reference(arguments, implementation, monkeypatch):
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 4 * HEADS * HEIGHT * WIDTH * 7)  # blocks of 7, 7 and 6 queries
    tensors = queries, keys, values, *tables = [ops.convert_to_tensor(array) for array in arguments]
    relative = [relative_embeddings(table, size) for table, size in zip(tables, (HEIGHT, WIDTH), strict=True)]
    outputs = attention_2d(queries, keys, values, *relative, implementation=implementation)
    expected = ops.convert_to_numpy(reference_attention(*tensors)[0])
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, atol=1e-5)
