"""Grad-CAM: the parts of an image that speak for a class, by gradients."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from aa_keras.explain.scores import as_tensor


def grad_cam(
    model: keras.Model,
    images: Any,
    classes: int | str | Sequence[int | str] | None = None,
    class_names: Sequence[str] | None = None,
    layer: str | None = None,
) -> np.ndarray:
    """Returns the parts of images that speak for a class: Grad-CAM.

    *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization* (Selvaraju et al., 2017): the
    channels of the last feature map, weighted by the mean gradient of the class's logit, with negative sums set to 0.
    For a detector, the feature maps are those of its pyramid, and the logit is that of the class's best box. Since that
    box is in one place, gradients are not averaged over the map (*Use HiResCAM instead of Grad-CAM*, Draelos and Carin,
    2020).

    Args:
        model: functional or `Sequential` classifier, whose outputs are probabilities or logits (batch, classes); or a
            detector of this library.
        images: input of the model: array (batch, height, width, channels), preprocessed.
        classes: class by number, or by name; or a sequence with one for each image. None takes the most probable class
            of each image.
        class_names: names of the classes, for classes by name.
        layer: name of the layer whose feature map to use; None takes the last one before the pooling, or the pyramid
            of a detector.

    Returns:
        A float32 array (batch, map height, map width) from 0 to 1; the largest value of each image is 1, or 0 if
        nothing speaks for the class.

    Raises:
        ValueError: for a model that is not such a classifier, and for a class or layer that it does not have.

    Example:

    >>> model = aa_keras.applications.AAWideResNet16_4(weights="cifar100")
    >>> names = aa_keras.applications.datasets.CIFAR100.class_names
    >>> grad_cam(model, keras.random.normal((1, 32, 32, 3)), "leopard", names).shape
    (1, 8, 8)
    """
    is_detector = hasattr(model, "decode_predictions")
    features, head = _split(model, layer, is_detector)
    maps = keras.tree.flatten(features(keras.tree.map_structure(as_tensor, images), training=False))

    def logits_of(maps):
        logits = ops.cast(head(maps, training=False), "float32")
        return ops.max(logits, axis=1) if len(logits.shape) == 3 else logits  # the best of all boxes

    logits = logits_of(maps)
    count = logits.shape[0]
    if classes is None:
        numbers = np.argmax(ops.convert_to_numpy(logits), axis=1)
    else:
        given = [classes] * count if isinstance(classes, (int, str, np.integer)) else list(classes)
        if len(given) != count:
            raise ValueError(f"`classes` must be one, or {count}, one for each image. Received: {len(given)}")
        numbers = np.array([_class_number(each, logits.shape[1], class_names) for each in given])
    chosen = ops.one_hot(numbers, logits.shape[1], dtype="float32")
    gradients = _gradient(lambda maps: ops.sum(logits_of(maps) * chosen), maps)
    speaking = np.float32(0)
    for level, gradient in zip(maps, gradients, strict=True):  # the finest map first
        level, gradient = (ops.convert_to_numpy(ops.cast(each, "float32")) for each in (level, gradient))
        weights = gradient if is_detector else gradient.mean(axis=(1, 2), keepdims=True)
        of_level = np.maximum((weights * level).sum(axis=-1), 0)
        speaking = speaking + (_enlarged(of_level, speaking.shape[1:]) if np.ndim(speaking) else of_level)
    largest = speaking.max(axis=(1, 2), keepdims=True)
    return speaking / np.where(largest > 0, largest, 1)


def _enlarged(maps, size):
    """Repeats the rows and columns of maps (batch, height, width) until they have a size."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, maps.shape[1:], strict=True))
    return maps[:, rows][:, :, columns]


def _split(model, layer, is_detector):
    """Splits a network into two Keras models: from images to a list of feature maps, and from there to logits.

    The logits are those of an image (batch, classes), or of its boxes (batch, boxes, classes).
    """
    if not hasattr(model, "operations") and not isinstance(model, keras.Sequential):
        raise ValueError(f"`model` must be a functional or Sequential classifier. Received: model={model!r}")
    if not is_detector and (len(model.outputs) != 1 or len(model.outputs[0].shape) != 2):
        raise ValueError(
            "`model` must return probabilities or logits (batch, classes). Received: a model that returns "
            f"{[tuple(tensor.shape) for tensor in model.outputs]}"
        )
    output = model.output["cls_logits"] if is_detector else _logits(model.outputs[0])
    if layer is None and is_detector:
        layer = model.backbone.name
    maps = _feature_maps(model, layer)
    return keras.Model(model.inputs, maps), keras.Model(maps, output)


def _feature_maps(model, layer):
    """Returns the outputs of a layer, or the input of the last pooling; a list of symbolic tensors."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    tensors: dict[str, list] = {}  # the outputs of the layers in this graph, by name: a layer may be in several
    pooled = []
    for _, nodes in sorted(graph._nodes_by_depth.items()):  # from the outputs on
        for node in nodes:
            tensors.setdefault(node.operation.name, node.outputs)
            spatial = [tensor for tensor in node.input_tensors if len(tensor.shape) == 4]
            if not pooled and spatial and len(node.outputs[0].shape) != 4:
                pooled = spatial[:1]
    if layer is not None and layer not in tensors:
        similar = difflib.get_close_matches(layer, tensors, n=1) or [next(iter(tensors))]
        raise ValueError(f"`layer` must be the name of a layer, such as {similar[0]!r}. Received: layer={layer!r}")
    maps = pooled if layer is None else tensors[layer]
    if not maps or any(len(tensor.shape) != 4 for tensor in maps):
        shapes = [tuple(tensor.shape) for tensor in maps]
        of = "there is none before a pooling" if layer is None else f"{layer!r} returns {shapes}"
        raise ValueError(f"`layer` must return a feature map (batch, height, width, channels), and {of}")
    return maps


def _logits(output):
    """Returns the tensor before the softmax of a classifier's output, or the output if there is no softmax."""
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
    """A copy of the `Dense` layer of a classifier without its softmax, with shared weights."""

    def __init__(self, dense):
        super().__init__(dtype=dense.dtype_policy)
        self.dense = dense

    def call(self, inputs):
        outputs = ops.matmul(inputs, self.dense.kernel)
        return outputs if self.dense.bias is None else outputs + self.dense.bias


def _class_number(given, count, class_names):
    """Returns the number of a class, or raises ValueError for an unknown class."""
    if isinstance(given, str):
        names = list(class_names or ())
        if given not in names:
            similar = difflib.get_close_matches(given, names, n=1)
            hint = f", such as {similar[0]!r}" if similar else "" if names else ", which need `class_names`"
            raise ValueError(f"`classes` must be names of the model's classes{hint}. Received: {given!r}")
        return names.index(given)
    if isinstance(given, bool) or not 0 <= int(given) < count:
        raise ValueError(f"`classes` must be numbers from 0 to {count - 1}. Received: {given!r}")
    return int(given)


def _gradient(function: Callable, inputs: Any) -> Any:
    """Returns the gradients of a scalar function of a list of tensors, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = function(inputs)
        return tape.gradient(value, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    if backend == "jax":
        import jax

        return jax.grad(function)(inputs)
    import torch

    inputs = [tensor.detach().requires_grad_() for tensor in inputs]
    return torch.autograd.grad(function(inputs), inputs, allow_unused=True, materialize_grads=True)
