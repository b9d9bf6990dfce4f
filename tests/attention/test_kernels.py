"""Kernels of relative attention, interpreted or in eager mode: values, gradients, types, and what they refuse."""

import functools
import types

import keras
import numpy as np
import pytest
from helpers.kernels import ORIGINAL, attend, kernels_on_cpu  # noqa: F401
from helpers.layers import small_network
from keras import ops

from aa_keras import attention
from aa_keras.attention import devices, kernels
from aa_keras.attention.kernel_check import with_gradients

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    pytest.skip("TensorFlow has no kernels", allow_module_level=True)

pytestmark = [pytest.mark.backend, pytest.mark.usefixtures("kernels_on_cpu")]

KERNEL = {"jax": "pallas", "torch": "flex"}[BACKEND]
# Norm of the error of outputs and gradients, relative to their own.
TOLERANCES = {"float32": 3e-6, "float16": 2**-9, "bfloat16": 2**-6}


def drawn(size, batch=1, heads=2, key_dim=20, value_dim=3, relative=True):
    """Queries, keys, values, and the tables of both axes."""
    generator = np.random.default_rng(0)
    height, width = size
    space = (batch, heads, height, width)
    shapes = [(*space, key_dim), (*space, key_dim), (*space, value_dim)]
    if relative:
        shapes += [(2 * height - 1, key_dim), (2 * width - 1, key_dim)]
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def reference(size):
    def function(queries, keys, values, *tables):
        tables = tables or [ops.zeros((2 * axis - 1, queries.shape[-1])) for axis in size]
        return attention.reference_attention(queries, keys, values, *tables)[0]

    return function


def results(function, inputs, dtype="float32"):
    """Outputs and gradients as arrays, computed in a type."""
    inputs = [ops.cast(each, dtype) for each in inputs]
    upstream = np.random.default_rng(1).normal(size=inputs[2].shape)
    found = with_gradients(function)(*inputs, ops.cast(upstream, dtype))
    return [ops.convert_to_numpy(ops.cast(each, "float32")) for each in found]


def assert_equal_to_the_reference(size, dtype="float32", **options):
    inputs = drawn(size, **options)
    if dtype != "float32":  # so that both see the same numbers
        inputs = [ops.convert_to_numpy(ops.cast(ops.cast(each, dtype), "float32")) for each in inputs]
    ours = results(attend(KERNEL, size), inputs, dtype)
    expected = results(reference(size), inputs)
    assert len(ours) == 1 + len(inputs)
    assert_near(ours, expected, TOLERANCES[dtype])


def assert_near(ours, expected, tolerance):
    """Some gradients are zero but for rounding, as of logits of a single row: so the outputs count, too."""
    for found, right in zip(ours, expected, strict=True):
        error = np.linalg.norm(found - right)
        assert error <= tolerance * max(np.linalg.norm(right), np.linalg.norm(expected[0]))


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1:UserWarning")
@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((1, 1), {"key_dim": 1, "value_dim": 1}),
        ((5, 7), {"batch": 3}),
        ((7, 5), {"relative": False}),
        ((4, 67), {"heads": 1, "key_dim": 40, "value_dim": 20}),  # more than a block of columns
        ((6, 33), {"relative": False}),
        ((33, 17), {"heads": 8, "value_dim": 2}),  # several blocks of queries
    ],
    ids=str,
)
def test_values_and_gradients_are_the_references(size, options):
    assert_equal_to_the_reference(size, **options)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_values_and_gradients_in_short_types(dtype):
    assert_equal_to_the_reference((5, 7), dtype, batch=2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1:UserWarning")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("key_dim", [1, 20, 40])
@pytest.mark.parametrize(("batch", "heads"), [(1, 1), (3, 8)])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (2, 3), (7, 7), (13, 11), (14, 14), (3, 64), (29, 2), (33, 17)], ids=str
)
def test_all_sizes_and_types(size, batch, heads, key_dim, dtype):
    assert_equal_to_the_reference(size, dtype, batch=batch, heads=heads, key_dim=key_dim)


def far_from_zero(common, dtype, where):
    """Queries, keys, values and logits of positions, of which all of a query, or those of a row, are far from zero."""
    generator = np.random.default_rng(0)
    height, width, dim = 5, 7, 8
    space = (1, 2, height * width)
    lengths = (dim, dim, 3, height, width, 3)
    arrays = [generator.normal(size=(*space, length)) for length in lengths]
    arrays[0] *= dim**-0.5
    if where == "content":
        arrays[0][..., 0], arrays[1][..., 0] = abs(common) ** 0.5, np.sign(common) * abs(common) ** 0.5
    else:
        arrays[3][..., 0 if where == "one row" else slice(None)] += common
    dtypes = [dtype] * 3 + ["float32"] * 2 + [dtype]
    return [ops.cast(ops.cast(array, "float32"), each) for array, each in zip(arrays, dtypes, strict=True)]


def exactly(queries, keys, values, rows, columns, upstream):
    """Outputs and gradients of attention in float64, after their equations."""
    logits = queries @ keys.transpose(0, 1, 3, 2) + (rows[..., :, None] + columns[..., None, :]).reshape(
        *queries.shape[:-1], -1
    )
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    outputs = probabilities @ values
    of_probabilities = upstream @ values.transpose(0, 1, 3, 2)
    of_logits = probabilities * (of_probabilities - (upstream * outputs).sum(axis=-1, keepdims=True))
    by_axis = of_logits.reshape(*rows.shape, -1)
    swapped = (each.transpose(0, 1, 3, 2) for each in (of_logits, probabilities))
    of_keys, of_values = (each @ other for each, other in zip(swapped, (queries, upstream), strict=True))
    return [outputs, of_logits @ keys, of_keys, of_values, by_axis.sum(axis=-1), by_axis.sum(axis=-2)]


@functools.cache
def kernel_with_gradients():
    """Compiled once for each type."""

    def function(queries, keys, values, *position_logits):
        return ORIGINAL[KERNEL].attend(queries, keys, values, position_logits)

    return with_gradients(function)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("common", [120, -120, 1e4, -1e4])
@pytest.mark.parametrize("where", ["content", "rows", "one row"])
def test_logits_far_from_zero(common, where, dtype):
    inputs = far_from_zero(common, dtype, where)
    expected = exactly(*(ops.convert_to_numpy(ops.cast(each, "float32")).astype("float64") for each in inputs))

    found = [ops.convert_to_numpy(ops.cast(each, "float32")) for each in kernel_with_gradients()(*inputs)]
    assert_near(found, expected, TOLERANCES[dtype] + 2**-23 * abs(common))  # a logit is rounded itself


def test_a_network_learns_as_with_dense_attention():
    losses = {}
    for implementation in ("dense", KERNEL):
        keras.utils.set_random_seed(0)
        model = small_network(implementation)
        model.compile(keras.optimizers.SGD(0.01), "mse")
        inputs, targets = (np.random.default_rng(seed).normal(size=(4, 6, 5, 3)) for seed in (0, 1))
        history = model.fit(inputs, targets.mean(axis=(1, 2)), batch_size=4, epochs=5, verbose=0, shuffle=False)
        losses[implementation] = history.history["loss"]
    assert losses["dense"][-1] < 0.9 * losses["dense"][0]
    np.testing.assert_allclose(losses[KERNEL], losses["dense"], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "backend", "platform", "capability", "dtype", "reason"),
    [
        ("pallas", "tensorflow", "gpu", "9.0", "bfloat16", "for the jax backend of Keras, and this is the tensorflow"),
        ("pallas", "jax", "cpu", None, "bfloat16", "the device is a CPU"),
        ("pallas", "jax", "tpu", None, "bfloat16", "the device is a TPU"),
        ("pallas", "jax", "gpu", "7.5", "bfloat16", "capability 8.0 or higher"),
        ("pallas", "jax", "gpu", "gfx942", "bfloat16", "capability 8.0 or higher"),
        ("pallas", "jax", "gpu", "9.0", "float64", "and the compute type is float64"),
        ("pallas", "jax", "gpu", "9.0", "float16", None),
        ("flex", "jax", "gpu", "9.0", "float16", "for the torch backend of Keras, and this is the jax"),
        ("flex", "torch", "cpu", None, "float16", "compiled for GPUs, and PyTorch sees none"),
        ("flex", "torch", "gpu", None, "float64", "and the compute type is float64"),
        ("flex", "torch", "gpu", None, "float32", None),
    ],
)
def test_where_there_are_kernels(name, backend, platform, capability, dtype, reason, untried, monkeypatch):
    device = types.SimpleNamespace(platform=platform, device_kind="Some Device")
    if capability is not None:
        device.compute_capability = capability
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(devices, "jax_device", lambda: device)
    monkeypatch.setattr(devices, "torch_has_a_gpu", lambda: platform == "gpu")
    monkeypatch.setattr(kernels, "kernel_fault", lambda *_: None)
    found = kernels.kernel_obstacle(name, spec(dtype))
    assert found is None if reason is None else reason in found


def spec(dtype="float32", height=4, relative=True):
    return attention.AttentionSpec(2, height, 5, key_dim=6, value_dim=3, relative=relative, dtype=dtype)


@pytest.fixture
def untried(monkeypatch, request):
    """No kernel has been tried yet."""
    request.getfixturevalue("kernels_on_cpu")  # first, since this replaces what that sets
    for name, kernel in ORIGINAL.items():
        monkeypatch.setitem(kernels.KERNELS, name, kernel)
    kernels.fault_obstacle.cache_clear()
    yield
    kernels.fault_obstacle.cache_clear()


@pytest.fixture
def gpu(monkeypatch, untried):
    device = types.SimpleNamespace(platform="gpu", device_kind="Some Device", compute_capability="9.0")
    monkeypatch.setattr(devices, "jax_device", lambda: device)
    monkeypatch.setattr(devices, "torch_has_a_gpu", lambda: True)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("relative", [True, False])
def test_a_right_kernel_is_used_but_not_by_auto(relative, dtype):
    attention.check_implementation(KERNEL, spec(dtype, relative=relative))
    assert attention.choose_implementation(spec(dtype, relative=relative)) != KERNEL


@pytest.mark.usefixtures("gpu")
def test_a_kernel_with_a_fault_is_refused(monkeypatch):
    def with_rows_shifted(queries, keys, values, position_logits=()):
        rows, columns = position_logits
        return ORIGINAL[KERNEL].attend(queries, keys, values, (ops.roll(rows, 1, axis=-1), columns))

    monkeypatch.setitem(kernels.KERNELS, KERNEL, kernels.Kernel(with_rows_shifted, ORIGINAL[KERNEL].obstacle))
    reason = "its output differs from that of dense attention by .* for random inputs"
    with pytest.raises(ValueError, match=f"the kernel of this GPU was tried, and {reason}.*implementation='{KERNEL}'"):
        attention.check_implementation(KERNEL, spec())


def test_without_a_known_size_there_is_none():
    with pytest.raises(ValueError, match=f"known only when the graph runs.*implementation='{KERNEL}'"):
        attention.check_implementation(KERNEL, spec(height=None))
