"""Tables of relative positions and what each position encoding means for attention."""

import keras
import numpy as np
import pytest
from helpers.layers import POSITION_ENCODINGS, feature_map, outputs_of, to_numpy, with_random_weights

from aa_keras.layers import (
    CoordinateChannels2D,
    RelativePositionEmbedding2D,
    SelfAttention2D,
    SinusoidalPositionEncoding2D,
)

pytestmark = pytest.mark.backend


def test_tables_have_a_row_for_each_offset_of_the_size_they_are_built_for():
    layer = RelativePositionEmbedding2D(dim=4)
    layer.build((None, 5, 8, 3))
    assert {weight.name: weight.shape for weight in layer.weights} == {
        "height_table": (9, 4),
        "width_table": (15, 4),
    }


@pytest.mark.parametrize(("max_size", "rows"), [((6, 3), (11, 5)), (4, (7, 7)), ([6, 3], (11, 5))])
def test_max_size_decides_the_tables_whatever_the_input(max_size, rows):
    for input_shape in [(None, 5, 8, 3), (None, None, None, 3), (None, 5, None, 3)]:
        layer = RelativePositionEmbedding2D(dim=4, max_size=max_size)
        layer.build(input_shape)
        assert (layer.height_table.shape[0], layer.width_table.shape[0]) == rows


def test_tables_start_normal_with_a_deviation_of_dim_to_the_minus_half():
    layer = RelativePositionEmbedding2D(dim=16)
    layer.build((None, 100, 120, 3))
    for table in to_numpy(layer.weights):
        assert np.abs(table.mean()) < 0.02
        np.testing.assert_allclose(table.std(), 0.25, rtol=0.05)
        # Not a truncated normal: about 4.6 % lie beyond two deviations.
        assert 0.03 < np.mean(np.abs(table) > 0.5) < 0.06


def test_height_and_width_tables_start_from_different_values():
    layer = RelativePositionEmbedding2D(dim=4)
    layer.build((None, 5, 5, 3))
    assert not np.allclose(to_numpy(layer.height_table), to_numpy(layer.width_table))


def test_the_layer_lays_each_table_out_by_query_and_key():
    layer = RelativePositionEmbedding2D(dim=2)
    layer.build((None, 2, 3, 1))
    height_table = np.array([[-1, 10], [0, 11], [1, 12]])
    width_table = np.array([[-2, 20], [-1, 21], [0, 22], [1, 23], [2, 24]])
    layer.set_weights([height_table, width_table])

    by_height, by_width = to_numpy(layer(feature_map(1, 2, 3, 1)))

    # The first number of a row is its offset, which is the key's position less the query's.
    np.testing.assert_array_equal(by_height[..., 0], [[0, 1], [-1, 0]])
    np.testing.assert_array_equal(by_width[..., 0], [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]])
    np.testing.assert_array_equal(by_height[..., 1], by_height[..., 0] + 11)
    np.testing.assert_array_equal(by_width[..., 1], by_width[..., 0] + 22)


def relative_attention_with_tables(height_table, width_table, like):
    """Attention with the kernels of the layer `like` and with other tables."""
    height, width = len(height_table) // 2 + 1, len(width_table) // 2 + 1
    layer = SelfAttention2D(num_heads=2, key_dim=3)
    layer.build((None, height, width, 4))
    layer.set_weights([height_table, width_table, *like.get_weights()[2:]])
    return layer


def test_a_smaller_input_uses_the_centre_of_the_tables():
    layer = with_random_weights(SelfAttention2D(num_heads=2, key_dim=3), (None, 5, 7, 4))
    height_table, width_table = layer.get_weights()[:2]
    inputs = feature_map(2, 3, 4, 4)
    # 9 rows for 5 pixels, of which 3 pixels need the middle 5; 13 rows for 7, of which 4 need the middle 7.
    expected = relative_attention_with_tables(height_table[2:7], width_table[3:10], like=layer)(inputs)
    np.testing.assert_allclose(outputs_of(layer, inputs), to_numpy(expected), atol=1e-6)


def test_a_larger_input_clips_offsets_to_the_furthest_learned():
    layer = with_random_weights(SelfAttention2D(num_heads=2, key_dim=3), (None, 3, 4, 4))
    height_table, width_table = layer.get_weights()[:2]
    inputs = feature_map(2, 5, 7, 4)
    expected = relative_attention_with_tables(
        np.concatenate([height_table[:1], height_table[:1], height_table, height_table[-1:], height_table[-1:]]),
        np.concatenate([width_table[:1]] * 3 + [width_table] + [width_table[-1:]] * 3),
        like=layer,
    )(inputs)
    np.testing.assert_allclose(outputs_of(layer, inputs), to_numpy(expected), atol=1e-6)


def test_on_a_blank_map_attention_depends_on_the_offset_alone():
    height, width, key_dim = 4, 5, 3
    layer = with_random_weights(SelfAttention2D(1, key_dim), (None, height, width, 2))
    inputs = np.broadcast_to(feature_map(2), (1, height, width, 2))

    _, scores = layer(inputs, return_attention_scores=True)

    logits = np.log(to_numpy(scores)).reshape(height, width, height, width)
    height_table, width_table, kernel, bias, *_ = layer.get_weights()
    query = (inputs[0, 0, 0] @ kernel[0, 0] + bias)[:key_dim] / np.sqrt(key_dim)
    for y, x, y_key, x_key in np.ndindex(height, width, height, width):
        relative_to_itself = logits[y, x, y_key, x_key] - logits[y, x, y, x]
        row, column = height - 1 + y_key - y, width - 1 + x_key - x
        of_the_offset = height_table[row] - height_table[height - 1] + width_table[column] - width_table[width - 1]
        np.testing.assert_allclose(relative_to_itself, query @ of_the_offset, atol=1e-5)


@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
def test_attention_is_equivariant_to_permutations_exactly_where_it_knows_no_positions(position_encoding):
    height, width = 3, 4
    inputs = feature_map(2, height, width, 8)
    layer = SelfAttention2D(num_heads=2, key_dim=4, position_encoding=position_encoding)
    with_random_weights(layer, inputs.shape)
    order = np.random.default_rng(3).permutation(height * width)

    def permuted(maps):
        return maps.reshape(2, height * width, -1)[:, order].reshape(maps.shape)

    of_permuted, permuted_of = to_numpy(layer(permuted(inputs))), permuted(outputs_of(layer, inputs))
    assert np.allclose(of_permuted, permuted_of, atol=1e-5) == (position_encoding is None)


def test_absolute_encodings_separate_two_equal_pixels_and_leave_the_channels_readable():
    inputs = np.ones((1, 4, 6, 8), "float32")
    for layer in [SinusoidalPositionEncoding2D(), CoordinateChannels2D()]:
        pixels = outputs_of(layer, inputs).reshape(24, -1)
        assert len(np.unique(pixels.round(4), axis=0)) == 24
    np.testing.assert_array_equal(to_numpy(CoordinateChannels2D()(inputs))[..., :8], inputs)


@pytest.mark.parametrize(("dtype", "rounding"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_positions_are_computed_in_float32_before_they_are_rounded(dtype, rounding):
    """Position 257 does not exist in bfloat16: its sine must not be that of 256."""
    inputs = np.zeros((1, 300, 1, 4), "float32")
    encoded = to_numpy(keras.ops.cast(SinusoidalPositionEncoding2D(dtype=dtype)(inputs), "float32"))
    np.testing.assert_allclose(encoded[0, :, 0, 0], np.sin(np.arange(300)), atol=rounding)
