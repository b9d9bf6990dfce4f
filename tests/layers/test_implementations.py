"""Dense, blockwise and fused attention: one result and one gradient, the oracle's, whatever the backend."""

import types

import keras
import numpy as np
import pytest
from helpers import oracle
from helpers.kernels import ON_CPU, attend, kernels_on_cpu  # noqa: F401
from helpers.layers import POSITION_ENCODINGS, feature_map, outputs_of, to_numpy, with_random_weights
from keras import ops

from aa_keras import attention
from aa_keras.attention import AttentionSpec, blockwise, choice, dense, devices, fused
from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D

pytestmark = [pytest.mark.backend, pytest.mark.usefixtures("kernels_on_cpu")]

BACKEND = keras.backend.backend()
# The implementations on the CPU, where the tests run.
IMPLEMENTATIONS = ["dense", "blockwise", *ON_CPU]
HEADS, KEY_DIM, VALUE_DIM = 2, 4, 3


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of some 5 queries of maps as small as those here, so that there are several, the last not full."""
    monkeypatch.setattr(blockwise, "BLOCK_BYTES", 4 * HEADS * 20 * 5)


def outputs_and_gradients(function, arguments):
    """Outputs of a function, and of their random projection the gradient with respect to each argument."""

    def cotangent(outputs):
        return ops.convert_to_tensor(feature_map(*outputs.shape, seed=9))

    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(argument) for argument in arguments]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors)
            loss = tf.reduce_sum(outputs * cotangent(outputs))
        return to_numpy(outputs), to_numpy(tape.gradient(loss, tensors))
    if BACKEND == "jax":
        import jax

        @jax.jit
        def compiled(arguments):
            outputs, pullback = jax.vjp(function, *arguments)
            return outputs, list(pullback(cotangent(outputs)))

        return to_numpy(compiled(arguments))
    tensors = [ops.convert_to_tensor(argument).detach().requires_grad_() for argument in arguments]
    outputs = function(*tensors)
    (outputs * cotangent(outputs)).sum().backward()
    return to_numpy(outputs.detach()), [to_numpy(tensor.grad) for tensor in tensors]


def arguments_of(height, width, tables=None):
    """Queries, keys, values and tables, these made for a map of the size `tables`; None for no tables."""
    space = (1, HEADS, height, width)
    arguments = [feature_map(*space, dim, seed=dim) for dim in (KEY_DIM, KEY_DIM + 10, VALUE_DIM)]
    arguments[1] = arguments[1][..., :KEY_DIM]
    if tables is not None:
        arguments += [feature_map(2 * length - 1, KEY_DIM, seed=length) for length in tables]
    return arguments


def oracle_attend(queries, keys, values, *tables):
    return np.stack(
        [
            [oracle.attention(*head, *tables)[0] for head in zip(*image, strict=True)]
            for image in zip(queries, keys, values, strict=True)
        ]
    )


def slope(function, arguments, index, direction, step=1e-6):
    """The derivative of a projected function along a direction of one argument, by central differences in float64."""
    ends = []
    for sign in (1, -1):
        moved = [argument.astype("float64") for argument in arguments]
        moved[index] = moved[index] + sign * step * direction
        ends.append(function(*moved))
    cotangent = feature_map(*ends[0].shape, seed=9)
    return ((ends[0] - ends[1]) * cotangent).sum() / (2 * step)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("size", "tables"),
    [((4, 5), (4, 5)), ((3, 4), (5, 6)), ((5, 4), (3, 2)), ((4, 5), None)],
    ids=["tables of its size", "their centre", "clipped", "no positions"],
)
@pytest.mark.usefixtures("small_blocks")
def test_value_and_gradient_are_the_oracles(size, tables, implementation):
    arguments = arguments_of(*size, tables)
    outputs, gradients = outputs_and_gradients(attend(implementation, size), arguments)
    np.testing.assert_allclose(outputs, oracle_attend(*arguments), atol=1e-5, rtol=1e-5)
    for index, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        for seed in (1, 2):
            direction = feature_map(*argument.shape, seed=seed)
            expected = slope(oracle_attend, arguments, index, direction)
            np.testing.assert_allclose((gradient * direction.astype("float64")).sum(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS[1:])
@pytest.mark.parametrize("tables", [(4, 5), None], ids=["relative", "no positions"])
@pytest.mark.usefixtures("small_blocks")
def test_value_and_gradient_are_those_of_dense_attention(tables, implementation):
    arguments = arguments_of(4, 5, tables)
    outputs, gradients = outputs_and_gradients(attend(implementation, (4, 5)), arguments)
    dense_outputs, dense_gradients = outputs_and_gradients(attend("dense", (4, 5)), arguments)
    np.testing.assert_allclose(outputs, dense_outputs, atol=1e-5, rtol=1e-5)
    for gradient, dense_gradient in zip(gradients, dense_gradients, strict=True):
        assert np.abs(dense_gradient).max() > 0.1
        np.testing.assert_allclose(gradient, dense_gradient, atol=1e-5, rtol=1e-5)


def augmented_convolution(position_encoding, implementation, dtype="float32"):
    """An augmented convolution with everything that surrounds attention: stride, pooling, resize."""
    layer = AttentionAugmentedConv2D(
        filters=8,
        kernel_size=3,
        strides=2,
        num_heads=HEADS,
        value_ratio=0.5,
        min_key_dim=4,
        attention_pooling=2,
        position_encoding=position_encoding,
        implementation=implementation,
        dtype=dtype,
    )
    return with_random_weights(layer, (2, 9, 7, 5))


def as_a_function(layer):
    """The attention branch of a layer as a function of its input and of its weights, in the layer's order."""

    def function(inputs, *weights):
        outputs, _ = layer.stateless_call(list(weights), [], inputs)
        return ops.cast(outputs, "float32")[..., 4:]

    return function


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
@pytest.mark.usefixtures("small_blocks")
def test_the_augmented_convolution_is_the_oracles(position_encoding, implementation):
    layer = augmented_convolution(position_encoding, implementation)
    names = [weight.path.partition("self_attention/")[2] for weight in layer.weights]
    arguments = [feature_map(2, 9, 7, 5), *map(to_numpy, layer.weights)]

    def oracles(inputs, *weights):
        weights = {name: weight.astype("float64") for name, weight in zip(names, weights, strict=True) if name}
        return oracle.augmented_attention(inputs, (2, 2), 2, weights, HEADS, 4, 2, position_encoding)

    outputs, gradients = outputs_and_gradients(as_a_function(layer), arguments)

    np.testing.assert_allclose(outputs, oracles(*arguments), atol=1e-5, rtol=1e-5)
    for index, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        if index and not names[index - 1]:
            continue  # of the convolution
        direction = feature_map(*argument.shape, seed=index) / np.sqrt(argument.size)
        expected = slope(oracles, arguments, index, direction)
        np.testing.assert_allclose((gradient * direction.astype("float64")).sum(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS[1:], "dense"])
@pytest.mark.parametrize("position_encoding", POSITION_ENCODINGS)
@pytest.mark.usefixtures("small_blocks")
def test_bfloat16_is_float32_to_its_own_precision(position_encoding, implementation):
    results = []
    for dtype in ("float32", "mixed_bfloat16"):
        layer = augmented_convolution(position_encoding, implementation, dtype)
        arguments = [feature_map(2, 9, 7, 5), *map(to_numpy, layer.weights)]
        outputs, gradients = outputs_and_gradients(as_a_function(layer), arguments)
        results.append([outputs, *(gradient for gradient in gradients if gradient is not None)])
    for expected, rounded in zip(*results, strict=True):
        # Rounded some ten times on its way, each time by 2 ** -9 at most.
        assert np.linalg.norm(rounded - expected) <= 10 * 2**-9 * np.linalg.norm(expected)


@pytest.mark.usefixtures("small_blocks")
def test_scores_are_the_same_whatever_the_implementation():
    inputs = feature_map(1, 4, 5, 6)
    results = []
    for implementation in IMPLEMENTATIONS:
        layer = with_random_weights(SelfAttention2D(2, 4, implementation=implementation), inputs.shape)
        results.append(outputs_of(layer, inputs, return_attention_scores=True))
    for outputs, scores in results[1:]:
        np.testing.assert_allclose(outputs, results[0][0], atol=1e-5)
        np.testing.assert_allclose(scores, results[0][1], atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has fused kernels on every device")
def test_fused_says_why_there_is_no_kernel():
    layer = SelfAttention2D(2, 4, implementation="fused", max_size=8)
    reason = {"tensorflow": "the tensorflow backend of Keras has no fused", "jax": "and the device is a CPU"}[BACKEND]
    with pytest.raises(ValueError, match=f"{reason}.*implementation='fused'"):
        layer.build((1, 4, 5, 6))  # when a network is made, and not amidst training
    layer.build((1, None, None, 6))
    with pytest.raises(ValueError, match=f"{reason}.*implementation='fused'"):
        layer(feature_map(1, 4, 5, 6))


def test_an_implementation_that_there_is_not():
    with pytest.raises(
        ValueError, match=r"'auto', 'dense', 'blockwise', 'fused', 'pallas', 'flex'\. Received: implementation='flash'"
    ):
        SelfAttention2D(2, 4, implementation="flash")


def test_auto_is_dense_until_the_logits_of_an_image_outgrow_their_limit():
    def chosen(num_heads, height, width):
        return attention.choose_implementation(AttentionSpec(num_heads, height, width, 20, 2, True, "float32"))

    if BACKEND == "torch":
        assert chosen(8, 14, 14) == chosen(8, 64, 64) == "fused"
        return
    assert [chosen(8, 7, 7), chosen(8, 32, 32), chosen(2, 64, 32)] == ["dense"] * 3
    assert [chosen(9, 32, 32), chosen(8, 33, 32), chosen(8, 64, 64)] == ["blockwise"] * 3


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has fused kernels on every device")
@pytest.mark.parametrize(("limit", "chosen"), [(4 * 2 * 20**2, "dense"), (4 * 2 * 20**2 - 1, "blockwise")])
def test_auto_computes_what_it_chooses(limit, chosen, monkeypatch):
    called = []
    for module, name in ((dense, "dense"), (blockwise, "blockwise")):
        original = getattr(module, f"{name}_attention")
        monkeypatch.setattr(
            module,
            f"{name}_attention",
            lambda *inputs, name=name, original=original: called.append(name) or original(*inputs),
        )
    monkeypatch.setattr(choice, "LARGEST_DENSE_BYTES", limit)
    SelfAttention2D(2, 4)(feature_map(1, 4, 5, 6))
    assert called[0] == chosen


@pytest.mark.parametrize(
    ("platform", "capability", "dtype", "head", "positions", "obstacle"),
    [
        ("gpu", "9.0", "bfloat16", 256, 50, None),
        ("gpu", "12.0", "bfloat16", 256, 50, None),
        ("gpu", "8.0", "bfloat16", 128, 50, None),
        ("gpu", "8.9", "bfloat16", 129, 50, "up to 128 on this GPU, and this one has 136"),
        ("gpu", "9.0", "bfloat16", 64, 49, "even number of positions, and this map has 49"),
        ("gpu", "9.0", "bfloat16", 257, 50, "up to 256 on this GPU, and this one has 264"),
        ("gpu", "9.0", "float32", 64, 50, "takes bfloat16, and the compute type is float32"),
        ("gpu", "9.0", "float16", 64, 50, "could overflow float16"),
        ("gpu", "7.5", "bfloat16", 64, 50, "capability 8.0 or higher, and this is a Some Device"),
        ("gpu", "gfx942", "bfloat16", 64, 50, "capability 8.0 or higher, and this is a Some Device"),
        ("tpu", None, "bfloat16", 64, 50, "attends to earlier positions alone"),
        ("cpu", None, "bfloat16", 64, 50, "the device is a CPU"),
    ],
)
def test_what_jax_has_kernels_for(platform, capability, dtype, head, positions, obstacle, monkeypatch):
    device = types.SimpleNamespace(platform=platform, device_kind="Some Device")
    if capability is not None:
        device.compute_capability = capability
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(devices, "jax_device", lambda: device)
    monkeypatch.setattr(fused, "_kernel_obstacle", lambda *_: None)
    found = fused.fused_obstacle(dtype, head, positions)
    assert found is None if obstacle is None else obstacle in found


@pytest.mark.parametrize(("dtype", "head"), [("float32", 500), ("bfloat16", 20), ("float16", 20)])
def test_what_pytorch_has_kernels_for(dtype, head, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    monkeypatch.setattr(devices, "torch_has_a_gpu", lambda: False)
    found = fused.fused_obstacle(dtype, head, 49)
    assert "overflow float16" in found if dtype == "float16" else found is None


@pytest.mark.parametrize("implementation", ["auto", *IMPLEMENTATIONS])
def test_logits_of_positions_beyond_float16_stay_finite(implementation):
    queries, keys, values = (feature_map(1, HEADS, 3, 4, dim, seed=dim) for dim in (KEY_DIM, KEY_DIM, VALUE_DIM))
    tables = 400 * feature_map(5, KEY_DIM, seed=1), 400 * feature_map(7, KEY_DIM, seed=2)
    arguments = [ops.cast(array, "float16") for array in (400 * queries, keys, values, *tables)]
    if implementation == "fused":
        with pytest.raises(ValueError, match="could overflow float16"):
            attend("fused", (3, 4))(*arguments)
        return
    assert np.isfinite(to_numpy(ops.cast(attend(implementation, (3, 4))(*arguments), "float32"))).all()


@pytest.mark.usefixtures("small_blocks")
def test_the_longer_vectors_of_fused_attention_are_the_oracles(monkeypatch):
    """On every backend: where there is no kernel, Keras computes the same product of the same vectors without one."""
    monkeypatch.setattr(fused, "fused_obstacle", lambda *of: None)
    arguments = arguments_of(4, 5, (4, 5))
    outputs, gradients = outputs_and_gradients(attend("auto", (4, 5)), arguments)
    dense_outputs, dense_gradients = outputs_and_gradients(attend("dense", (4, 5)), arguments)
    np.testing.assert_allclose(outputs, dense_outputs, atol=1e-5, rtol=1e-5)
    for gradient, dense_gradient in zip(gradients, dense_gradients, strict=True):
        np.testing.assert_allclose(gradient, dense_gradient, atol=1e-5, rtol=1e-5)
