"""The graph of a network, run operation by operation, those of nested models included."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from aa_keras._keras_compat import graph_of, run_through_graph, standardized_inputs, takes_training


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of an operation of a network.

    Attributes:
        name: name of the operation; in a nested model after the model's name and a slash: "inner/deep".
        operation: the Keras operation, such as a layer.
        inputs: list of the tensors that it got.
        outputs: what it returned, a structure of tensors.
    """

    name: str
    operation: Any
    inputs: list
    outputs: Any


def is_graph(model: Any) -> bool:
    """Whether an operation is a functional or `Sequential` model, which calls its layers in the usual way."""
    return graph_of(model) is not None


def run(model: keras.Model, inputs: Any, replace: Callable | None = None, training: bool = False) -> tuple:
    """Calls a functional or `Sequential` model.

    Args:
        model: the model.
        inputs: its inputs, a structure of tensors.
        replace: function of the number of a call, from 0, of the operation and of its arguments, that returns its
            outputs, in place of the operation itself; or None. It may return None for the operation's own outputs.
        training: boolean, whether in training mode instead of inference mode.

    Returns:
        The outputs, and the list of each `Call`, those of a nested model before that of the model itself.
    """
    calls: list[Call] = []

    def run_graph(graph, inputs, prefix):
        def wrapped(operation):
            def call(*args, **kwargs):
                name = f"{prefix}{operation.name}"
                if is_graph(operation):
                    outputs = run_graph(graph_of(operation), args[0], f"{name}/")
                else:
                    if takes_training(operation):
                        kwargs["training"] = training
                    outputs = None if replace is None else replace(len(calls), operation, args)
                    outputs = operation(*args, **kwargs) if outputs is None else outputs
                tensors = [tensor for tensor in keras.tree.flatten(args) if hasattr(tensor, "shape")]
                if is_graph(operation) and replace is not None:
                    replaced = replace(len(calls), operation, args)
                    outputs = outputs if replaced is None else replaced
                calls.append(Call(name, operation, tensors, outputs))
                return outputs

            return call

        return run_through_graph(graph, standardized_inputs(graph, inputs), wrapped)

    return run_graph(graph_of(model), inputs, ""), calls


def final_activation(output: Any, calls: list[Call]) -> tuple[int, Callable] | None:
    """Finds the softmax or sigmoid that makes an output of logits.

    It is recognized by what it computes, whatever the operation is called. Operations after it that leave the numbers
    as they are do not matter.

    Args:
        output: a tensor that `run` returned.
        calls: the calls that it returned.

    Returns:
        The number of the call with the activation, and a function of the operation and its arguments that returns the
        same without; None if there is no such activation.
    """
    while True:
        numbers = (number for number, call in enumerate(calls) if _is_output(call, output))
        number = next(numbers, None)  # that of the innermost model comes first
        if number is None or not calls[number].inputs:
            return None
        operation, (first, *_) = calls[number].operation, calls[number].inputs
        is_as_large = math.prod(first.shape) == math.prod(output.shape)
        if is_as_large and _are_close(ops.reshape(first, output.shape), output):
            output = first
            continue
        if is_as_large and _is_softmax_or_sigmoid(first, output):
            return number, lambda _, args: args[0]
        activation = getattr(operation, "activation", None)
        numbers = ops.cast(np.random.default_rng(0).normal(size=tuple(output.shape)), output.dtype)
        if callable(activation) and _is_softmax_or_sigmoid(numbers, activation(numbers)):
            return number, _without_activation
        return None


def _is_output(call, tensor):
    return any(output is tensor for output in keras.tree.flatten(call.outputs))


def _are_close(first, second):
    """Whether two tensors are equal but for the rounding of their types."""
    if tuple(first.shape) != tuple(second.shape):
        return False
    is_half = {keras.backend.standardize_dtype(each.dtype) for each in (first, second)} & {"float16", "bfloat16"}
    first, second = (ops.convert_to_numpy(ops.cast(each, "float32")) for each in (first, second))
    return np.allclose(first, second, atol=1e-2 if is_half else 1e-5, rtol=0)


def _is_softmax_or_sigmoid(inputs, outputs):
    """Whether a tensor is a softmax or a sigmoid of another one; the softmax of one number is always 1."""
    functions = (ops.sigmoid, ops.softmax) if inputs.shape[-1] > 1 else (ops.sigmoid,)
    return any(_are_close(function(inputs), outputs) for function in functions)


def _without_activation(operation, args):
    """Calls a layer, such as `Dense`, without its activation."""
    activation = operation.activation
    operation.activation = keras.activations.linear
    try:
        return operation(*args)
    finally:
        operation.activation = activation
