"""A fused kernel is tried before it is used: stand-ins for kernels that are right, and for those that are not."""

import logging
import types

import keras
import numpy as np
import pytest
from keras import ops

from aa_keras import attention
from aa_keras.attention import devices, fused
from aa_keras.attention.kernel_check import kernel_fault

pytestmark = pytest.mark.backend

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    pytest.skip("TensorFlow has no fused kernels", allow_module_level=True)


def right(queries, keys, values, **arguments):
    return ops.dot_product_attention(queries, keys, values, scale=1.0, **arguments)


def not_finite_forward(queries, keys, values):
    return right(queries, keys, values) * float("nan")


def not_finite_backward(queries, keys, values):
    return right(queries, keys, values) + 0 * ops.sqrt(ops.sum(0 * keys))  # 0, with a gradient of 0 times infinity


def causal(queries, keys, values):
    return right(queries, keys, values, is_causal=True)


def without_the_last_key(queries, keys, values):
    return right(queries, keys[:, :-1], values[:, :-1])


def raising(queries, keys, values):
    raise RuntimeError("no plan for this shape")


def overflowing(queries, keys, values):
    """The fault of cuDNN: the keys that pad the last block have the logit 0, and their exponentials overflow."""
    logits = ops.einsum("bqnd,bknd->bnqk", *(ops.cast(each, "float32") for each in (queries, keys)))
    padded = ops.exp(-ops.logsumexp(logits, axis=-1))
    return right(queries, keys, values) + ops.cast(0 * ops.sum(padded), values.dtype)


FAULTS = {
    not_finite_forward: "its output is not finite for random inputs",
    not_finite_backward: "its gradient of keys is not finite for random inputs",
    causal: "its output differs from that of dense attention by",
    without_the_last_key: "its output differs from that of dense attention by",
    raising: r"it does not run here \(no plan for this shape\)",
}


@pytest.fixture
def gpu(monkeypatch):
    """A function that makes a stand-in the kernel of a GPU."""
    device = types.SimpleNamespace(platform="gpu", device_kind="Some Device", compute_capability="9.0")
    monkeypatch.setattr(devices, "jax_device", lambda: device)
    monkeypatch.setattr(devices, "torch_has_a_gpu", lambda: True)
    fused._kernel_obstacle.cache_clear()
    yield lambda kernel: monkeypatch.setattr(fused, "_kernel", kernel)
    fused._kernel_obstacle.cache_clear()


def spec(height=6, width=4):
    return attention.AttentionSpec(2, height, width, key_dim=4, value_dim=3, relative=True, dtype="bfloat16")


@pytest.mark.parametrize(("kernel", "fault"), FAULTS.items(), ids=[kernel.__name__ for kernel in FAULTS])
def test_a_kernel_with_a_fault_is_not_used(kernel, fault, gpu, caplog):
    gpu(kernel)
    with caplog.at_level(logging.WARNING, "aa_keras"):
        assert attention.choose_implementation(spec()) == attention.choose_implementation(spec()) == "dense"
    assert len(caplog.records) == 1
    assert caplog.text.count("No fused attention for 24 positions, heads of 16, bfloat16: the kernel of this GPU") == 1
    with pytest.raises(ValueError, match=f"the kernel of this GPU was tried, and {fault}.*implementation='fused'"):
        attention.check_implementation("fused", spec())


def test_a_right_kernel_is_tried_once_for_each_shape(gpu):
    tried = []
    gpu(lambda *inputs: tried.append(inputs[0].shape[1]) or right(*inputs))
    assert [attention.choose_implementation(each) for each in (spec(), spec(), spec(8, 8))] == ["fused"] * 3
    assert set(tried) == {24, 64}
    count = len(tried)
    assert attention.choose_implementation(spec(8, 8)) == "fused"
    assert len(tried) == count


def test_it_can_be_tried_while_a_function_is_traced(gpu):
    gpu(right)
    chosen = []

    def function(inputs):
        chosen.append(attention.choose_implementation(spec()))
        return inputs

    if BACKEND == "jax":
        import jax

        jax.jit(jax.grad(function))(1.0)
    else:
        import torch

        class Module(torch.nn.Module):
            forward = staticmethod(function)

        torch.export.export(Module(), (torch.ones(()),))
    assert chosen[0] == "fused"


@pytest.mark.skipif(BACKEND != "jax", reason="JAX has a kernel of its own for GPUs")
@pytest.mark.usefixtures("gpu")
def test_without_cudnn_there_is_no_kernel_on_a_gpu():
    assert "and it does not run here (" in fused.fused_obstacle("bfloat16", 64, 64)


@pytest.mark.parametrize("kernel", [right, overflowing], ids=["right", "overflowing"])
@pytest.mark.parametrize(("dtype", "head", "positions"), [("bfloat16", 40, 64), ("float32", 16, 50)])
def test_logits_far_below_zero_reach_no_kernel(kernel, dtype, head, positions, monkeypatch):
    def kernel_alone(*inputs):  # with heads before positions
        inputs = [ops.transpose(each, (0, 2, 1, 3)) for each in inputs]
        return ops.transpose(kernel(*inputs), (0, 2, 1, 3))

    fault = kernel_fault(kernel_alone, dtype, head, positions)
    assert fault is None if kernel is right else fault == "its output is not finite for logits near -120"
    monkeypatch.setattr(fused, "_kernel", kernel)
    assert kernel_fault(fused.fused_attention, dtype, head, positions) is None


def test_the_logits_of_a_query_have_the_mean_zero_in_a_kernel(monkeypatch):
    """Those of content, rows and columns far from it too, and what is subtracted does not change the output."""
    generator = np.random.default_rng(0)
    shape = (2, 2, 6, 4)
    queries, keys, values = (generator.normal(size=(*shape, dim)).astype("float32") for dim in (4, 4, 3))
    relative = [generator.normal(size=(axis, axis, 4)).astype("float32") + 30 for axis in shape[2:]]
    inputs = [ops.convert_to_tensor(each) for each in (queries, keys - 50, values, *relative)]
    expected = ops.convert_to_numpy(attention.attention_2d(*inputs, implementation="dense"))
    seen = []
    monkeypatch.setattr(fused, "fused_obstacle", lambda *_: None)
    monkeypatch.setattr(fused, "_kernel", lambda *inputs: seen.extend(inputs[:2]) or right(*inputs))
    outputs = ops.convert_to_numpy(attention.attention_2d(*inputs, implementation="fused"))
    np.testing.assert_allclose(outputs, expected, atol=1e-3)
    queries, keys = map(ops.convert_to_numpy, seen)
    logits = np.einsum("bqnd,bknd->bnqk", queries, keys)
    assert np.abs(logits).max() > 1
    np.testing.assert_allclose(logits.mean(axis=-1), 0, atol=1e-3)


def test_gradients_that_are_zero_may_be_rounded():
    """Those of queries and keys are, where there is a single position."""

    def rounded(queries, keys, values):
        return values + 1e-7 * (queries + keys)

    assert kernel_fault(rounded, "float32", 16, 1) is None
    assert "its gradient of queries differs" in kernel_fault(
        lambda q, k, v: rounded(q, k, v) + 0.01 * q, "float32", 16, 1
    )
