"""What a recipe's config says, and the data and model that it names."""

import dataclasses
import os

import keras
import ml_collections
import numpy as np

from aa_keras import applications
from aa_keras.applications import _labels, specs
from aa_keras.config_fields import DISTRIBUTIONS, require
from aa_keras.data import LabelledImages, Mixing, Preprocessing, RandAugment, load_dataset
from aa_keras.errors import UserError


def default_config():
    """Returns the fields of every recipe with their defaults, as an `ml_collections.ConfigDict`.

    A recipe, a file with a function `get_config`, changes what it needs to and adds the arguments of its builder.
    """
    config = ml_collections.ConfigDict()
    config.name = ml_collections.config_dict.placeholder(str)  # also of the folder in runs/

    config.dataset = ml_collections.config_dict.placeholder(str)  # "digits", "image_folder", a name in TFDS
    config.data_dir = ml_collections.config_dict.placeholder(str)  # of TFDS, or the image folder
    config.data_dir = os.environ.get("AA_KERAS_DATA") or None
    config.validation_examples = 0  # held out of the training images
    config.test_split = ml_collections.config_dict.placeholder(str)  # unset: "test" or "validation"
    config.test_fraction = 0.2  # of an image folder without such splits
    config.image_size = ml_collections.config_dict.placeholder(int)  # for images of any size
    config.shuffle_buffer = 8192  # encoded images, where these do not fit into memory
    config.corrupt_files_limit = 10  # how many images training may skip
    config.horizontal_flip = False
    config.crop_padding = 0  # pixels by which to shift training images at most
    config.rand_augment_operations = 0  # RandAugment: how many a training image goes through; 0 for none
    config.rand_augment_magnitude = 0.5  # RandAugment: how strong they are, up to 1, where images turn by 30 degrees
    config.mixup_alpha = 0.0  # of the beta distribution that MixUp draws weights from; 0 for none
    config.cutmix_alpha = 0.0  # of CutMix, up to 1; where there are both, a batch goes through one of the two

    config.builder = ml_collections.config_dict.placeholder(str)  # one of aa_keras.applications.__all__
    config.builder_arguments = ml_collections.ConfigDict()
    config.precision = "float32"  # or "mixed_bfloat16", "mixed_float16"
    config.jit_compile = False  # XLA; always on with JAX
    config.distribution = "none"  # or "mirrored" (TensorFlow), "data_parallel", "multihost" (JAX)

    config.seed = 0
    config.epochs = ml_collections.config_dict.placeholder(int)
    config.steps_per_epoch = ml_collections.config_dict.placeholder(int)  # unset: all training images
    config.batch_size = ml_collections.config_dict.placeholder(int)
    config.learning_rate_per_256 = ml_collections.config_dict.placeholder(float)  # times batch_size / 256
    config.warmup_fraction = 0.05  # of all steps, linear
    config.decay_epochs = ()  # where the learning rate is divided by 10; empty for a cosine to zero
    config.momentum = 0.9
    config.weight_decay = 0.0  # of the kernels of convolutions and dense layers
    config.label_smoothing = 0.0  # the share of a label that all classes get alike
    config.ema_momentum = 0.0  # of a moving average of the weights, evaluated beside them; 0 for none

    config.export = False  # write saved_model/ at the end
    config.lock()  # a mistyped field of a recipe is an error
    config.builder_arguments.unlock()
    return config


def check_backend(config):
    """Raises UserError, naming the field, for what the backend of Keras cannot do in training.

    Apart from `check_config`, since what one backend has trained any other can evaluate.
    """
    backend = keras.backend.backend()
    able = DISTRIBUTIONS[config.distribution]
    require(
        config,
        "distribution",
        lambda _: able is None or able == backend,
        f"'none' or another on the {backend} backend, since {config.distribution!r} needs KERAS_BACKEND={able}",
    )
    require(
        config,
        "export",
        lambda export: not export or backend == "tensorflow",
        f"False on the {backend} backend: export from TensorFlow",
    )
    require(
        config,
        "jit_compile",
        lambda jit_compile: not jit_compile or config.distribution != "mirrored",
        "False where distribution='mirrored', which Keras cannot compile",
    )


def dataset_from(config):
    """Returns the `ImageDataset` that a config names, its classes called by words."""
    dataset = load_dataset(
        config.dataset,
        config.data_dir,
        config.validation_examples,
        config.image_size,
        config.test_split,
        config.test_fraction,
        config.shuffle_buffer,
    )
    if dataset.name == "imagenet2012":  # which calls them by numbers of WordNet
        dataset = dataclasses.replace(dataset, class_names=_labels.names("imagenet2012"))
    return dataset


def preprocessing_from(config, dataset):
    """Returns the `Preprocessing` of a config for a data set.

    Mean and standard deviation are those that the paper's networks for the data set use; or else of images in memory
    their own, and of photographs of any size ImageNet's.
    """
    mean, std = _statistics(dataset)
    policy = None
    if config.rand_augment_operations:
        require(
            config, "rand_augment_operations", lambda _: dataset.image_shape[-1] == 3, "0 for images without colour"
        )
        policy = RandAugment(config.rand_augment_operations, config.rand_augment_magnitude)
    return Preprocessing(mean, std, config.horizontal_flip, config.crop_padding, config.image_size, policy=policy)


def mixing_from(config, dataset):
    """Returns the `Mixing` of a config for the classes of a data set."""
    return Mixing(len(dataset.class_names), config.mixup_alpha, config.cutmix_alpha)


def _statistics(dataset):
    for known in (specs.CIFAR100, specs.IMAGENET):
        if known.name == dataset.name:
            return known.mean, known.std
    if not isinstance(dataset.train, LabelledImages):
        return specs.IMAGENET.mean, specs.IMAGENET.std
    pixels = dataset.train.images.reshape(-1, dataset.image_shape[-1])
    mean = tuple(float(channel) for channel in pixels.mean(axis=0, dtype=np.float64))
    std = tuple(max(float(channel), 1.0) for channel in pixels.std(axis=0, dtype=np.float64))
    return mean, std


def model_from(config, dataset, classifier_activation, weights=None):
    """Builds the network of a config for a data set's images and classes.

    Args:
        config: a recipe's config.
        dataset: `ImageDataset`.
        classifier_activation: None for a network of logits, which is what trains; "softmax" for one of
            probabilities, which is what is saved.
        weights: file of weights, or None for new ones.

    Returns:
        A `keras.Model`.

    Raises:
        UserError: if the builder does not take the config's arguments, or the weights are not its.
    """
    builder = getattr(applications, config.builder)
    arguments = config.builder_arguments.to_dict()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        return builder(
            **arguments,
            weights=weights,
            input_shape=dataset.image_shape,
            classes=len(dataset.class_names),
            classifier_activation=classifier_activation,
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"{config.builder} of the config: {error}") from None
    finally:
        keras.config.set_dtype_policy(policy)
