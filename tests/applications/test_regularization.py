"""Stochastic depth and dropout of builders, which do not change what a network is without them."""

import keras
import numpy as np
import pytest

from aa_keras.applications import AAResNet, AAWideResNet, BoTNet

NETWORKS = {
    "resnet": lambda **arguments: AAResNet(18, input_shape=(32, 32, 3), classes=5, width=8, num_heads=2, **arguments),
    "wide_resnet": lambda **arguments: AAWideResNet(16, 1, classes=5, num_heads=2, attention_stages=(3,), **arguments),
    "botnet": lambda **arguments: BoTNet(("c", "cc", "ca", "a"), input_shape=(64, 64, 3), classes=5, **arguments),
}
BLOCKS = {"resnet": 8, "wide_resnet": 6, "botnet": 6}
OPTIONS = [
    *(("resnet", {"channel_attention": kind}) for kind in (None, "squeeze_excite", "gather_excite")),
    *(("resnet", {"padding": "symmetric", "attention_stages": ()}), ("botnet", {"padding": "symmetric"})),
    *(("botnet", {}), ("botnet", {"channel_attention": "squeeze_excite"})),
    *(
        ("wide_resnet", {"shortcut": shortcut, "channel_attention": kind})
        for shortcut in ("pad", "projection")
        for kind in (None, "squeeze_excite", "gather_excite")
    ),
]


@pytest.mark.parametrize("family", NETWORKS)
def test_rates_grow_linearly_over_the_blocks_and_zero_adds_nothing(family):
    build = NETWORKS[family]
    plain, regular = build(), build(drop_path_rate=0.3, dropout_rate=0.2)
    dropped = [layer for layer in regular.layers if isinstance(layer, keras.layers.Dropout)]
    *paths, top = dropped
    expected = [0.3 * block / (BLOCKS[family] - 1) for block in range(1, BLOCKS[family])]
    np.testing.assert_allclose([layer.rate for layer in paths], expected)
    assert (top.name, top.rate) == ("top_dropout", 0.2)
    names = {layer.name for layer in regular.layers if layer not in dropped}
    assert {name for name in names if "input" not in name} == {layer.name for layer in plain.layers[1:]}
    assert regular.count_params() == plain.count_params()
    # The residual branch alone: its input still reaches the next block.
    for layer in paths:
        (consumer,) = {node.operation for node in layer._outbound_nodes}
        assert isinstance(consumer, keras.layers.Add)


def in_order(model):
    """The layers with weights of each class, in the order in which files count them."""
    found = {}
    for layer in model.layers:
        if layer.weights:
            found.setdefault(type(layer).__name__, []).append(layer.name)
    return found


@pytest.mark.parametrize(("family", "options"), OPTIONS)
def test_files_count_the_layers_in_the_same_order_with_and_without_it(family, options):
    plain, regular = (NETWORKS[family](drop_path_rate=rate, dropout_rate=rate, **options) for rate in (0.0, 0.3))
    assert in_order(regular) == in_order(plain)


@pytest.mark.parametrize("family", NETWORKS)
def test_weights_fit_with_and_without_it(family, tmp_path):
    build = NETWORKS[family]
    plain = build()
    images = np.random.default_rng(0).normal(size=(2, *plain.input_shape[1:])).astype("float32")
    expected = plain.predict(images, verbose=0)
    plain.save(tmp_path / "plain.keras")
    regular = build(drop_path_rate=0.3, dropout_rate=0.2, weights=tmp_path / "plain.keras")
    np.testing.assert_allclose(regular.predict(images, verbose=0), expected, atol=1e-6)
    regular.save(tmp_path / "regular.keras")
    again = build(weights=tmp_path / "regular.keras")
    np.testing.assert_allclose(again.predict(images, verbose=0), expected, atol=1e-6)


@pytest.mark.backend
def test_a_block_is_left_out_for_whole_images_and_scaled_up_for_the_others():
    model = NETWORKS["wide_resnet"](drop_path_rate=0.5)
    layer = model.get_layer("stage3_block2_drop_path")
    maps = keras.ops.ones((400, 3, 2, 4))
    kept = keras.ops.convert_to_numpy(layer(maps, training=True))
    of_image = kept[:, 0, 0, 0]
    np.testing.assert_array_equal(kept, np.broadcast_to(of_image[:, None, None, None], kept.shape))
    assert set(of_image.tolist()) == {0.0, 2.0}
    assert 0.35 < np.mean(of_image == 0) < 0.65
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(maps)), 1)


@pytest.mark.parametrize("argument", ["drop_path_rate", "dropout_rate"])
@pytest.mark.parametrize("value", [-0.1, 1.0, "0.5", None])
def test_rates_must_be_from_zero_to_below_one(argument, value):
    for build in NETWORKS.values():
        with pytest.raises(ValueError, match=rf"`{argument}` must be a number of at least 0 and below 1\. Received"):
            build(**{argument: value})
