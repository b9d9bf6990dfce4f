"""Normalisation of images by the statistics of a data set."""

import keras
import numpy as np
from keras import ops


def normalize(images, mean, std, data_format=None):
    """Returns (images - mean) / std, channel by channel, without changing `images`.

    Args:
        images: array or tensor of shape (..., channels) and any type, values in [0, 255].
        mean: mean of each channel.
        std: standard deviation of each channel.
        data_format: "channels_last" or None.

    Returns:
        A NumPy array, or a tensor of the backend where `images` is one, of a floating-point type: that of `images`
        where it has one, else Keras's default.

    Raises:
        ValueError: if the number of channels is not that of `mean`, or for another `data_format`.
    """
    data_format = data_format or keras.config.image_data_format()
    if data_format != "channels_last":
        raise ValueError(f'`data_format` must be "channels_last". Received: data_format={data_format!r}')
    if not ops.is_tensor(images) and not keras.backend.is_keras_tensor(images):
        try:
            images = np.asarray(images)
        except ValueError:  # lists of lists of different lengths
            images = np.asarray(None)
        if images.dtype.kind not in "biufV":  # a bfloat16 is of the last kind
            raise ValueError(f"`x` must be an array or tensor of numbers. Received: x={images!r:.80}")
    if not images.shape or images.shape[-1] != len(mean):
        raise ValueError(f"`x` must have {len(mean)} channels on its last axis. Received: x of shape {images.shape}")
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "float" not in dtype:
        dtype = keras.config.floatx()
    if isinstance(images, np.ndarray):
        return (images.astype(dtype) - np.asarray(mean, dtype)) / np.asarray(std, dtype)
    return (ops.cast(images, dtype) - ops.convert_to_tensor(mean, dtype)) / ops.convert_to_tensor(std, dtype)
