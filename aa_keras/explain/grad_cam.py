"""Which parts of an image speak for a class, by gradients."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def grad_cam(
    model: keras.Model,
    images: Any,
    classes: int | str | Sequence[int | str] | None = None,
    class_names: Sequence[str] | None = None,
    layer: str | None = None,
) -> np.ndarray:
    """Returns which parts of images speak for a class: Grad-CAM.

    *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization* (Selvaraju et al., 2017): the
    channels of the last feature map, weighted by the mean gradient of the class's logit, negative sums set to 0.

    Args:
        model: functional or `Sequential` classifier, whose outputs are probabilities or logits (batch, classes).
        images: what the model takes: array (batch, height, width, channels), preprocessed.
        classes: class by number, or by name; or a sequence with one for each image. None for each image's most
            probable.
        class_names: names of the classes, for classes by name.
        layer: name of the layer whose feature map to take; None takes the last one, in front of the pooling.

    Returns:
        A float32 array (batch, map height, map width) from 0 to 1; each image's largest value is 1, or 0 where nothing
        speaks for the class.

    Raises:
        ValueError: for a model that is no such classifier, and for a class or layer that it does not have.

    Example:

    >>> model = aa_keras.applications.AAWideResNet16_4(weights="cifar100")
    >>> names = aa_keras.applications.datasets.CIFAR100.class_names
    >>> grad_cam(model, keras.random.normal((1, 32, 32, 3)), "leopard", names).shape
    (1, 8, 8)
    """
    features, head = _split(model, layer)
    maps = features(keras.tree.map_structure(ops.convert_to_tensor, images), training=False)
    logits = head(maps, training=False)
    count = logits.shape[0]
    if classes is None:
        numbers = np.argmax(ops.convert_to_numpy(logits), axis=1)
    else:
        given = [classes] * count if isinstance(classes, (int, str, np.integer)) else list(classes)
        if len(given) != count:
            raise ValueError(f"`classes` must be one, or {count}, one for each image. Received: {len(given)}")
        numbers = np.array([_class_number(each, logits.shape[1], class_names) for each in given])
    chosen = ops.one_hot(numbers, logits.shape[1], dtype="float32")
    gradients = _gradient(lambda maps: ops.sum(ops.cast(head(maps, training=False), "float32") * chosen), maps)
    maps, gradients = (ops.convert_to_numpy(ops.cast(each, "float32")) for each in (maps, gradients))
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    speaking = np.maximum((weights * maps).sum(axis=-1), 0)
    largest = speaking.max(axis=(1, 2), keepdims=True)
    return speaking / np.where(largest > 0, largest, 1)


def _split(model, layer):
    """Returns a classifier in two: from images to a feature map, and from there to logits; Keras models."""
    if not hasattr(model, "operations") and not isinstance(model, keras.Sequential):
        raise ValueError(f"`model` must be a functional or Sequential classifier. Received: model={model!r}")
    output = model.outputs[0]
    if len(model.outputs) != 1 or len(output.shape) != 2:
        raise ValueError(
            "`model` must return probabilities or logits (batch, classes). Received: a model that returns "
            f"{[tuple(tensor.shape) for tensor in model.outputs]}"
        )
    graph = model._functional if isinstance(model, keras.Sequential) else model
    tensors = {}  # the outputs of the layers in this graph, by name: a layer may be in several
    pooled = None
    for _, nodes in sorted(graph._nodes_by_depth.items()):  # from the outputs on
        for node in nodes:
            tensors[node.operation.name] = node.outputs[0]
            spatial = [tensor for tensor in node.input_tensors if len(tensor.shape) == 4]
            if pooled is None and spatial and len(node.outputs[0].shape) != 4:
                pooled = spatial[0]
    if layer is None:
        tensor = pooled
    elif layer in tensors:
        tensor = tensors[layer]
    else:
        similar = difflib.get_close_matches(layer, tensors, n=1) or [next(iter(tensors))]
        raise ValueError(f"`layer` must be the name of a layer, such as {similar[0]!r}. Received: layer={layer!r}")
    if tensor is None or len(tensor.shape) != 4:
        of = "" if layer is None else f", and {layer!r} returns {tuple(tensor.shape)}"
        raise ValueError(f"`layer` must return a feature map (batch, height, width, channels){of}")
    return keras.Model(model.inputs, tensor), keras.Model(tensor, _logits(output))


def _logits(output):
    """Returns the tensor in front of the softmax that a classifier's output comes from; itself where there is none."""
    operation, node_index, _ = output._keras_history
    (inputs,) = operation._inbound_nodes[node_index].input_tensors[:1]
    if isinstance(operation, keras.layers.Softmax):
        return inputs
    if getattr(operation, "activation", None) is not keras.activations.softmax:
        return output
    if isinstance(operation, keras.layers.Activation):
        return inputs
    return _WithoutActivation(operation)(inputs)


class _WithoutActivation(keras.layers.Layer):
    """The `Dense` layer of a classifier without its softmax; it shares its weights."""

    def __init__(self, dense):
        super().__init__(dtype=dense.dtype_policy)
        self.dense = dense

    def call(self, inputs):
        outputs = ops.matmul(inputs, self.dense.kernel)
        return outputs if self.dense.bias is None else outputs + self.dense.bias


def _class_number(given, count, class_names):
    """Returns the number of a class, or raises ValueError for one that there is not."""
    if isinstance(given, str):
        names = list(class_names or ())
        if given not in names:
            similar = difflib.get_close_matches(given, names, n=1)
            hint = f", such as {similar[0]!r}" if similar else "" if names else ", which no `class_names` tell"
            raise ValueError(f"`classes` must be names of the model's classes{hint}. Received: {given!r}")
        return names.index(given)
    if isinstance(given, bool) or not 0 <= int(given) < count:
        raise ValueError(f"`classes` must be numbers from 0 to {count - 1}. Received: {given!r}")
    return int(given)


def _gradient(function: Callable, inputs: Any) -> Any:
    """Returns the gradient of a function of a tensor that returns a number, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = function(inputs)
        return tape.gradient(value, inputs)
    if backend == "jax":
        import jax

        return jax.grad(function)(inputs)
    import torch

    inputs = inputs.detach().requires_grad_()
    return torch.autograd.grad(function(inputs), inputs)[0]
