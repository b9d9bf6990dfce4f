"""The softmax of logits, times values, with a gradient that is shorter than that of automatic differentiation.

As in FlashAttention (Dao et al., 2022), the sum in the gradient of softmax is the product of an output with its own
gradient. Subtracting it is part of a matrix product here, which saves passes over (HW, HW) numbers.
"""

from typing import Any

import keras
from keras import ops


def softmax_product(logits: Any, values: Any) -> Any:
    """Returns the softmax of logits (B, heads, queries, HW), times values (B, heads, HW, value_dim), of one type.

    It can be differentiated again, and on TensorFlow and JAX also in forward mode.
    """
    if keras.backend.backend() == "jax":
        return _product_with_a_tangent(logits, values)
    if keras.backend.backend() == "tensorflow":
        return _product_with_a_gradient(logits, values)
    return ops.matmul(softmax(logits), values)  # custom gradients of PyTorch cannot be differentiated again


def softmax(logits: Any) -> Any:
    """Returns the softmax of logits along the last axis."""
    # Keras warns about the softmax of a single number.
    return ops.exp(logits - logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)


def transposed(tensor: Any) -> Any:
    """Swaps the last two axes of a tensor (B, heads, rows, columns)."""
    return ops.transpose(tensor, (0, 1, 3, 2))


def _product_with_a_gradient(logits, values):
    @ops.custom_gradient
    def product(logits, values):
        probabilities = softmax(logits)
        outputs = ops.matmul(probabilities, values)

        def gradient(upstream):
            sums = ops.sum(upstream * outputs, axis=-1, keepdims=True)
            of_probabilities_less_sums = ops.matmul(
                ops.concatenate([upstream, -sums], axis=-1), transposed(_with_a_column_of_ones(values))
            )
            # Faster on CPUs than the product of the transposed probabilities with the few columns of the gradient.
            of_values = transposed(ops.matmul(transposed(upstream), probabilities))
            return probabilities * of_probabilities_less_sums, of_values

        return outputs, gradient

    return product(logits, values)


def _product_with_a_tangent(logits, values):
    """The same on JAX: a custom gradient would forbid forward mode, and the transpose of this tangent is the same."""
    import jax

    @jax.custom_jvp
    def product(logits, values):
        return ops.matmul(softmax(logits), values)

    @product.defjvp
    def tangent(primals, tangents):
        (logits, values), (of_logits, of_values) = primals, tangents
        probabilities = softmax(logits)
        outputs = ops.matmul(probabilities, values)
        products = ops.matmul(probabilities * of_logits, _with_a_column_of_ones(values))
        tangent = products[..., :-1] - outputs * products[..., -1:] + ops.matmul(probabilities, of_values)
        return outputs, tangent

    return product(logits, values)


def _with_a_column_of_ones(values):
    return ops.concatenate([values, ops.ones_like(values[..., :1])], axis=-1)
