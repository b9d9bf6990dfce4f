"""Where a number that is not finite came from: steps run again outside of the compiled step, with a look inside."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from aa_keras import attention
from aa_keras.explain import graph
from aa_keras.layers import SelfAttention2D
from aa_keras.layers._observation import observed


class Snapshot:
    """The state of a model in training, on its device: variables of the model and of its optimizer.

    Args:
        model: compiled model.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._synchronize()
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        self._variables = [*model.variables, *model.optimizer.variables]
        self._values = [ops.copy(ops.stop_gradient(variable.value)) for variable in self._variables]

    def _synchronize(self):
        if keras.backend.backend() == "jax":  # where `fit` trains other variables than the model's
            self._model.jax_state_sync()

    def restore(self) -> None:
        """Gives the variables the values that they had."""
        self._synchronize()  # or they would be overwritten
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        step: number of the first step with a number that is not finite, from 0.
        sentence: what is not finite in it, as a sentence without its full stop.
        implementation: the implementation of the attention that it is in, or None.
    """

    step: int
    sentence: str
    implementation: str | None = None


def find(model: keras.Model, batches: Any) -> Finding | None:
    """Runs training steps again, operation by operation, until a number is not finite.

    Each layer, gradient and weight is looked at as soon as the loss or a gradient is not finite.

    Args:
        model: compiled model, restored to its state before the first of these steps. It is trained again.
        batches: iterable of the batches of these steps.

    Returns:
        A `Finding`, or None if all is finite.
    """
    # Such an optimizer leaves out a step whose gradients are not finite, and scales the next loss down.
    may_overflow = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    for step, batch in enumerate(batches):
        batch = keras.tree.map_structure(lambda tensor: ops.convert_to_tensor(np.asarray(tensor)), batch)
        state = [(variable, ops.copy(variable.value)) for variable in model.non_trainable_variables]
        loss, gradients = _loss_and_gradients(model, batch)
        if not _is_finite(loss) or not (may_overflow or all(map(_is_finite, gradients))):
            for variable, value in state:  # such as seeds: dropout is to drop the same
                variable.assign(value)
            return Finding(step, *_inside(model, batch, gradients))
        _apply(model, gradients)
        for variable in model.weights:
            if not _is_finite(variable.value):
                return Finding(step, f"The loss and its gradients are finite, and the update of {variable.path} is not")
    return None


def _inside(model, batch, gradients):
    """Returns what is not finite in a step, from its batch and its gradients: the later fields of a `Finding`."""
    images, *_ = keras.utils.unpack_x_y_sample_weight(batch)
    maps = {}  # the inputs of each attention
    if not graph.is_graph(model):
        return ("Its loss or its gradients are not finite",)
    with observed(lambda layer, inputs: maps.setdefault(layer.path, inputs)):
        outputs, calls = graph.run(model, images, training=True)
    for call in calls:
        if not all(map(_is_finite, keras.tree.flatten(call.outputs))):
            details, implementation = _details(call, maps)
            return f"The first layer whose output is not finite is {call.name}{details}", implementation
    # Backwards, as gradients are computed.
    for variable, gradient in reversed(list(zip(model.trainable_variables, gradients, strict=True))):
        if not _is_finite(gradient):
            owners = (call for call in calls if any(variable is each for each in _variables_of(call.operation)))
            details, implementation = _details(next(owners), maps)
            sentence = "All layers' outputs are finite, and the first gradient that is not, from the loss backwards, is"
            return f"{sentence} that of {variable.path}{details}", implementation
    return (f"The outputs of the network are finite, up to {_largest(outputs):.3g}, and their loss is not",)


def _variables_of(operation):
    return getattr(operation, "variables", ())  # functions of `keras.ops` have none


def _details(call, maps):
    """Returns the largest input of a call, and the largest logit of attention in it; and its implementation or None."""
    details = f", with inputs of up to {_largest(call.inputs):.3g}"
    for layer in [call.operation, *getattr(call.operation, "_flatten_layers", list)()]:
        if isinstance(layer, SelfAttention2D) and layer.path in maps:
            inputs = maps[layer.path]
            largest = max(_largest(layer.attention_logits(inputs[index : index + 1])) for index in range(len(inputs)))
            chosen = layer.implementation
            if chosen == "auto":
                chosen = attention.choose_implementation(layer.attention_spec(tuple(inputs.shape[1:3])))
            return f'{details}, logits of attention of up to {largest:.3g} and implementation="{chosen}"', chosen
    return details, None


def _largest(tensors):
    """Returns the largest absolute value in a structure of tensors."""
    tensors = [ops.stop_gradient(ops.cast(tensor, "float32")) for tensor in keras.tree.flatten(tensors)]
    return max((float(ops.max(ops.abs(tensor))) for tensor in tensors), default=0.0)


def _is_finite(tensor):
    tensor = ops.convert_to_tensor(tensor)
    return "float" not in keras.backend.standardize_dtype(tensor.dtype) or bool(ops.all(ops.isfinite(tensor)))


def _loss_and_gradients(model, batch):
    """Returns the loss of a batch in training, scaled as the optimizer wants it, and its gradients for the weights."""
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
    variables = model.trainable_variables

    def loss():
        outputs = model(images, training=True)
        of_batch = model.compute_loss(images, labels, outputs, weights, training=True)
        return model.optimizer.scale_loss(of_batch)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            total = loss()
        values = [variable.value for variable in variables]
        return total, tape.gradient(total, values, unconnected_gradients="zero")
    if keras.backend.backend() == "torch":
        import torch

        total = loss()
        values = [variable.value for variable in variables]
        return total.detach(), torch.autograd.grad(total, values, allow_unused=True, materialize_grads=True)
    import jax

    def of_values(values):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            total = loss()
        return total, [scope.get_current_value(variable) for variable in model.non_trainable_variables]

    values = [variable.value for variable in variables]
    (total, state), gradients = jax.value_and_grad(of_values, has_aux=True)(values)
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        if value is not None:
            variable.assign(value)
    return total, gradients


def _apply(model, gradients):
    """Makes the step of the optimizer."""
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            model.optimizer.apply(gradients, model.trainable_variables)
    else:
        model.optimizer.apply(gradients, model.trainable_variables)
