"""Data sets of images and their `tf.data` pipelines."""

import contextlib

import keras

from aa_keras._startup import quiet_import

with quiet_import():  # already imported if TensorFlow is the backend of Keras
    import tensorflow as tf

if keras.backend.backend() != "tensorflow":
    # TensorFlow only reads data here: the memory of GPUs is for the backend.
    with contextlib.suppress(RuntimeError):  # TensorFlow already uses one
        tf.config.set_visible_devices([], "GPU")

from aa_keras.data import image_ops
from aa_keras.data.class_names import listed, matching_labels
from aa_keras.data.coco import AnnotatedImage, BadBoxes, Categories
from aa_keras.data.corrupt_files import CorruptFiles
from aa_keras.data.detection import DetectionDataset
from aa_keras.data.detection_checks import check_boxes
from aa_keras.data.detection_pipelines import (
    DetectionPreprocessing,
    detection_evaluation_dataset,
    detection_raw_dataset,
    detection_training_dataset,
    detection_validation_dataset,
)
from aa_keras.data.encoded import EncodedImages
from aa_keras.data.loading import FOLDERS, load_dataset, load_detection_dataset
from aa_keras.data.mixing import Mixing
from aa_keras.data.overlap import count_same
from aa_keras.data.photometric import ColorJitter, RandomErasing
from aa_keras.data.pipelines import (
    Preprocessing,
    evaluation_dataset,
    raw_dataset,
    training_dataset,
    validation_dataset,
)
from aa_keras.data.probabilities import as_probabilities
from aa_keras.data.progress import Progress
from aa_keras.data.rand_augment import RandAugment
from aa_keras.data.types import ImageDataset, LabelledImages

__all__ = [
    "FOLDERS",
    "AnnotatedImage",
    "BadBoxes",
    "Categories",
    "ColorJitter",
    "CorruptFiles",
    "DetectionDataset",
    "DetectionPreprocessing",
    "EncodedImages",
    "ImageDataset",
    "LabelledImages",
    "Mixing",
    "Preprocessing",
    "Progress",
    "RandAugment",
    "RandomErasing",
    "as_probabilities",
    "check_boxes",
    "count_same",
    "detection_evaluation_dataset",
    "detection_raw_dataset",
    "detection_training_dataset",
    "detection_validation_dataset",
    "evaluation_dataset",
    "image_ops",
    "listed",
    "load_dataset",
    "load_detection_dataset",
    "matching_labels",
    "raw_dataset",
    "training_dataset",
    "validation_dataset",
]
