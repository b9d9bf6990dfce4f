"""Where a number that is not finite came from: steps run again, and a look at the layers of the first that fails."""

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
        self._values = [ops.copy(ops.stop_gradient(value)) for value in _values(self._variables)]

    def _synchronize(self):
        if keras.backend.backend() == "jax":  # where `fit` trains other variables than the model's
            self._model.jax_state_sync()

    def restore(self) -> None:
        """Gives the variables the values that they had."""
        self._synchronize()  # or they would be overwritten
        _assign(self._variables, self._values)


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
    """Runs training steps again until a number is not finite, and looks for it layer by layer.

    Args:
        model: compiled model, restored to its state before the first of these steps. It is trained again.
        batches: iterable of the batches of these steps.

    Returns:
        A `Finding`, or None if all is finite.
    """
    # Such an optimizer leaves out a step whose gradients are not finite, and scales the next loss down.
    may_overflow = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    loss_and_gradients, apply = _functions_of(model)
    for step, batch in enumerate(batches):
        batch = keras.tree.map_structure(lambda tensor: ops.convert_to_tensor(np.asarray(tensor)), batch)
        state = [ops.copy(value) for value in _values(model.non_trainable_variables)]
        loss, gradients = loss_and_gradients(batch)
        if not _is_finite(loss) or not (may_overflow or all(map(_is_finite, gradients))):
            _assign(model.non_trainable_variables, state)  # such as seeds: dropout is to drop the same
            return Finding(step, *_inside(model, batch, gradients))
        apply(gradients)
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
            of_images = (layer.attention_logits(inputs[index : index + 1]) for index in range(len(inputs)))
            largest = np.max([_largest(logits) for logits in of_images])
            chosen = layer.implementation
            if chosen == "auto":
                chosen = attention.choose_implementation(layer.attention_spec(tuple(inputs.shape[1:3])))
            return f'{details}, logits of attention of up to {largest:.3g} and implementation="{chosen}"', chosen
    return details, None


def _largest(tensors):
    """Returns the largest absolute value in a structure of tensors, NaN if there is one."""
    tensors = [ops.stop_gradient(ops.cast(tensor, "float32")) for tensor in keras.tree.flatten(tensors)]
    return np.max([0.0, *(np.abs(ops.convert_to_numpy(tensor)).max() for tensor in tensors)])


def _is_finite(tensor):
    tensor = ops.convert_to_tensor(tensor)
    return "float" not in keras.backend.standardize_dtype(tensor.dtype) or bool(ops.all(ops.isfinite(tensor)))


def _functions_of(model):
    """Returns two functions: of a batch, that returns its loss and the gradients; of gradients, the optimizer's step.

    The loss is scaled as the optimizer wants it.
    """
    variables = model.trainable_variables

    def loss(batch):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        outputs = model(images, training=True)
        of_batch = model.compute_loss(images, labels, outputs, weights, training=True)
        return model.optimizer.scale_loss(of_batch)

    def apply(gradients):
        model.optimizer.apply(gradients, variables)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def loss_and_gradients(batch):
            with tf.GradientTape() as tape:
                total = loss(batch)
            return total, tape.gradient(total, _values(variables), unconnected_gradients="zero")

        return loss_and_gradients, apply
    if keras.backend.backend() == "torch":
        import torch

        def loss_and_gradients_of_torch(batch):
            total = loss(batch)
            gradients = torch.autograd.grad(total, _values(variables), allow_unused=True, materialize_grads=True)
            return total.detach(), gradients

        return loss_and_gradients_of_torch, torch.no_grad()(apply)
    return _functions_of_jax(model, loss)


def _functions_of_jax(model, loss):
    """The same on JAX, where each function is compiled: to compile each operation alone would take minutes."""
    import jax

    variables, optimizer = model.trainable_variables, model.optimizer
    others = [*model.non_trainable_variables, *optimizer.variables]

    @jax.jit
    def gradient(values, states, batch):
        def of_values(values):
            mapping = [*zip(variables, values, strict=True), *zip(others, states, strict=True)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                total = loss(batch)
            return total, [scope.get_current_value(variable) for variable in others]

        return jax.value_and_grad(of_values, has_aux=True)(values)

    def loss_and_gradients(batch):
        (total, states), gradients = gradient(_values(variables), _values(others), batch)
        _assign(others, states)
        return total, gradients

    step = jax.jit(optimizer.stateless_apply)

    def apply(gradients):
        values, states = step(_values(optimizer.variables), gradients, _values(variables))
        _assign([*variables, *optimizer.variables], [*values, *states])

    return loss_and_gradients, apply


def _values(variables):
    return [variable.value for variable in variables]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
