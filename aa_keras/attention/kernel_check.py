"""A fused kernel, run once before it is used, and compared with dense attention."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from keras import ops

from aa_keras.attention.blockwise import blockwise_attention

# Largest error that passes, as a share of the largest number: in bfloat16, and in longer types.
TOLERANCE_OF_BFLOAT16, TOLERANCE = 2.0**-4, 2.0**-8
RESULTS = ("output", "gradient of queries", "gradient of keys", "gradient of values")


def kernel_fault(attend: Callable, dtype: str, head: int, positions: int) -> str | None:
    """Returns what is wrong with an attention, forward or backward, or None if it computes what dense attention does.

    Kernels of GPUs have returned NaN for finite inputs. In the backward pass of cuDNN in bfloat16, the exponentials of
    some numbers of keys overflow where the logits of a query all lie far below zero
    (https://github.com/pytorch/pytorch/issues/196678); others read memory that was not initialized
    (https://github.com/NVIDIA/TransformerEngine/issues/2186). So the attention gets small random inputs, and inputs
    whose logits all lie near -120, and its results are compared with those in float32.

    Args:
        attend: function of queries, scaled, keys and values, each of shape (B, heads, HW, head), that returns the
            outputs, likewise.
        dtype: name of the type of queries, keys and values.
        head: length of a head.
        positions: number of positions, HW.
    """
    # In a thread of its own: while a function is traced or exported in this one, nothing can be computed here.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_fault, attend, dtype, head, positions).result()


def _fault(attend, dtype, head, positions):
    tolerance = TOLERANCE_OF_BFLOAT16 if dtype == "bfloat16" else TOLERANCE
    tested = with_gradients(attend)
    exact = with_gradients(blockwise_attention)  # dense, of as many queries at a time as fit into memory
    try:
        for kind, tensors in cases((2, 2, positions, head)):
            found, expected = (
                [np.asarray(ops.convert_to_numpy(ops.cast(result, "float32"))) for result in results]
                for results in (
                    tested(*(ops.cast(tensor, dtype) for tensor in tensors)),
                    exact(*(ops.cast(tensor, "float32") for tensor in tensors)),
                )
            )
            for name, ours, theirs in zip(RESULTS, found, expected, strict=True):
                if not np.isfinite(ours).all():
                    return f"its {name} is not finite for {kind}"
                error = np.abs(ours - theirs).max() / np.abs(theirs).max()
                if error > tolerance:
                    return f"its {name} differs from that of dense attention by {error:.2g} of the largest for {kind}"
    except Exception as error:  # whatever the reason, attention must be computed in another way
        return f"it does not run here ({error})"
    return None


def cases(shape: tuple) -> Iterator[tuple[str, list]]:
    """Yields kinds of inputs: a name, and queries, scaled, keys, values and the gradient of the outputs.

    All are tensors of `shape` (B, heads, HW, head), rounded to bfloat16: so their products are exact in all types, also
    where float32 is multiplied as TF32.
    """
    generator = np.random.default_rng(0)

    def draw(mean, deviation):
        return ops.cast((mean + deviation * generator.normal(size=shape)).astype("float32"), "bfloat16")

    head = shape[-1]
    yield "random inputs", [draw(0, head**-0.5), draw(0, 1), draw(0, 1), draw(0, 1)]
    # Each of the products of a query and a key is -120 / head, and a little more or less.
    common = (120 / head) ** 0.5
    yield "logits near -120", [draw(common, 0.25), draw(-common, 0.25), draw(0, 1), draw(0, 1)]


def with_gradients(attend: Callable) -> Callable:
    """Returns a function of queries, keys, values and the gradient of the outputs, that returns `RESULTS`."""
    if keras.backend.backend() == "jax":
        import jax

        def results(*inputs):
            outputs, pullback = jax.vjp(attend, *inputs[:3])
            return (outputs, *pullback(inputs[3]))

        return jax.jit(results)
    import torch

    def results_of_torch(*inputs):
        variables = [tensor.detach().requires_grad_() for tensor in inputs[:3]]
        outputs = attend(*variables)
        return (outputs.detach(), *torch.autograd.grad(outputs, variables, inputs[3]))

    return results_of_torch
