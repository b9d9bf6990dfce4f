"""The mathematics of attention, against the paper's formulas and the code in the paper's appendix."""

import keras
import numpy as np
import pytest
from keras import ops

from aa_keras import attention

pytestmark = pytest.mark.backend

BATCH, HEADS, HEIGHT, WIDTH, KEY_DIM, VALUE_DIM = 2, 3, 4, 5, 6, 2


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def head_maps():
    """Queries, keys and values."""
    shape = (BATCH, HEADS, HEIGHT, WIDTH)
    return draw(*shape, KEY_DIM, seed=1), draw(*shape, KEY_DIM, seed=2), draw(*shape, VALUE_DIM, seed=3)


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


# The algorithm of the paper's appendix ("relative logits in one dimension", Shaw et al. and Music Transformer's
# pad-and-reshape), in NumPy.


def published_relative_to_absolute(logits):
    batch, heads, length, _ = logits.shape
    padded = np.concatenate([logits, np.zeros((batch, heads, length, 1))], axis=3)
    flat = padded.reshape(batch, heads, length * 2 * length)
    flat = np.concatenate([flat, np.zeros((batch, heads, length - 1))], axis=2)
    return flat.reshape(batch, heads, length + 1, 2 * length - 1)[:, :, :length, length - 1 :]


def published_relative_logits_1d(queries, table, transposition):
    batch, heads, height, width, _ = queries.shape
    logits = np.einsum("bhxyd,md->bhxym", queries, table)
    logits = published_relative_to_absolute(logits.reshape(batch, heads * height, width, 2 * width - 1))
    logits = logits.reshape(batch, heads, height, 1, width, width)
    logits = np.tile(logits, [1, 1, 1, height, 1, 1]).transpose(transposition)
    return logits.reshape(batch, heads, height * width, height * width)


def published_relative_logits(queries, height_table, width_table):
    """The logits for the row and for the column of keys, each as (B, heads, HW, HW)."""
    by_width = published_relative_logits_1d(queries, width_table, [0, 1, 2, 4, 3, 5])
    by_height = published_relative_logits_1d(queries.transpose(0, 1, 3, 2, 4), height_table, [0, 1, 4, 2, 5, 3])
    return by_height, by_width


def test_relative_logits_are_those_of_the_published_algorithm():
    queries, _, _ = head_maps()
    height_table, width_table = draw(2 * HEIGHT - 1, KEY_DIM, seed=4), draw(2 * WIDTH - 1, KEY_DIM, seed=5)

    by_row, by_column = attention.relative_logits(
        queries,
        attention.relative_embeddings(ops.convert_to_tensor(height_table), HEIGHT),
        attention.relative_embeddings(ops.convert_to_tensor(width_table), WIDTH),
    )

    assert by_row.shape == (BATCH, HEADS, HEIGHT, WIDTH, HEIGHT)
    assert by_column.shape == (BATCH, HEADS, HEIGHT, WIDTH, WIDTH)
    everywhere = (BATCH, HEADS, HEIGHT, WIDTH, HEIGHT, WIDTH)
    flat = (BATCH, HEADS, HEIGHT * WIDTH, HEIGHT * WIDTH)
    expected_by_height, expected_by_width = published_relative_logits(queries, height_table, width_table)
    by_height = np.broadcast_to(to_numpy(by_row)[..., :, None], everywhere).reshape(flat)
    by_width = np.broadcast_to(to_numpy(by_column)[..., None, :], everywhere).reshape(flat)
    np.testing.assert_allclose(by_height, expected_by_height, atol=1e-5)
    np.testing.assert_allclose(by_width, expected_by_width, atol=1e-5)


def test_relative_attention_is_that_of_the_published_algorithm():
    queries, keys, values = head_maps()
    height_table, width_table = draw(2 * HEIGHT - 1, KEY_DIM, seed=4), draw(2 * WIDTH - 1, KEY_DIM, seed=5)

    outputs, probabilities = attention.attention_2d(
        *map(ops.convert_to_tensor, (queries, keys, values)),
        attention.relative_embeddings(ops.convert_to_tensor(height_table), HEIGHT),
        attention.relative_embeddings(ops.convert_to_tensor(width_table), WIDTH),
        return_scores=True,
    )

    scaled = queries * KEY_DIM**-0.5
    flat_queries, flat_keys, flat_values = (
        tensor.reshape(BATCH, HEADS, HEIGHT * WIDTH, -1) for tensor in (scaled, keys, values)
    )
    logits = flat_queries @ flat_keys.transpose(0, 1, 3, 2)
    expected_probabilities = softmax(logits + sum(published_relative_logits(scaled, height_table, width_table)))
    expected = (expected_probabilities @ flat_values).reshape(BATCH, HEADS, HEIGHT, WIDTH, VALUE_DIM)
    np.testing.assert_allclose(to_numpy(probabilities), expected_probabilities, atol=1e-5)
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=1e-5)


def test_split_heads_gives_each_head_its_run_of_channels():
    inputs = draw(BATCH, HEIGHT, WIDTH, HEADS * KEY_DIM)
    heads = to_numpy(attention.split_heads(inputs, HEADS))
    for head in range(HEADS):
        np.testing.assert_array_equal(heads[:, head], inputs[..., head * KEY_DIM : (head + 1) * KEY_DIM])


def test_merge_heads_concatenates_the_heads_pixel_by_pixel():
    inputs = draw(BATCH, HEADS, HEIGHT, WIDTH, VALUE_DIM)
    expected = np.concatenate([inputs[:, head] for head in range(HEADS)], axis=-1)
    np.testing.assert_array_equal(to_numpy(attention.merge_heads(inputs)), expected)


def test_identity_attention_keeps_every_pixel_in_place():
    one_hot = np.eye(HEIGHT * WIDTH, dtype="float32").reshape(HEIGHT, WIDTH, HEIGHT * WIDTH)
    self_only = 100 * np.broadcast_to(one_hot, (BATCH, HEADS, HEIGHT, WIDTH, HEIGHT * WIDTH))
    projected = draw(BATCH, HEIGHT, WIDTH, HEADS * VALUE_DIM)
    values = attention.split_heads(ops.convert_to_tensor(projected), HEADS)

    outputs, probabilities = attention.attention_2d(
        ops.convert_to_tensor(self_only), ops.convert_to_tensor(self_only), values, return_scores=True
    )

    # The softmax of some processors ends one rounding below 1; what is zero is exactly zero.
    one_rounding = np.finfo("float32").eps
    of_itself = np.broadcast_to(np.eye(HEIGHT * WIDTH), probabilities.shape)
    np.testing.assert_allclose(to_numpy(probabilities), of_itself, rtol=one_rounding, atol=0)
    np.testing.assert_allclose(to_numpy(attention.merge_heads(outputs)), projected, rtol=one_rounding, atol=0)
    # A reshape without a transposition gives another result, so that the line above detects it.
    assert not np.allclose(to_numpy(outputs).reshape(projected.shape), projected)


def test_the_embedding_of_query_and_key_is_the_row_of_their_offset():
    table = draw(2 * HEIGHT - 1, KEY_DIM)
    embeddings = to_numpy(attention.relative_embeddings(ops.convert_to_tensor(table), HEIGHT))
    for query in range(HEIGHT):
        # Row 0 is for the offset -(HEIGHT - 1): the last query sees the rows from 0, the first those from HEIGHT - 1.
        np.testing.assert_array_equal(embeddings[query], table[HEIGHT - 1 - query : 2 * HEIGHT - 1 - query])


def test_embeddings_do_not_change_when_query_and_key_shift_together():
    embeddings = to_numpy(attention.relative_embeddings(ops.convert_to_tensor(draw(2 * WIDTH - 1, KEY_DIM)), WIDTH))
    np.testing.assert_array_equal(embeddings[1:, 1:], embeddings[:-1, :-1])


def test_relative_logits_of_one_query_everywhere_depend_on_the_offset_alone():
    query = np.broadcast_to(draw(KEY_DIM), (1, 1, HEIGHT, WIDTH, KEY_DIM))
    by_row, by_column = attention.relative_logits(
        ops.convert_to_tensor(query),
        attention.relative_embeddings(ops.convert_to_tensor(draw(2 * HEIGHT - 1, KEY_DIM, seed=4)), HEIGHT),
        attention.relative_embeddings(ops.convert_to_tensor(draw(2 * WIDTH - 1, KEY_DIM, seed=5)), WIDTH),
    )
    by_row, by_column = to_numpy(by_row)[0, 0], to_numpy(by_column)[0, 0]
    np.testing.assert_allclose(by_row[1:, :, 1:], by_row[:-1, :, :-1], atol=1e-6)
    np.testing.assert_allclose(by_column[:, 1:, 1:], by_column[:, :-1, :-1], atol=1e-6)
    # It also depends on the offset along one axis only.
    np.testing.assert_allclose(by_row, by_row[:, :1] * np.ones((1, WIDTH, 1)), atol=1e-6)
    np.testing.assert_allclose(by_column, by_column[:1] * np.ones((HEIGHT, 1, 1)), atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_smaller_map_uses_the_centre_of_the_table(size):
    table = draw(2 * 5 - 1, KEY_DIM)
    centre = table[5 - size : 5 + size - 1]
    smaller = attention.relative_embeddings(ops.convert_to_tensor(table), size)
    expected = attention.relative_embeddings(ops.convert_to_tensor(centre), size)
    assert len(centre) == 2 * size - 1
    np.testing.assert_array_equal(to_numpy(smaller), to_numpy(expected))


@pytest.mark.parametrize("size", [4, 7])
def test_a_larger_map_repeats_the_furthest_embeddings(size):
    table = draw(2 * 3 - 1, KEY_DIM)
    repeated = np.concatenate([table[:1]] * (size - 3) + [table] + [table[-1:]] * (size - 3))
    larger = attention.relative_embeddings(ops.convert_to_tensor(table), size)
    expected = attention.relative_embeddings(ops.convert_to_tensor(repeated), size)
    assert len(repeated) == 2 * size - 1
    np.testing.assert_array_equal(to_numpy(larger), to_numpy(expected))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_logits_beyond_float16_still_give_the_right_probabilities(dtype):
    """A common 512 * 512 / 2 in every logit cancels in the softmax, if it is formed in float32 at all."""
    generator = np.random.default_rng(0)
    shape = (BATCH, HEADS, HEIGHT, WIDTH, 3)
    small_queries, small_keys = generator.integers(-2, 3, shape), generator.integers(-2, 3, shape)
    common = np.full((*shape[:-1], 1), 512)
    queries, keys = np.concatenate([common, small_queries], -1), np.concatenate([common, small_keys], -1)
    values = ops.ones((*shape[:-1], VALUE_DIM), dtype=dtype)

    outputs, probabilities = attention.attention_2d(
        ops.cast(queries, dtype), ops.cast(keys, dtype), values, return_scores=True
    )

    positions = HEIGHT * WIDTH
    flat_queries = small_queries.reshape(BATCH, HEADS, positions, 3)
    logits = flat_queries @ small_keys.reshape(BATCH, HEADS, positions, 3).transpose(0, 1, 3, 2) / 2
    assert logits.max() - logits.min() > 4
    np.testing.assert_allclose(to_numpy(probabilities), softmax(logits), atol=1e-5)
    assert to_numpy(probabilities).dtype == "float32"
    assert outputs.dtype == values.dtype


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras computes in float32 there")
def test_float64_is_kept():
    queries, keys, values = (ops.convert_to_tensor(tensor, dtype="float64") for tensor in head_maps())
    outputs, probabilities = attention.attention_2d(queries, keys, values, return_scores=True)
    assert to_numpy(outputs).dtype == to_numpy(probabilities).dtype == "float64"
    np.testing.assert_allclose(to_numpy(probabilities).sum(axis=-1), 1, rtol=1e-14)
