"""`augment`: other networks with attention in their convolutions, and the weights that they keep."""

import re

import keras
import numpy as np
import pytest
from keras import layers

import aa_keras
from aa_keras.applications import AAResNet, ResNet
from aa_keras.layers import AttentionAugmentedConv2D


def images(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def augmented_layers(model):
    found = {}
    for layer in model._flatten_layers():
        if isinstance(layer, AttentionAugmentedConv2D):
            found[layer.name] = layer
    return found


def small_network(**convolution):
    return keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="first"),
            layers.Conv2D(16, **{"kernel_size": 3, "strides": 2, "padding": "same", "name": "second", **convolution}),
            layers.Conv2D(8, 1, name="pointwise"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name="dense"),
        ]
    )


def test_weights_of_what_stays_are_carried_over_and_the_model_given_is_not_changed():
    model = small_network()
    before = [weight.copy() for weight in model.get_weights()]
    augmented = aa_keras.augment(model, num_heads=2, key_ratio=0.5, value_ratio=0.25)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [layer.name for layer in augmented.layers] == [layer.name for layer in model.layers]
    assert set(augmented_layers(augmented)) == {"first", "second"}
    for name in ("pointwise", "dense"):
        for old, new in zip(model.get_layer(name).weights, augmented.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(old, new)
    for name, filters in (("first", 8), ("second", 16)):
        layer = augmented.get_layer(name)
        assert layer.value_depth == filters // 4
        for old, new in zip(model.get_layer(name).weights, layer.convolution.weights, strict=True):
            np.testing.assert_array_equal(np.asarray(old)[..., : filters - filters // 4], new)
    assert augmented.get_layer("first").activation is keras.activations.relu
    assert augmented.get_layer("second").strides == (2, 2)
    # The channels of the convolution are unchanged.
    first = keras.Model(model.inputs, model.get_layer("first").output)
    of_augmented = keras.Model(augmented.inputs, augmented.get_layer("first").output)
    inputs = images(2, 12, 10, 3)
    np.testing.assert_allclose(of_augmented(inputs)[..., :6], first(inputs)[..., :6], rtol=0, atol=1e-6)


def test_select_chooses_and_may_bring_arguments_of_a_layer():
    def select(layer):
        return {"first": {"num_heads": 2, "attention_pooling": 2}, "pointwise": True}.get(layer.name)

    found = augmented_layers(aa_keras.augment(small_network(), select, num_heads=4, position_encoding="coordinates"))
    assert {name: (layer.num_heads, layer.attention_pooling) for name, layer in found.items()} == {
        "first": (2, 2),
        "pointwise": (4, 1),
    }
    assert {layer.position_encoding for layer in found.values()} == {"coordinates"}


def test_it_trains_and_reloads(tmp_path):
    model = aa_keras.augment(small_network(), num_heads=4)
    model.compile("sgd", "mse")
    model.fit(images(4, 12, 10, 3), np.zeros((4, 5)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = images(2, 12, 10, 3)
    np.testing.assert_allclose(loaded(inputs), model(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("fully_attentional", [False, True])
def test_a_resnet_augmented_is_an_aa_resnet(fully_attentional):
    """The same layers with the same weights, and so the same outputs."""
    ratios = {"key_ratio": 1.0, "value_ratio": 1.0} if fully_attentional else {}

    def select(layer):
        if not layer.name.endswith("conv2") or layer.name.startswith("stage1"):
            return False
        return {"attention_pooling": 2 if layer.name.startswith("stage2") else 1}

    arguments = {"depth": 50, "width": 16, "blocks": (1, 2, 1, 1), "input_shape": (64, 96, 3), "classes": 3}
    built = AAResNet(**arguments, **ratios)
    converted = aa_keras.augment(ResNet(**arguments), select, **ratios)
    assert [layer.name for layer in converted.layers][1:] == [layer.name for layer in built.layers][1:]
    assert set(augmented_layers(converted)) == set(augmented_layers(built))
    assert [weight.shape for weight in converted.weights] == [weight.shape for weight in built.weights]
    built.set_weights(converted.get_weights())
    inputs = images(2, 64, 96, 3)
    np.testing.assert_allclose(converted(inputs), built(inputs), rtol=0, atol=1e-6)
    assert converted.count_params() == built.count_params()


def test_mobilenet_v2():
    model = keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, weights=None, classes=4)

    def select(layer):
        return layer.name.endswith("_expand") and layer.output.shape[1] <= 12

    augmented = aa_keras.augment(model, select, num_heads=4, key_ratio=0.1, value_ratio=0.05)
    assert len(augmented_layers(augmented)) == 13
    converted = set(augmented_layers(augmented))
    for name in {layer.name for layer in model.layers} - converted - {f"{name}_BN" for name in converted}:
        for old, new in zip(model.get_layer(name).weights, augmented.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(old, new)
    outputs = keras.ops.convert_to_numpy(augmented(images(2, 96, 96, 3)))
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)


def test_convnext_tiny():
    """Its convolutions of windows are depthwise, of stems, or of patches without padding: "valid" that is "same"."""
    model = keras.applications.ConvNeXtTiny(input_shape=(64, 64, 3), weights=None, classes=4)
    augmented = aa_keras.augment(model, lambda layer: layer.kernel_size == (2, 2), num_heads=8)
    assert len(augmented_layers(augmented)) == 3
    assert augmented.output_shape == model.output_shape
    outputs = keras.ops.convert_to_numpy(augmented(images(2, 64, 64, 3)))
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)


def test_padding_valid_that_tiles_the_map_is_the_same():
    model = small_network(kernel_size=2, strides=2, padding="valid")
    augmented = aa_keras.augment(model, lambda layer: layer.name == "second", value_ratio=0.5, num_heads=2)
    old = keras.Model(model.inputs, model.get_layer("second").output)
    new = keras.Model(augmented.inputs, augmented.get_layer("second").output)
    inputs = images(2, 12, 10, 3)
    np.testing.assert_allclose(new(inputs)[..., :8], old(inputs)[..., :8], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("convolution", "reason"),
    [({"groups": 4}, "it has 4 groups"), ({"padding": "valid"}, 'its padding, "valid", is not "same"')],
)
def test_a_layer_that_cannot_be_augmented_is_named(convolution, reason):
    with pytest.raises(ValueError, match=f"'second', which `select` chooses, cannot be augmented: {reason}"):
        aa_keras.augment(small_network(**convolution), lambda layer: layer.name == "second")
    # Without a choice of the caller's it is left alone.
    assert set(augmented_layers(aa_keras.augment(small_network(**convolution)))) == {"first"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"num_heads": 64}, "num_heads"), ({"position_encoding": "x"}, "position_encoding"), ({"heads": 2}, "heads")],
)
def test_options_that_a_layer_does_not_take_are_reported_with_its_name(options, reason):
    with pytest.raises(ValueError, match=rf"(?s)'second', which `select` chooses, cannot be augmented with .*{reason}"):
        aa_keras.augment(small_network(), lambda layer: options if layer.name == "second" else False)


def test_nothing_to_augment_is_an_error():
    with pytest.raises(ValueError, match="`select` must choose at least one Conv2D"):
        aa_keras.augment(small_network(), lambda layer: False)
    large = keras.Sequential([keras.Input((64, 64, 3)), layers.Conv2D(8, 3, padding="same")])
    with pytest.raises(ValueError, match="28x28"):
        aa_keras.augment(large)


def any_size(*rest):
    """A network of images of unknown size, with a nested network."""
    inside = keras.Input((None, None, 4))
    inner = keras.Model(inside, layers.Conv2D(4, 3, padding="same", name="deep")(inside), name="inner")
    image = keras.Input((None, None, 3))
    maps = layers.Conv2D(4, 3, strides=2, padding="same", name="first")(image)
    return keras.Model(image, layers.GlobalAveragePooling2D()(inner(layers.MaxPooling2D()(maps))))


def test_images_of_unknown_size_need_a_largest_one():
    with pytest.raises(ValueError, match=r"^`max_size` must be .*unknown size.*Received: max_size=None, and 'first'"):
        aa_keras.augment(any_size(), lambda layer: True, num_heads=2)
    model = any_size()
    before = [len(layer._inbound_nodes) for layer in model.layers]
    augmented = aa_keras.augment(model, num_heads=2, max_size=(36, 24))
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
    assert {name: layer.max_size for name, layer in augmented_layers(augmented).items()} == {
        "first": (36, 24),
        "deep": (9, 6),
    }
    assert augmented(images(1, 36, 24, 3)).shape == augmented(images(1, 44, 20, 3)).shape == (1, 4)
    # Where the first maps are too large to be chosen by themselves, only the smaller ones are.
    assert set(augmented_layers(aa_keras.augment(any_size(), num_heads=2, max_size=60))) == {"deep"}
    assert set(augmented_layers(aa_keras.augment(any_size(), ["first"], num_heads=2, position_encoding=None)))


def test_a_largest_size_is_for_images_of_unknown_size():
    with pytest.raises(ValueError, match=r"`max_size` is for .*Received: max_size=32, .*\(None, 12, 10, 3\)"):
        aa_keras.augment(small_network(), max_size=32)
    with pytest.raises(ValueError, match=r"`max_size` must be a positive integer .*Received: max_size='32'"):
        aa_keras.augment(any_size(), max_size="32")


def test_select_may_be_names():
    assert set(augmented_layers(aa_keras.augment(small_network(), ["second"]))) == {"second"}
    with pytest.raises(ValueError, match=r"`select` must have names.*'secand', which .* have\. Did you mean 'second'"):
        aa_keras.augment(small_network(), ["secand"])
    with pytest.raises(ValueError, match="'dense', which is a Dense"):
        aa_keras.augment(small_network(), ("dense",))
    for select in ("second", [2], 2):
        with pytest.raises(ValueError, match="`select` must be a function of a Conv2D, a list of names"):
            aa_keras.augment(small_network(), select)


def test_other_convolutions_are_never_offered():
    depthwise = layers.DepthwiseConv2D(3, padding="same", name="depthwise")
    model = keras.Sequential([keras.Input((8, 8, 16)), depthwise, layers.Conv2D(16, 1)])
    with pytest.raises(ValueError, match="Only a Conv2D can be augmented, and it also has 1 DepthwiseConv2D, which"):
        aa_keras.augment(model, lambda layer: "depthwise" in layer.name)


@pytest.mark.parametrize("kind", ["alone", "normalized", "unscaled", "shared", "later"])
def test_attention_starts_without_noise_and_learns(kind, caplog):
    """With a batch normalization right after it, by that; otherwise by its output projection."""
    image = keras.Input((6, 5, 3))
    starts = kind == "normalized"
    convolution = layers.Conv2D(8, 3, padding="same", name="first")
    maps = convolution(image)
    convolution.bias.assign([1, 1, 1, 1, 1, 1, 0.5, -0.5])
    after = {
        "alone": lambda: layers.ReLU()(maps),
        "normalized": lambda: layers.BatchNormalization()(maps),
        "unscaled": lambda: layers.BatchNormalization(scale=False)(maps),
        "shared": lambda: layers.Add()([layers.BatchNormalization()(maps), maps]),
        "later": lambda: layers.BatchNormalization()(layers.ReLU()(maps)),
    }
    model = keras.Model(image, after[kind]())
    augmented = aa_keras.augment(model, num_heads=2, value_ratio=0.25)
    layer = augmented.get_layer("first")
    of_attention = keras.Model(augmented.inputs, layer.output)(images(2, 6, 5, 3))[..., 6:]
    # The bias of the channels that were there, unless a ReLU would be flat with it.
    assert np.allclose(of_attention, np.broadcast_to([0.5, 0], of_attention.shape), atol=0.01) != starts
    if starts:
        np.testing.assert_array_equal(augmented(images(2, 6, 5, 3))[..., 6:], 0)
    way = "by the scale of batch normalization" if starts else "by a small projection"
    first = f"{model.name}: 1 convolutions are augmented. 25.0% of their channels are new, attention's, and start at 0"
    assert caplog.messages[-1] == f"{first}: 1 {way}"
    augmented.compile(keras.optimizers.SGD(0.1), "mse")
    before = layer.get_weights()
    augmented.fit(images(2, 6, 5, 3), images(2, 6, 5, 8, seed=2), epochs=3, verbose=0)
    if kind != "normalized":  # whose weights move after its scale
        weights = zip(before, layer.get_weights(), strict=True)
        # A batch normalization takes the bias away.
        assert not [old for old, new in weights if np.array_equal(old, new) and (old.ndim > 1 or kind != "unscaled")]


@pytest.mark.parametrize("activation", [layers.ReLU(), layers.ReLU(6.0), layers.Activation("silu"), layers.ELU()])
def test_the_next_layers_see_the_mean_of_the_replaced_channels(activation):
    """After the activation; and where it is not flat, so that attention can learn."""
    image = keras.Input((6, 5, 3))
    maps = layers.BatchNormalization(name="after")(layers.Conv2D(8, 3, padding="same", name="first")(image))
    model = keras.Model(image, activation(maps))
    normal = np.random.default_rng(0).normal(size=(100_000, 4)).astype("float32")
    offsets, scales = np.array([-1.5, -0.5, 0.5, 5.5], "float32"), np.array([1, 0.5, -2, 0.5], "float32")
    for name, values in (("gamma", scales), ("beta", offsets)):
        getattr(model.get_layer("after"), name).assign(np.concatenate([np.ones(4, "float32"), values]))
    augmented = aa_keras.augment(model, num_heads=2, value_ratio=0.5)
    seen = np.asarray(augmented(images(2, 6, 5, 3)))[..., 4:]
    means = np.asarray(activation(offsets + scales * normal)).mean(axis=0)
    np.testing.assert_allclose(seen, np.broadcast_to(means, seen.shape), atol=0.04)
    beta = np.array(augmented.get_layer("after").beta)[4:]
    rises = np.asarray(activation(beta + 1e-3)) - np.asarray(activation(beta - 1e-3))
    assert (rises > 1e-4).all()


@pytest.mark.parametrize("model", [None, "resnet50", layers.Conv2D(8, 3)])
def test_other_kinds_of_models_are_refused(model):
    with pytest.raises(ValueError, match="`model` must be a functional or Sequential Keras model"):
        aa_keras.augment(model)


def test_a_subclassed_model_is_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="`model` must be a functional or Sequential Keras model"):
        aa_keras.augment(Subclassed())


@pytest.mark.parametrize(
    "options",
    [
        *({"num_heads": value} for value in ("8", True, 0)),
        *({"key_ratio": value} for value in (1e308, float("nan"), "0.2")),
        {"value_ratio": 2},
        {"attention_pooling": 2**31 - 1},
        {"position_encoding": "learned"},
        {"implementation": "flash"},
    ],
)
def test_an_option_that_no_layer_takes_is_named_and_not_select(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"^`{name}` must.*Received: {name}={re.escape(repr(value))}"):
        aa_keras.augment(small_network(), **options)


def test_more_heads_than_filters_are_named():
    with pytest.raises(ValueError, match="num_heads=17"):
        aa_keras.augment(small_network(), num_heads=17)


@pytest.mark.parametrize("nested", [False, True])
def test_what_is_new_in_a_frozen_model_can_be_trained(nested, tmp_path):
    backbone = small_network()
    backbone.trainable = False
    model = keras.Sequential([keras.Input((12, 10, 3)), backbone, layers.Dense(2)]) if nested else backbone
    augmented = aa_keras.augment(model, lambda layer: layer.name == "second")
    augmented.save(tmp_path / "augmented.keras")
    for copy in (augmented, keras.models.load_model(tmp_path / "augmented.keras")):
        (layer,) = augmented_layers(copy).values()
        head = copy.layers[-1].trainable_weights if nested else []
        assert layer.trainable_weights
        assert [weight.path for weight in copy.trainable_weights] == [
            weight.path for weight in [*layer.trainable_weights, *head]
        ]
    assert backbone.trainable_weights == []


@pytest.mark.parametrize("kind", ["functional", "sequential", "nested"])
def test_a_batch_normalization_after_it_lets_attention_begin_with_nothing(kind):
    """Attention starts with the mean of the channels that it replaces; a second conversion keeps the first one."""
    generator = np.random.default_rng(0)
    block = [
        layers.Conv2D(8, 3, padding="same", name="first"),
        layers.BatchNormalization(name="after"),
        layers.Conv2D(8, 3, padding="same", name="second"),
        layers.BatchNormalization(name="last"),
    ]
    model = keras.Sequential([keras.Input((6, 5, 3)), *block])
    if kind == "functional":
        model = keras.Model(model.inputs, model.outputs)
    elif kind == "nested":
        model = keras.Sequential([keras.Input((6, 5, 3)), model, layers.ReLU()])
    for weight in model.weights:
        weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    model.trainable = False
    augmented = aa_keras.augment(model, lambda layer: layer.name == "first", num_heads=2, value_ratio=0.25)

    def named(model, name):
        return next(layer for layer in model._flatten_layers() if layer.name == name)

    old, new = named(model, "after"), named(augmented, "after")
    kept = named(augmented, "first").convolution.filters
    assert kept == 6
    for name, begins in (("gamma", 0), ("beta", None), ("moving_mean", 0), ("moving_variance", 1)):
        before, after = np.array(getattr(old, name)), np.array(getattr(new, name))
        np.testing.assert_array_equal(after[:kept], before[:kept])
        np.testing.assert_array_equal(after[kept:], before[kept:] if begins is None else begins)
    assert (old.trainable, new.trainable, named(augmented, "last").trainable) == (False, True, False)
    inputs = images(2, 6, 5, 3)
    of_model = keras.Sequential([named(model, "first"), old])(inputs)
    of_augmented = keras.Sequential([named(augmented, "first"), new])(inputs)
    np.testing.assert_allclose(of_augmented[..., :kept], of_model[..., :kept], atol=1e-5)
    np.testing.assert_array_equal(of_augmented[..., kept:], np.broadcast_to(old.beta[kept:], (2, 6, 5, 2)))
    twice = aa_keras.augment(augmented, lambda layer: layer.name == "second", num_heads=2)
    for one, other in zip(named(twice, "after").weights, new.weights, strict=True):
        np.testing.assert_array_equal(one, other)
