"""The preprocessing of a classification run: normalization, augmentation, resizing."""

import numpy as np
import tensorflow as tf

from aa_keras.applications import datasets
from aa_keras.data import ColorJitter, Preprocessing, Progress, RandAugment, RandomErasing
from aa_keras.recipes.checks import require


def preprocessing_for(config, statistics, count_channels):
    """Returns the `Preprocessing` of training and evaluation.

    Args:
        config: the recipe's config.
        statistics: pair of the mean and the standard deviation of each channel.
        count_channels: function that returns the number of channels, which loads the data set.
    """
    policies = []
    if config.color_jitter:
        policies.append(ColorJitter(config.color_jitter, count_channels()))
    if config.rand_augment_operations:
        is_color = count_channels() == 3
        require(config, "rand_augment_operations", lambda _: is_color, "0 for grey images")
        policies.append(RandAugment(config.rand_augment_operations, config.rand_augment_magnitude))
    policy = _both(*policies) if len(policies) == 2 else next(iter(policies), None)
    return Preprocessing(
        *statistics,
        config.horizontal_flip,
        config.crop_padding,
        config.image_size,
        policy=policy,
        erasing=RandomErasing(config.random_erasing) if config.random_erasing else None,
        **_fitting(config),
    )


def _both(first, second):
    """Returns two augmentations as one, of an image and a key."""
    return lambda image, key: second(first(image, tf.random.fold_in(key, -1)), key)


def served_preprocessing(config, size, statistics):
    """Returns the `Preprocessing` of a network with this input size in serving."""
    whole = {} if config.image_size is not None else {"central_fraction": 1.0}  # for images of one size
    return Preprocessing(*statistics, image_size=tuple(size), **{**_fitting(config), **whole})


def statistics_of(config, load_training_images):
    """Returns the mean and the standard deviation of each channel, of pixels in [0, 255].

    They are those of the config, or those of the library's networks for the data set. Otherwise, images in memory have
    their own statistics, and photographs of any size those of ImageNet.

    Args:
        config: the recipe's config.
        load_training_images: function that returns the training images, which is called only for their own statistics.
    """
    if config.image_mean is not None:
        return _of_channels(config, config.image_mean, config.image_std)
    for known in (datasets.CIFAR100, datasets.IMAGENET):
        if known.name == config.dataset.split(":")[0]:  # a version may follow
            return known.mean, known.std
    if config.image_size is not None:
        return _of_channels(config, datasets.IMAGENET.mean, datasets.IMAGENET.std)
    images = load_training_images()
    pixels = images.reshape(-1, images.shape[-1])
    with Progress("Computing the mean and the standard deviation of the training images"):
        mean = tuple(float(channel) for channel in pixels.mean(axis=0, dtype=np.float64))
        std = tuple(max(float(channel), 1.0) for channel in pixels.std(axis=0, dtype=np.float64))
    return mean, std


def _of_channels(config, *statistics):
    """Returns statistics of color images as tuples: for images in gray the means of those of the three channels."""
    if config.channels == 1:
        return tuple((float(np.mean(values)),) for values in statistics)
    return tuple(tuple(values) for values in statistics)


def _fitting(config):
    """Returns how images of any size are cropped and resized in evaluation, if the config says so."""
    named = {name: config[name] for name in ("central_fraction", "interpolation")}
    return {name: value for name, value in named.items() if value is not None}
