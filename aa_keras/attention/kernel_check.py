"""A fused kernel, run once before it is used, and compared with dense attention."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from keras import ops

from aa_keras.attention.blockwise import blockwise_attention

# Largest error that passes, as a share of the largest number: in bfloat16, and in longer types.
TOLERANCE_OF_BFLOAT16, TOLERANCE = 2.0**-4, 2.0**-8
# Results below that count as zero, as gradients of the logits of a single position are.
SMALLEST_RESULT = 1e-3
RESULTS = ("output", "gradient of queries", "gradient of keys", "gradient of values")
GRADIENTS_OF_POSITIONS = ("gradient of the logits of rows", "gradient of the logits of columns")


def kernel_fault(
    attend: Callable, dtype: str, head: int, positions: int, value_dim: int | None = None, size: tuple = ()
) -> str | None:
    """Returns what is wrong with an attention, forward or backward, or None if it computes what dense attention does.

    Kernels of GPUs have returned NaN for finite inputs. In the backward pass of cuDNN in bfloat16, the exponentials of
    some numbers of keys overflow where the logits of a query all lie far below zero
    (https://github.com/pytorch/pytorch/issues/196678); others read memory that was not initialized
    (https://github.com/NVIDIA/TransformerEngine/issues/2186). So the attention gets small random inputs, and inputs
    whose logits all lie near -120, and its results are compared with those in float32.

    Args:
        attend: function of queries, scaled, keys and values, each of shape (B, heads, HW, head), that returns the
            outputs, likewise. With `size` it also takes the logits for rows and columns, (B, heads, HW, H) and
            (B, heads, HW, W), in float32.
        dtype: name of the type of queries, keys and values.
        head: length of a head.
        positions: number of positions, HW.
        value_dim: length of a value in each head; None for `head`.
        size: pair (height, width) of the map, or () for attention without logits of positions.
    """
    # In a thread of its own: while a function is traced or exported in this one, nothing can be computed here.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_fault, attend, dtype, (2, 2, positions, head), value_dim, size).result()


def _fault(attend, dtype, shape, value_dim, size):
    tolerance = TOLERANCE_OF_BFLOAT16 if dtype == "bfloat16" else TOLERANCE
    tested = with_gradients(attend)
    # Dense, of as many queries at a time as fit into memory.
    exact = with_gradients(lambda *inputs: blockwise_attention(*inputs[:3], position_logits=inputs[3:]))
    try:
        for kind, tensors in cases(shape, value_dim, size):
            *tensors, gradient = [ops.cast(tensor, "float32") for tensor in tensors]
            in_type = [*(ops.cast(tensor, dtype) for tensor in tensors[:3]), *tensors[3:], ops.cast(gradient, dtype)]
            found, expected = (
                [np.asarray(ops.convert_to_numpy(ops.cast(result, "float32"))) for result in results]
                for results in (tested(*in_type), exact(*tensors, gradient))
            )
            for name, ours, theirs in zip(RESULTS + GRADIENTS_OF_POSITIONS, found, expected, strict=False):
                if not np.isfinite(ours).all():
                    return f"its {name} is not finite for {kind}"
                error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), SMALLEST_RESULT)
                if error > tolerance:
                    return f"its {name} differs from that of dense attention by {error:.2g} of the largest for {kind}"
    except Exception as error:  # whatever the reason, attention must be computed in another way
        return f"it does not run here ({error})"
    return None


def cases(shape: tuple, value_dim: int | None = None, size: tuple = ()) -> Iterator[tuple[str, list]]:
    """Yields kinds of inputs: a name, and queries, scaled, keys, values, logits of positions, and a gradient.

    All are tensors that are rounded to bfloat16: so their products are exact in all types, also where float32 is
    multiplied as TF32.

    Args:
        shape: (B, heads, HW, head) of queries and keys.
        value_dim: length of a value in each head; None for that of a key.
        size: pair (height, width), for which there are logits of rows and columns; () for none.
    """
    generator = np.random.default_rng(0)
    *space, head = shape
    value_dim = head if value_dim is None else value_dim

    def draw(mean, deviation, length):
        return ops.cast((mean + deviation * generator.normal(size=(*space, length))).astype("float32"), "bfloat16")

    def drawn(mean_of_query, mean_of_key, deviation_of_query, deviation_of_key):
        queries, keys = draw(mean_of_query, deviation_of_query, head), draw(mean_of_key, deviation_of_key, head)
        values = draw(0, 1, value_dim)
        return [queries, keys, values, *(draw(0, 1, length) for length in size), draw(0, 1, value_dim)]

    yield "random inputs", drawn(0, 0, head**-0.5, 1)
    # Each of the products of a query and a key is -120 / head, and a little more or less.
    common = (120 / head) ** 0.5
    yield "logits near -120", drawn(common, -common, 0.25, 0.25)


def with_gradients(attend: Callable) -> Callable:
    """Returns a function of the inputs of `attend` and the gradient of its outputs, that returns `RESULTS`.

    Those of logits of positions follow, if `attend` takes them.
    """
    if keras.backend.backend() == "jax":
        import jax

        def results(*inputs):
            outputs, pullback = jax.vjp(attend, *inputs[:-1])
            return (outputs, *pullback(inputs[-1]))

        return jax.jit(results)
    import torch

    def results_of_torch(*inputs):
        variables = [tensor.detach().requires_grad_() for tensor in inputs[:-1]]
        outputs = attend(*variables)
        return (outputs.detach(), *torch.autograd.grad(outputs, variables, inputs[-1]))

    return results_of_torch
