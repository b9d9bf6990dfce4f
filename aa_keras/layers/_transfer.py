"""From a convolution to an augmented one: which weights stay what they are."""

import keras

from aa_keras.layers.augmented_conv import AttentionAugmentedConv2D


def kept_channels(augmented):
    """Returns how many channels of an `AttentionAugmentedConv2D`, its first ones, are the convolution's."""
    return 0 if augmented.convolution is None else augmented.convolution.filters


def take_kept_channels(augmented, weights):
    """Gives an augmented convolution the kernel, and the bias, of the channels that remain the convolution's.

    Args:
        augmented: `AttentionAugmentedConv2D`, built.
        weights: list of a `Conv2D`'s kernel and, where it has one, bias.
    """
    if augmented.convolution is not None:
        augmented.convolution.set_weights([weight[..., : kept_channels(augmented)] for weight in weights])


def take_kept_statistics(normalization, weights, kept):
    """Gives a batch normalisation the scale, offset and statistics of its first `kept` channels; the others stay new.

    Those of attention have no past: the mean and the deviation of the convolution's channels that were there before
    would throw them off.

    Args:
        normalization: `keras.layers.BatchNormalization`, built.
        weights: list of another one's weights.
        kept: integer.
    """
    values = normalization.get_weights()
    for value, weight in zip(values, weights, strict=True):
        value[:kept] = weight[:kept]
    normalization.set_weights(values)


def normalizations_behind(layers, of):
    """Returns the batch normalisations that follow augmented convolutions: a dictionary from them to these.

    Args:
        layers: layers of a functional model, of it and its nested models alike.
        of: the augmented convolutions among them that are asked for.
    """
    outputs = {id(output): layer for layer in of for output in _output(layer, AttentionAugmentedConv2D)}
    return {
        layer: outputs[id(layer.input)]
        for layer in layers
        for _ in _output(layer, keras.layers.BatchNormalization)
        if id(layer.input) in outputs
    }


def _output(layer, kind):
    """Yields the output of a layer of a kind, unless it is called more or less than once."""
    if isinstance(layer, kind):
        try:
            yield layer.output
        except (AttributeError, ValueError):  # Keras raises them for layers that are called never or twice
            return
