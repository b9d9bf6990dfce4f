"""A network whose attention is known."""

import keras
import numpy as np

from aa_keras.layers import AttentionAugmentedConv2D

# How far below and to the right of a pixel its second head looks, where there is such a pixel.
SHIFT = (1, 2)


def shifting_network():
    """A classifier of images of 8x12 with two layers: attention of each pixel of a 4x6 map to itself, and to `SHIFT`.

    Queries are the same everywhere, one vector a head, and so is what they find in the tables of relative positions.
    """
    inputs = keras.Input((8, 12, 3))
    layer = AttentionAugmentedConv2D(8, 3, strides=2, num_heads=2, min_key_dim=2, name="shifting")
    outputs = layer(inputs)
    even = AttentionAugmentedConv2D(8, 3, num_heads=2, min_key_dim=2, name="even")
    outputs = keras.layers.GlobalAveragePooling2D()(even(outputs))
    outputs = keras.layers.Dense(3, activation="softmax", name="predictions")(outputs)
    for each in (layer, even):
        convolution = each.self_attention.query_key_value
        convolution.set_weights([np.zeros_like(np.asarray(weight)) for weight in convolution.get_weights()])
    kernel, bias = layer.self_attention.query_key_value.get_weights()
    bias[:4] = [20, 0, 0, 20]  # a query for each head
    layer.self_attention.query_key_value.set_weights([kernel, bias])
    tables = []
    for length, shift in zip((4, 6), SHIFT, strict=True):
        table = np.zeros((2 * length - 1, 2), "float32")
        table[length - 1, 0] = 1
        table[length - 1 + shift, 1] = 1
        tables.append(table)
    layer.self_attention.relative_embedding.set_weights(tables)
    return keras.Model(inputs, outputs, name="shifting_network")
