"""Data sets of images and their `tf.data` pipelines."""

import contextlib

import keras

from aa_keras._startup import quiet_import

with quiet_import():  # where another backend of Keras than TensorFlow has not done so already
    import tensorflow as tf

if keras.backend.backend() != "tensorflow":
    # All of a GPU's memory is the backend's: here TensorFlow only reads data.
    with contextlib.suppress(RuntimeError):  # somebody uses one already
        tf.config.set_visible_devices([], "GPU")

from aa_keras.data.corrupt_files import CorruptFiles
from aa_keras.data.encoded import EncodedImages
from aa_keras.data.loading import load_dataset
from aa_keras.data.mixing import Mixing
from aa_keras.data.pipelines import (
    Preprocessing,
    evaluation_dataset,
    raw_dataset,
    training_dataset,
    validation_dataset,
)
from aa_keras.data.rand_augment import RandAugment
from aa_keras.data.types import ImageDataset, LabelledImages

__all__ = [
    "CorruptFiles",
    "EncodedImages",
    "ImageDataset",
    "LabelledImages",
    "Mixing",
    "Preprocessing",
    "RandAugment",
    "evaluation_dataset",
    "load_dataset",
    "raw_dataset",
    "training_dataset",
    "validation_dataset",
]
