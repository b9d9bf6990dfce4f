"""The calls of a network's layers, with tensors that have shapes alone."""

import dataclasses
from typing import Any

import keras

from aa_keras._keras_compat import run_through_graph


@dataclasses.dataclass(frozen=True)
class SymbolicCall:
    """A call of a layer.

    Attributes:
        layer: the layer, or another operation of Keras.
        args: its positional arguments, in which tensors are `keras.KerasTensor`s.
        kwargs: its keyword arguments, likewise.
        outputs: what it returns, a structure of `keras.KerasTensor`s.
    """

    layer: Any
    args: tuple
    kwargs: dict
    outputs: Any


def has_graph(model: Any) -> bool:
    """Whether it is a functional model, or a `Sequential` one that is built."""
    return isinstance(model, keras.Model) and bool(getattr(model, "inputs", None))


def symbolic_calls(model: keras.Model, input_shapes: list[tuple]) -> list[SymbolicCall]:
    """Returns the calls of the layers of a model, and those in nested models; computes nothing and changes no layer.

    Args:
        model: the model, for which `has_graph` is true.
        input_shapes: shape of each of its inputs, the batch included.
    """
    calls: list[SymbolicCall] = []

    def run(graph, tensors):
        graph = keras.Model(graph.inputs, graph.outputs)
        return run_through_graph(graph, tensors, recorded)

    def recorded(layer):
        def call(*args, **kwargs):
            if has_graph(layer):
                return run(layer, args)
            outputs = layer.compute_output_spec(*args, **kwargs)
            calls.append(SymbolicCall(layer, args, kwargs, outputs))
            return outputs

        return call

    shapes = zip(model.inputs, input_shapes, strict=True)
    run(model, [keras.KerasTensor(shape, dtype=tensor.dtype) for tensor, shape in shapes])
    return calls
