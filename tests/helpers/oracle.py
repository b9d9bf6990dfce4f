"""A NumPy oracle of the operator: plain loops in float64 that share nothing with the library.

Written from the paper (Bello et al., ICCV 2019, section 3) and from what the layers' documentation promises. Maps are
(batch, height, width, channels); a query is the pixel (y, x), a key the pixel (y', x').
"""

import itertools
import math

import numpy as np


def embedding_of(table, offset):
    """The row of a relative table for an offset, clipped to the furthest one that the table has."""
    furthest = (len(table) - 1) // 2
    return table[max(-furthest, min(furthest, offset)) + furthest]


def attention(queries, keys, values, height_table=None, width_table=None):
    """One image and one head: (H, W, key_dim), (H, W, key_dim), (H, W, value_dim) to outputs and (HW, HW) scores."""
    height, width, key_dim = queries.shape
    outputs = np.zeros(values.shape)
    scores = np.zeros((height * width, height * width))
    for y, x in itertools.product(range(height), range(width)):
        query = queries[y, x] / math.sqrt(key_dim)
        exponentials = np.zeros((height, width))
        for y_key, x_key in itertools.product(range(height), range(width)):
            logit = query @ keys[y_key, x_key]
            if height_table is not None:
                logit += query @ embedding_of(height_table, y_key - y)
                logit += query @ embedding_of(width_table, x_key - x)
            exponentials[y_key, x_key] = math.exp(logit)
        for y_key, x_key in itertools.product(range(height), range(width)):
            probability = exponentials[y_key, x_key] / exponentials.sum()
            scores[y * width + x, y_key * width + x_key] = probability
            outputs[y, x] += probability * values[y_key, x_key]
    return outputs, scores


def add_sinusoids(image):
    """Half of the channels encode the row and half the column: sines, then cosines, from period 2 pi to 20000 pi."""
    height, width, channels = image.shape
    quarter = channels // 4
    encoded = image.copy()
    for y, x, k in itertools.product(range(height), range(width), range(quarter)):
        scale = 10000.0 ** (k / (quarter - 1)) if quarter > 1 else 1.0
        encoded[y, x, k] += math.sin(y / scale)
        encoded[y, x, quarter + k] += math.cos(y / scale)
        encoded[y, x, 2 * quarter + k] += math.sin(x / scale)
        encoded[y, x, 3 * quarter + k] += math.cos(x / scale)
    return encoded


def append_coordinates(image):
    """Appends the row and the column of each pixel, in [-1, 1]."""
    height, width, _ = image.shape
    rows = np.linspace(-1, 1, height) if height > 1 else np.zeros(1)
    columns = np.linspace(-1, 1, width) if width > 1 else np.zeros(1)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    return np.concatenate([image, grid], axis=-1)


def self_attention(inputs, weights, num_heads, key_dim, value_dim, position_encoding):
    """All of `SelfAttention2D`: inputs (B, H, W, C) to outputs (B, H, W, heads * value_dim) and scores.

    `weights` maps "qkv/kernel", "qkv/bias", "output/kernel", "output/bias", "relative/height_table" and
    "relative/width_table" to arrays; biases may be absent.
    """
    encode = {"sinusoidal": add_sinusoids, "coordinates": append_coordinates}.get(position_encoding, np.copy)
    tables = ()
    if position_encoding == "relative":
        tables = weights["relative/height_table"], weights["relative/width_table"]
    outputs, scores = [], []
    for image in inputs.astype("float64"):
        projected = encode(image) @ weights["qkv/kernel"][0, 0] + weights.get("qkv/bias", 0.0)
        heads = []
        for head in range(num_heads):
            first_key = num_heads * key_dim
            first_value = 2 * num_heads * key_dim
            heads.append(
                attention(
                    projected[:, :, head * key_dim : (head + 1) * key_dim],
                    projected[:, :, first_key + head * key_dim : first_key + (head + 1) * key_dim],
                    projected[:, :, first_value + head * value_dim : first_value + (head + 1) * value_dim],
                    *tables,
                )
            )
        merged = np.concatenate([head_outputs for head_outputs, _ in heads], axis=-1)
        outputs.append(merged @ weights["output/kernel"][0, 0] + weights.get("output/bias", 0.0))
        scores.append([head_scores for _, head_scores in heads])
    return np.array(outputs), np.array(scores)


def average_pool_3x3(inputs, strides):
    """3x3 average pooling, padding "same": an average over the pixels that are there, not over the padding."""
    batch, height, width, channels = inputs.shape
    pooled_height, first_row = _same_padding(height, strides[0])
    pooled_width, first_column = _same_padding(width, strides[1])
    pooled = np.zeros((batch, pooled_height, pooled_width, channels))
    for y, x in itertools.product(range(pooled_height), range(pooled_width)):
        top, left = y * strides[0] + first_row, x * strides[1] + first_column
        window = inputs[:, max(top, 0) : min(top + 3, height), max(left, 0) : min(left + 3, width)]
        pooled[:, y, x] = window.mean(axis=(1, 2))
    return pooled


def _same_padding(size, stride):
    """The length that padding "same" gives, and where its first window of 3 starts (0 or below)."""
    length = math.ceil(size / stride)
    padding = max((length - 1) * stride + 3 - size, 0)
    return length, -(padding // 2)


def resize_bilinear(inputs, size):
    """Bilinear resize with half-pixel centres and without antialiasing, edges repeated."""
    batch, height, width, channels = inputs.shape
    resized = np.zeros((batch, *size, channels))
    for y, x in itertools.product(range(size[0]), range(size[1])):
        above, below, down = _neighbours(y, height, size[0])
        left, right, across = _neighbours(x, width, size[1])
        upper = (1 - across) * inputs[:, above, left] + across * inputs[:, above, right]
        lower = (1 - across) * inputs[:, below, left] + across * inputs[:, below, right]
        resized[:, y, x] = (1 - down) * upper + down * lower
    return resized


def _neighbours(index, old_size, new_size):
    source = min(max((index + 0.5) * old_size / new_size - 0.5, 0.0), old_size - 1.0)
    below = math.floor(source)
    return below, min(below + 1, old_size - 1), source - below


def augmented_attention(inputs, strides, attention_pooling, weights, num_heads, key_dim, value_dim, position_encoding):
    """The attention branch of `AttentionAugmentedConv2D`: pooling, attention and resize to the strided size."""
    attended = inputs.astype("float64")
    if max(strides) > 1:
        attended = average_pool_3x3(attended, strides)
    strided_size = attended.shape[1:3]
    if attention_pooling > 1:
        attended = average_pool_3x3(attended, (attention_pooling, attention_pooling))
    attended, _ = self_attention(attended, weights, num_heads, key_dim, value_dim, position_encoding)
    return resize_bilinear(attended, strided_size) if attention_pooling > 1 else attended
