"""The weights that an augmented convolution takes from a plain one."""

import keras
import numpy as np

from aa_keras._keras_compat import calls_of_output
from aa_keras.layers.augmented_conv import AttentionAugmentedConv2D


def kept_channels(augmented):
    """Returns how many channels of an `AttentionAugmentedConv2D`, its first ones, are the convolution's."""
    return 0 if augmented.convolution is None else augmented.convolution.filters


def take_weights(layer, weights, augmented, followers):
    """Copies the weights of a layer of a plain network to its counterpart in an augmented one, as far as they fit.

    Args:
        layer: the counterpart, built.
        weights: list of the weights of the layer.
        augmented: the augmented convolutions whose counterparts are plain.
        followers: `normalizations_after` them.
    """
    if layer in augmented:
        take_kept_channels(layer, weights)
    elif layer in followers:
        take_kept_statistics(layer, weights, kept_channels(followers[layer]))
    else:
        layer.set_weights(weights)


def take_kept_channels(augmented, weights):
    """Copies the kernel and the bias of the channels that remain the convolution's to an augmented convolution.

    Args:
        augmented: `AttentionAugmentedConv2D`, built.
        weights: list of a `Conv2D`'s kernel and, where it has one, bias.
    """
    if augmented.convolution is not None:
        augmented.convolution.set_weights([weight[..., : kept_channels(augmented)] for weight in weights])


def quiet_attention(augmented, weights):
    """Lets attention in an augmented convolution start with the bias of the channels that it replaces, without noise.

    The kernel of its output projection is scaled by 1/1000. New blocks start likewise in ControlNet (Zhang et al., ICCV
    2023) and ReZero (Bachlechner et al., 2021), where they return 0; but that is added to something else, and here a
    ReLU may follow, whose gradient at 0 and below is 0: attention would never learn. For the same reason a bias below 0
    is not taken.

    Args:
        augmented: `AttentionAugmentedConv2D`, built.
        weights: list of a `Conv2D`'s kernel and, where it has one, bias.
    """
    projection = augmented.self_attention.output_projection
    projection.kernel.assign(1e-3 * np.array(projection.kernel))
    for bias in weights[1:]:
        projection.bias.assign(np.maximum(bias[kept_channels(augmented) :], 0))


def take_kept_statistics(normalization, weights, kept):
    """Copies the first `kept` channels of a batch normalization to one after an augmented convolution.

    The other channels are attention's, whose statistics are new. They start with the scale 0, and with the offset with
    which the next layers see the mean of the channels that they replace. Anything else would be noise, which takes
    longer to unlearn than attention takes to learn. That is the mean after a ReLU or another activation, not before:
    otherwise a negative offset would also keep a ReLU, and with it the channel, at 0 for good.

    Args:
        normalization: `keras.layers.BatchNormalization`, in a functional model.
        weights: list of the weights of the other one.
        kept: integer.
    """
    names = [variable.name for variable in normalization.weights]
    replaced = {name: np.asarray(weight)[kept:] for name, weight in zip(names, weights, strict=True)}
    starts = {"gamma": 0, "beta": _offsets(_activation_after(normalization), **replaced)}
    for variable, weight in zip(normalization.weights, weights, strict=True):
        value = np.array(variable)
        value[:kept] = weight[:kept]
        value[kept:] = starts.get(variable.name, value[kept:])
        variable.assign(value)


def _activation_after(normalization):
    """Returns the activation that takes the output of a batch normalization, if nothing else does, or None."""
    nodes = calls_of_output(normalization)
    kinds = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)
    return nodes[0].operation if len(nodes) == 1 and isinstance(nodes[0].operation, kinds) else None


def _offsets(activation, beta=0.0, gamma=1.0, **_):
    """Returns the offset of each channel of which an activation makes the mean that it makes of the channel.

    A channel after a batch normalization has about a normal distribution, around its offset with its scale.
    """
    if activation is None:
        return beta
    normal = np.linspace(-4, 4, 1025)
    density = np.exp(-(normal**2) / 2) / np.exp(-(normal**2) / 2).sum()
    values = np.reshape(beta, (-1, 1)) + np.abs(np.reshape(gamma, (-1, 1))) * normal
    activated = keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(values, "float32")))
    distance = np.abs(activated - (activated @ density)[:, None])
    # If there are several, the one with the largest gradient: not where a ReLU is flat.
    is_near = distance <= distance.min(axis=1, keepdims=True) + 1e-3 * np.ptp(values, axis=1, keepdims=True)
    chosen = np.argmax(np.where(is_near, np.gradient(activated, axis=1), -np.inf), axis=1)
    return values[np.arange(len(values)), chosen]


def normalizations_after(layers, of):
    """Returns a dictionary from batch normalizations to the augmented convolutions that they follow.

    Args:
        layers: layers of a functional model and of its nested models.
        of: the augmented convolutions among them to look at.
    """
    outputs = {id(output): layer for layer in of for output in _output(layer, AttentionAugmentedConv2D)}
    return {
        layer: outputs[id(layer.input)]
        for layer in layers
        for _ in _output(layer, keras.layers.BatchNormalization)
        if id(layer.input) in outputs
    }


def _output(layer, kind):
    """Yields the output of a layer of a kind, if it is called exactly once."""
    if isinstance(layer, kind):
        try:
            yield layer.output
        except (AttributeError, ValueError):  # Keras raises them for layers that are called never or twice
            return
