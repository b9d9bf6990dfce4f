"""Private parts of Keras that the library uses, each with the versions that have it.

Keras has no public way to the same, and may change them without notice: whatever breaks with a new version is here.
All were read in Keras 3.15, and have been there since the version that is named.
"""

import keras


def all_layers(layer):
    """Returns a layer or model and all layers within it, at any depth, a list (3.0)."""
    return layer._flatten_layers()


def child_layers(layer):
    """Returns the layers right within a layer or model, a list (3.0)."""
    return layer._flatten_layers(include_self=False, recursive=False)


def calls_of_output(layer):
    """Returns the nodes of the graph, with their `operation`, that take the output of a layer (3.0)."""
    return layer._outbound_nodes


def graph_of(model):
    """Returns the functional model that calls the layers of a functional or `Sequential` one, or None for others (3.0).

    A subclass of `keras.Model` that adds something to the graph in its own `call` is another.
    """
    if isinstance(model, keras.Sequential):
        return model._functional if model.built else None
    is_plain = getattr(type(model).call, "__qualname__", "") == "Functional.call" if hasattr(model, "call") else False
    return model if is_plain and hasattr(model, "_run_through_graph") else None


def run_through_graph(graph, inputs, operation_fn):
    """Calls `operation_fn(operation)` in place of each operation of a functional model, and returns its outputs (3.0).

    Args:
        graph: the functional model.
        inputs: its inputs, a structure of tensors, which may be symbolic.
        operation_fn: function of an operation that returns a function of its arguments.
    """
    return graph._run_through_graph(inputs, operation_fn=operation_fn)


def standardized_inputs(graph, inputs):
    """Returns the inputs of a functional model in the structure, types and ranks that its graph has (3.0)."""
    return graph._standardize_inputs(inputs)


def takes_training(operation):
    """Whether an operation is a layer whose `call` has the argument `training` (3.0)."""
    return getattr(operation, "_call_has_training_arg", False)


def build_losses(model, outputs):
    """Makes the metrics of the losses of a compiled model, for outputs of this structure (3.0).

    Keras makes them in the first step, and a step that makes variables is traced twice by TensorFlow.
    """
    model._compile_loss.build(outputs, outputs)
