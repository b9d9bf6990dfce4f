"""Data sets of images and their `tf.data` pipelines."""

from aa_keras.data.pipelines import Preprocessing, evaluation_dataset, training_dataset
from aa_keras.data.sources import ImageDataset, LabelledImages, load_dataset

__all__ = [
    "ImageDataset",
    "LabelledImages",
    "Preprocessing",
    "evaluation_dataset",
    "load_dataset",
    "training_dataset",
]
