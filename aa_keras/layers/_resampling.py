"""Average pooling and bilinear resizing of maps, also of sizes that are known only when a graph runs."""

from keras import ops

from aa_keras.attention.shapes import shape_of


def strided(size, strides):
    """Returns (height, width) after strides, an integer or one for each axis, with padding "same"; None stays None."""
    strides = strides if isinstance(strides, tuple) else (strides, strides)
    return tuple(None if length is None else -(-length // stride) for length, stride in zip(size, strides, strict=True))


def average_pool(inputs, strides):
    """Average-pools maps with 3x3 windows and padding "same"; each window averages the pixels inside the map.

    `keras.ops.average_pool` does this on TensorFlow and JAX; on PyTorch it repeats the edge where the padding of the
    two sides differs (Keras 3.15).

    Args:
        inputs: tensor of shape (B, H, W, channels).
        strides: pair (vertical, horizontal) of integers.

    Returns:
        A tensor of shape (B, ceil(H / strides[0]), ceil(W / strides[1]), channels) and the same type.
    """
    _, height, width, _ = shape_of(inputs)
    padding = [_same_padding(length, stride) for length, stride in zip((height, width), strides, strict=True)]

    def pooled(maps):
        padded = ops.pad(maps, ((0, 0), *padding, (0, 0)))
        return ops.average_pool(padded, 3, strides, padding="valid", data_format="channels_last")

    return pooled(inputs) / pooled(ops.ones((1, height, width, 1), dtype=inputs.dtype))


def _same_padding(length, stride):
    """Returns the padding before and after an axis with which windows of 3 at every `stride` cover it."""
    missing = (-(-length // stride) - 1) * stride + 3 - length
    missing = max(missing, 0) if isinstance(length, int) else ops.maximum(missing, 0)
    return missing // 2, missing - missing // 2


def resize_bilinear(inputs, size):
    """Resizes maps bilinearly, with half-pixel centres, as `keras.ops.image.resize` does without antialiasing.

    Unlike that function, this one takes sizes that are known only when the graph runs. It interpolates along each axis
    by a product with a matrix that has two entries in each row.

    Args:
        inputs: tensor of shape (B, H, W, channels).
        size: pair (height, width) of integers or scalar integer tensors.

    Returns:
        A tensor of shape (B, height, width, channels) and the same type.
    """
    _, height, width, _ = shape_of(inputs)
    rows = _interpolation(height, size[0], inputs.dtype)
    columns = _interpolation(width, size[1], inputs.dtype)
    return ops.einsum("byxc,vx->byvc", ops.einsum("byxc,uy->buxc", inputs, rows), columns)


def _interpolation(old, new, dtype):
    """Returns the matrix (new, old) that interpolates between the `old` positions of an axis."""
    scale = ops.cast(old, "float32") / ops.cast(new, "float32")
    last = ops.cast(old - 1, "float32")
    centre = ops.clip((ops.arange(new, dtype="float32") + 0.5) * scale - 0.5, 0.0, last)
    distance = ops.abs(centre[:, None] - ops.arange(old, dtype="float32")[None, :])
    return ops.cast(ops.maximum(1.0 - distance, 0.0), dtype)
