"""Networks to explain, one of which has an attention that is known, and what an explorer's page holds."""

import base64
import json
import re
import zlib

import keras
import numpy as np

from aa_keras.layers import AttentionAugmentedConv2D, SelfAttention2D

from .layers import randomize_weights

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


def images_of(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def augmented(name, **options):
    return AttentionAugmentedConv2D(8, 3, num_heads=2, min_key_dim=3, name=name, **options)


def small_network(size=(12, 10)):
    """A pooled, a strided, a shared and a nested layer; and one of attention alone."""
    inputs = keras.Input((*size, 3))
    outputs = augmented("pooled", attention_pooling=2, max_size=(12, 10))(inputs)
    outputs = augmented("strided", strides=2, max_size=(12, 10))(outputs)
    shared = augmented("shared", max_size=(6, 5))
    outputs = shared(shared(outputs))
    middle = keras.Input(outputs.shape[1:])
    inner = keras.Model(middle, augmented("deep", max_size=(6, 5))(middle), name="inner")
    outputs = SelfAttention2D(2, 3, position_encoding="sinusoidal", name="bare")(inner(outputs))
    return randomize_weights(keras.Model(inputs, outputs, name="network"))


def content_of(page):
    """The data of a page, with arrays (heads, query height, query width, key height, key width)."""
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    content = json.loads(data)
    for layer in content["layers"]:
        shape = (layer["heads"], *layer["size"])
        largest = np.frombuffer(base64.b64decode(layer["largest"]), "<f4").reshape(*shape, 1, 1)
        values = np.frombuffer(zlib.decompress(base64.b64decode(layer["values"])), np.uint8)
        layer["attention"] = largest * values.reshape(*shape, *layer["size"]) / 255
    return content
