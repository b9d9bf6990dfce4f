"""The reference against plain loops, and everything that computes the same against the reference."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from aa_keras.attention import attention_2d, blockwise, reference_attention, relative_embeddings

BATCH, HEADS, HEIGHT, WIDTH, KEY_DIM, VALUE_DIM = 2, 3, 4, 5, 6, 2
IMPLEMENTATIONS = ["dense", "blockwise", *(["fused"] if keras.backend.backend() == "torch" else [])]


@pytest.fixture
def arguments():
    """Queries, keys, values and the tables of both axes."""
    generator = np.random.default_rng(0)
    space = (BATCH, HEADS, HEIGHT, WIDTH)
    shapes = [(*space, KEY_DIM), (*space, KEY_DIM), (*space, VALUE_DIM)]
    shapes += [(2 * HEIGHT - 1, KEY_DIM), (2 * WIDTH - 1, KEY_DIM)]
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def test_the_reference_is_what_loops_over_pixels_give(arguments):
    queries, keys, values, r_height, r_width = (array.astype("float64") for array in arguments)
    expected_probabilities = np.zeros((BATCH, HEADS, HEIGHT, WIDTH, HEIGHT, WIDTH))
    expected = np.zeros(values.shape)
    pixels = list(itertools.product(range(HEIGHT), range(WIDTH)))
    for image, head, (y, x) in itertools.product(range(BATCH), range(HEADS), pixels):
        query = queries[image, head, y, x] / np.sqrt(KEY_DIM)
        share = expected_probabilities[image, head, y, x]
        for y_key, x_key in pixels:
            embedding = r_height[y_key - y + HEIGHT - 1] + r_width[x_key - x + WIDTH - 1]
            share[y_key, x_key] = np.exp(query @ (keys[image, head, y_key, x_key] + embedding))
        share /= share.sum()
        for y_key, x_key in pixels:
            expected[image, head, y, x] += share[y_key, x_key] * values[image, head, y_key, x_key]

    outputs, probabilities = reference_attention(*map(ops.convert_to_tensor, arguments))

    flat = expected_probabilities.reshape(BATCH, HEADS, HEIGHT * WIDTH, HEIGHT * WIDTH)
    np.testing.assert_allclose(ops.convert_to_numpy(probabilities), flat, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_implementation_is_the_reference(arguments, implementation, monkeypatch):
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 4 * HEADS * HEIGHT * WIDTH * 7)  # blocks of 7, 7 and 6 queries
    tensors = queries, keys, values, *tables = [ops.convert_to_tensor(array) for array in arguments]
    relative = [relative_embeddings(table, size) for table, size in zip(tables, (HEIGHT, WIDTH), strict=True)]
    outputs = attention_2d(queries, keys, values, *relative, implementation=implementation)
    expected = ops.convert_to_numpy(reference_attention(*tensors)[0])
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, atol=1e-5)
