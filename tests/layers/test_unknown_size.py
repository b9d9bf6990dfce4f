"""Height and width that are not known before the call."""

import functools

import keras
import numpy as np
import pytest
from helpers.layers import POSITION_ENCODINGS, feature_map, outputs_of, to_numpy, with_random_weights

from aa_keras.attention import blockwise
from aa_keras.layers import (
    AttentionAugmentedConv2D,
    CoordinateChannels2D,
    RelativePositionEmbedding2D,
    SelfAttention2D,
    SinusoidalPositionEncoding2D,
)

pytestmark = pytest.mark.backend

SIZES = [(4, 7), (9, 5)]


def attention(position_encoding="relative"):
    return SelfAttention2D(2, 3, position_encoding=position_encoding, max_size=(6, 7))


def augmented(position_encoding="relative", strides=1, attention_pooling=1):
    return AttentionAugmentedConv2D(
        filters=8,
        kernel_size=3,
        strides=strides,
        num_heads=2,
        value_ratio=0.5,
        position_encoding=position_encoding,
        attention_pooling=attention_pooling,
        max_size=(6, 7),
    )


def pooled(position_encoding="relative"):
    return augmented(position_encoding, strides=2, attention_pooling=2)


LAYERS = {
    "relative embedding": lambda: RelativePositionEmbedding2D(3, max_size=(6, 7)),
    "sinusoidal encoding": SinusoidalPositionEncoding2D,
    "coordinate channels": CoordinateChannels2D,
    **{
        f"{make.__name__} {position_encoding}": functools.partial(make, position_encoding)
        for make in (attention, pooled)
        for position_encoding in POSITION_ENCODINGS
    },
    "augmented": augmented,
}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs tf.function")
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_in_a_tf_function_of_unknown_batch_height_and_width(make):
    tf = pytest.importorskip("tensorflow")
    layer = with_random_weights(make(), (None, None, None, 5))
    function = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 5), tf.float32)])
    for batch, size in enumerate(SIZES, start=1):
        inputs = feature_map(batch, *size, 5)
        for of_graph, eager in zip(tf.nest.flatten(function(inputs)), tf.nest.flatten(layer(inputs)), strict=True):
            np.testing.assert_allclose(to_numpy(of_graph), to_numpy(eager), atol=1e-5)
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("make", [augmented, pooled])
def test_in_a_functional_model(make):
    layer = make()
    inputs = keras.Input((None, None, 5))
    outputs = layer(inputs)
    assert outputs.shape == (None, None, None, 8)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(outputs))
    for size in SIZES:
        maps = feature_map(2, *size, 5)
        expected = outputs_of(layer, maps).mean(axis=(1, 2))
        np.testing.assert_allclose(model.predict(maps, verbose=0), expected, atol=1e-5)


def test_in_a_sequential_model_that_is_built_by_its_first_input():
    model = keras.Sequential([AttentionAugmentedConv2D(8, 3, strides=2, num_heads=2), SelfAttention2D(2, 3)])
    maps = feature_map(2, 7, 6, 5)
    outputs = outputs_of(model, maps)
    assert outputs.shape == (2, 4, 3, 6)
    np.testing.assert_allclose(outputs, to_numpy(model.layers[1](model.layers[0](maps))), atol=1e-6)
    assert [len(table) for table in model.layers[1].relative_embedding.get_weights()] == [7, 5]


def test_one_unknown_side_is_enough_to_need_max_size_and_max_size_is_enough():
    for size in [(None, 7), (6, None)]:
        layer = SelfAttention2D(2, 3, max_size=(6, 7))
        assert layer(keras.Input((*size, 5))).shape == (None, *size, 6)
        with pytest.raises(ValueError, match="max_size"):
            SelfAttention2D(2, 3)(keras.Input((*size, 5)))


@pytest.mark.parametrize("position_encoding", ["sinusoidal", "coordinates", None])
def test_absolute_positions_need_no_max_size(position_encoding):
    layer = AttentionAugmentedConv2D(8, 3, num_heads=2, position_encoding=position_encoding)
    assert layer(keras.Input((None, None, 5))).shape == (None, None, None, 8)


@pytest.mark.parametrize("size", [(None, None), (None, 9), (9, None)])
def test_compute_output_shape_leaves_unknown_sides_unknown(size):
    halved = tuple(None if side is None else 5 for side in size)
    assert augmented(strides=2).compute_output_shape((None, *size, 5)) == (None, *halved, 8)
    assert SelfAttention2D(2, 3).compute_output_shape((None, *size, 5)) == (None, *size, 6)
    assert CoordinateChannels2D().compute_output_shape((None, *size, 5)) == (None, *size, 7)
    height, width = size
    assert RelativePositionEmbedding2D(3).compute_output_shape((None, *size, 5)) == (
        (height, height, 3),
        (width, width, 3),
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModels are TensorFlow's")
@pytest.mark.parametrize("size", [(7, 6), (None, None)])
def test_blocks_of_queries_in_a_saved_model_of_any_batch(size, tmp_path, monkeypatch):
    tf = pytest.importorskip("tensorflow")
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 4 * 2 * 42 * 5)  # 5 of the 42 queries, and so 9 blocks
    image = keras.Input((*size, 5))
    model = keras.Model(image, SelfAttention2D(2, 3, max_size=(7, 6), implementation="blockwise")(image))
    model.export(tmp_path / "saved_model", verbose=False)
    dense = SelfAttention2D.from_config({**model.layers[1].get_config(), "implementation": "dense"})
    dense.build((None, 7, 6, 5))
    dense.set_weights(model.layers[1].get_weights())
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    for batch in (1, 3):
        for height, width in ((7, 6), *([(3, 4), (8, 9)] if size[0] is None else [])):
            maps = feature_map(batch, height, width, 5)
            np.testing.assert_allclose(loaded.serve(maps), to_numpy(dense(maps)), atol=1e-5)
