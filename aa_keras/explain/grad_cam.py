"""Grad-CAM: the parts of an image that speak for a class, by gradients."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from aa_keras.errors import is_integer
from aa_keras.explain import graph
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
    2020). Any model with a method `class_logits` and an attribute `explained_layer` is treated in this way: see
    `RetinaNet`.

    Args:
        model: functional or `Sequential` classifier, with models of these kinds in it or not, whose outputs are
            probabilities or logits (batch, classes); or a detector of this library. A softmax or sigmoid at the end is
            left out. A single output is that of the second of two classes: the map of class 0 has what speaks against.
        images: input of the model: array (batch, height, width, channels), preprocessed.
        classes: class by number, or by name; or a sequence with one for each image. None takes the most probable class
            of each image.
        class_names: names of the classes, for classes by name.
        layer: name of the layer whose feature map to use, in a nested model after the model's name and a slash:
            "backbone/stage2_block1_conv2". None takes the last map of at least 2x2 pixels; of a detector, its pyramid.

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
    network = _Network(model, images, layer)
    logits = network.logits_of(network.maps)
    count = logits.shape[0]
    if classes is None:
        numbers = np.argmax(ops.convert_to_numpy(logits), axis=1)
    else:
        given = [classes] * count if isinstance(classes, (int, str, np.integer)) else list(classes)
        if len(given) != count:
            raise ValueError(f"`classes` must be one, or {count}, one for each image. Received: {len(given)}")
        numbers = np.array([_class_number(each, logits.shape[1], class_names) for each in given])
    chosen = ops.one_hot(numbers, logits.shape[1], dtype="float32")
    gradients = _gradient(lambda maps: ops.sum(network.logits_of(maps) * chosen), network.maps)
    speaking = np.float32(0)
    for level, gradient in zip(network.maps, gradients, strict=True):  # the finest map first
        level, gradient = (ops.convert_to_numpy(ops.cast(each, "float32")) for each in (level, gradient))
        weights = gradient if network.is_local else gradient.mean(axis=(1, 2), keepdims=True)
        of_level = np.maximum((weights * level).sum(axis=-1), 0)
        speaking = speaking + (_enlarged(of_level, speaking.shape[1:]) if np.ndim(speaking) else of_level)
    largest = speaking.max(axis=(1, 2), keepdims=True)
    return speaking / np.where(largest > 0, largest, 1)


def _enlarged(maps, size):
    """Repeats the rows and columns of maps (batch, height, width) until they have a size."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, maps.shape[1:], strict=True))
    return maps[:, rows][:, :, columns]


class _Network:
    """A network that is run twice: up to its feature maps, and from there to logits.

    Args:
        model: the model.
        images: its input.
        layer: name of the layer whose feature maps to use, or None.

    Attributes:
        maps: list of feature maps, tensors (batch, height, width, channels).
        is_local: whether a logit is that of a place in the image, such as a detector's.
    """

    def __init__(self, model, images, layer):
        if not graph.is_graph(model):
            raise ValueError(f"`model` must be a functional or Sequential classifier. Received: model={model!r}")
        self._class_logits = getattr(model, "class_logits", None)
        self.is_local = self._class_logits is not None
        if not self.is_local and (len(model.outputs) != 1 or len(model.outputs[0].shape) != 2):
            raise ValueError(
                "`model` must return probabilities or logits (batch, classes). Received: a model that returns "
                f"{[tuple(tensor.shape) for tensor in model.outputs]}"
            )
        self._model, self._images = model, keras.tree.map_structure(as_tensor, images)
        outputs, calls = graph.run(model, self._images)
        self._activation = None if self.is_local else graph.final_activation(keras.tree.flatten(outputs)[0], calls)
        self._number = _call_of(model, layer or getattr(model, "explained_layer", None), calls)
        # Without a map in the network, the images themselves are the last one.
        self._structure = self._images if self._number is None else calls[self._number].outputs
        self.maps = keras.tree.flatten(self._structure)

    def logits_of(self, maps):
        """Returns the logits (batch, classes) of images with some feature maps; of a detector, those of the best box.

        A single output, that of a sigmoid, has the logits of two classes, against and for it.
        """
        replaced = keras.tree.pack_sequence_as(self._structure, maps)
        activation, without = self._activation or (None, None)

        def replace(number, operation, args):
            if number == self._number:
                return replaced
            return without(operation, args) if number == activation else None

        images = replaced if self._number is None else self._images
        outputs, _ = graph.run(self._model, images, replace)
        if self.is_local:
            return self._class_logits(outputs)
        logits = ops.cast(keras.tree.flatten(outputs)[0], "float32")
        return logits if logits.shape[1] > 1 else ops.concatenate([-logits, logits], axis=1)


def _call_of(model, layer, calls):
    """Returns the number of the call that returns the feature maps: the last one of a layer, or of any map.

    The last map is that of at least 2x2 pixels: afterwards it is pooled. None if there is none but the images.
    """
    if layer is None:
        maps = [number for number, call in enumerate(calls) if _is_map(call.outputs, least=2)]
        if not maps and not any(_is_map(tensor) for tensor in calls[0].inputs):
            raise ValueError(
                "`layer` must return a feature map (batch, height, width, channels), and there is none before a pooling"
            )
        return maps[-1] if maps else None
    names = [call.name for call in calls]
    if layer not in names:
        inside = [name for name in names if name.endswith(f"/{layer}")]
        similar = inside or difflib.get_close_matches(layer, names, n=1) or names[-1:]
        raise ValueError(f"`layer` must be the name of a layer, such as {similar[0]!r}. Received: layer={layer!r}")
    number = len(names) - 1 - names[::-1].index(layer)
    tensors = keras.tree.flatten(calls[number].outputs)
    if not all(map(_is_map, tensors)):
        shapes = [(None, *tensor.shape[1:]) for tensor in tensors]
        raise ValueError(
            f"`layer` must return a feature map (batch, height, width, channels), and {layer!r} returns {shapes}"
        )
    return number


def _is_map(tensor, least=1):
    shape = getattr(tensor, "shape", ())
    return len(shape) == 4 and min(shape[1:3]) >= least


def _class_number(given, count, class_names):
    """Returns the number of a class, or raises ValueError for an unknown class."""
    if isinstance(given, str):
        names = list(class_names or ())
        if given not in names:
            similar = difflib.get_close_matches(given, names, n=1)
            hint = f", such as {similar[0]!r}" if similar else "" if names else ", which need `class_names`"
            raise ValueError(f"`classes` must be names of the model's classes{hint}. Received: {given!r}")
        return names.index(given)
    if not is_integer(given) or not 0 <= int(given) < count:
        raise ValueError(f"`classes` must be numbers from 0 to {count - 1}. Received: {given!r}")
    return int(given)


def _gradient(function: Callable, inputs: Any) -> Any:
    """Returns the gradients of a scalar function of a list of tensors, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            value = function(inputs)
        return tape.gradient(value, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    if backend == "jax":
        import jax

        return jax.grad(function)(inputs)
    import torch

    inputs = [tensor.detach().requires_grad_() for tensor in inputs]
    return torch.autograd.grad(function(inputs), inputs, allow_unused=True, materialize_grads=True)
