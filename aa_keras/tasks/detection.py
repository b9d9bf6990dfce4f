"""The detection of objects: boxes and their classes."""

import contextlib
import dataclasses
import functools
import importlib.util
from typing import ClassVar

import numpy as np
import tensorflow as tf

from aa_keras.applications import datasets
from aa_keras.applications.retinanet import OF_THE_RESNET
from aa_keras.data import (
    BadBoxes,
    Categories,
    DetectionPreprocessing,
    check_boxes,
    detection_evaluation_dataset,
    detection_raw_dataset,
    detection_training_dataset,
    detection_validation_dataset,
    load_detection_dataset,
)
from aa_keras.errors import UserError, missing_extra
from aa_keras.evaluation import detection as evaluation
from aa_keras.evaluation.detection_results import DetectionEvaluation
from aa_keras.evaluation.training_pictures import plot_training_images
from aa_keras.export import DetectionSpec
from aa_keras.export.spec import NO_SCALE
from aa_keras.tasks.task import Task, check_takes


class Detection(Task):
    """The task of finding objects in images."""

    spec_type = DetectionSpec
    results_type = DetectionEvaluation
    best_metric = "ap"
    other_best_metrics = ("ap50", "ap75")
    metrics: ClassVar = {"ap": "AP {:.2%}", "ap50": "AP50 {:.2%}", "ap75": "AP75 {:.2%}"}
    curves: ClassVar = {
        "Loss": {"training": "loss", "validation": "val_loss"},
        "Average precision in validation": {"AP": "val_ap", "AP50": "val_ap50", "AP75": "val_ap75"},
        "Learning rate": {"": "learning_rate"},
    }
    unused_fields = (
        *("image_size", "image_mean", "image_std", "central_fraction", "interpolation", "test_fraction", "channels"),
        *("crop_padding", "rand_augment_operations", "color_jitter", "random_erasing", "mixup_alpha", "cutmix_alpha"),
        *("sampling", "class_weights", "label_smoothing"),
    )
    data_fields: ClassVar = {
        "categories": list,
        "training_images": int,
        "validation_images": int,
        "test_images": int,
    }

    def __init__(self, config):
        super().__init__(_with_one_backbone(config))
        for package in ("keras_hub", "pycocotools"):  # fails before anything is done
            if importlib.util.find_spec(package) is None:
                raise UserError(missing_extra(ModuleNotFoundError(name=package)))

    # The data.

    def load(self, for_test_alone=False):
        """Returns the `DetectionDataset` that the config names.

        COCO's classes have COCO's own numbers, which TensorFlow Datasets drops.
        """
        config = self.config
        bad_boxes = BadBoxes(skip=config.bad_boxes == "skip")
        dataset = load_detection_dataset(
            config.dataset, config.data_dir, config.validation_examples, config.test_split, bad_boxes, for_test_alone
        )
        if dataset.name == datasets.COCO.name:
            numbers, names = zip(*datasets.COCO.identified_classes, strict=True)
            dataset = dataclasses.replace(dataset, categories=Categories(names, tuple(map(int, numbers))))
        return dataset

    def matched(self, dataset, class_names):
        """Returns a `DetectionDataset` with the classes of a detector, and the list of those without test boxes."""
        return dataset.matched(class_names)

    @staticmethod
    def class_names_of(data):
        """Returns the names of the classes of data, from their `fingerprint`."""
        return tuple(category.split(" ", 1)[1] for category in data["categories"])

    def check_trainable(self):
        """Raises UserError if there are no boxes to learn from, or to measure the average precision with."""
        dataset = self.dataset
        for part, purpose in ((dataset.train, "train"), (dataset.validation, "validate"), (dataset.test, "report")):
            if part is not None:
                self._check_boxes(part, purpose)

    def _check_boxes(self, examples, purpose):
        check_boxes(examples, purpose, self.dataset.bad_boxes, self.preprocessing)

    @property
    def categories(self):
        """The `Categories` of the data set."""
        return self.dataset.categories

    @functools.cached_property
    def preprocessing(self):
        """The `DetectionPreprocessing` of the data set's images, with ImageNet's statistics."""
        config = self.config
        return DetectionPreprocessing(
            datasets.IMAGENET.mean,
            datasets.IMAGENET.std,
            tuple(config.input_size),
            tuple(config.scale_jitter),
            config.horizontal_flip,
        )

    @property
    def classes(self):
        """A field of the fingerprint: the categories with their numbers."""
        categories = zip(self.categories.ids, self.categories.names, strict=True)
        return {"categories": [f"{number} {name}" for number, name in categories]}

    def training_batches(self, epochs, steps_per_epoch, shard):
        """Returns the batches of a range of epochs, or a shard of each."""
        config = self.config
        return detection_training_dataset(
            self.dataset.train,
            self.preprocessing,
            batch_size=config.batch_size,
            steps_per_epoch=steps_per_epoch,
            seed=config.seed,
            epochs=epochs,
            corrupt_files=self.corrupt_files,
            shard=shard,
        )

    def validation_batches(self, shard):
        """Returns the batches of an epoch's validation, or a shard of each; None without validation images."""
        if self.dataset.validation is None:
            return None
        return detection_validation_dataset(
            self.dataset.validation, self.preprocessing, self.config.batch_size, self.corrupt_files, shard
        )

    def plot_training_batch(self, batch, path):
        """Draws the first images of a batch with their boxes."""
        images, (boxes, labels) = np.asarray(batch[0]), (np.asarray(batch[1][name]) for name in ("boxes", "labels"))
        mean, std = map(np.asarray, (self.preprocessing.mean, self.preprocessing.std))
        names = self.categories.names
        drawn = [
            [(box, int(label), names[int(label)]) for box, label in zip(*of_image, strict=True) if label >= 0]
            for of_image in zip(boxes, labels, strict=True)
        ]
        captions = [f"{len(of_image)} objects" for of_image in drawn]
        plot_training_images(images * std + mean, captions, path, drawn)

    @contextlib.contextmanager
    def reading_errors(self):
        """Returns a context that raises UserError if images or boxes cannot be used, in place of TensorFlow's error."""
        with self.dataset.bad_boxes.as_user_errors(), self.corrupt_files.as_user_errors():
            yield

    # The network.

    def training_model(self):
        """Returns a new detector, on a backbone with the config's weights if it has some."""
        weights = self.config.weights
        return self._network() if weights is None else self._network(backbone_weights=weights)

    def inference_model(self, weights=None):
        """Returns the same, new or with the weights of a file."""
        return self._network(weights, backbone_weights=None)

    def _network(self, weights=None, **arguments):
        shape, classes = (*self.config.input_size, 3), len(self.categories.names)
        return self.build(weights, input_shape=shape, classes=classes, **arguments)

    def backbone(self, model):
        """Returns the layers of the network in a detector."""
        return model.encoder.layers

    def compile(self, model, optimizer, jit_compile):
        """Compiles a detector with the losses of the RetinaNet paper."""
        model.compile(optimizer, jit_compile=jit_compile)

    def validate(self, model):
        """Returns the average precisions of the validation images."""
        if self.dataset.validation is None:
            return {}
        self._validator.set_weights(model.get_weights())
        measured = self._measured_on(self.dataset.validation, self._validator)
        values = {"ap": measured.ap, "ap50": measured.ap50, "ap75": measured.ap75}
        return {name: 0.0 if np.isnan(value) else value for name, value in values.items()}

    @functools.cached_property
    def _validator(self):
        return self.inference_model()  # a copy, since the trained network may be on several hosts

    def mismatch(self, model):
        """Returns in words how a detector that was loaded does not fit the data; "" if it does."""
        shape, classes = tuple(model.input_shape[1:3]), model.num_classes
        size, count = self.config.input_size, len(self.categories.names)
        if (shape, classes) == (tuple(size), count):
            return ""
        return f"is for images of {shape} and {classes} classes, and the config for {size} and {count}"

    @property
    def size_in_words(self):
        """The size of the images, as the end of a phrase."""
        height, width = self.config.input_size
        return f", resized to {height}x{width}"

    # The results.

    def evaluate(self, model):
        """Returns the `DetectionEvaluation` of a detector on the test images."""
        self._check_boxes(self.dataset.test, "report")
        return self._measured_on(self.dataset.test, model)

    def _measured_on(self, examples, model):
        batch_size = self.config.batch_size
        batches = detection_evaluation_dataset(examples, self.preprocessing, batch_size, self.corrupt_files)
        return self._measured(model.predict_on_batch, batches, batch_size, examples)

    def evaluate_export(self, predictor):
        """Returns the `DetectionEvaluation` of an exported detector on the raw test images."""
        examples, spec = self.dataset.test, predictor.spec
        check_takes(spec, (None, None, 3), is_resized=True)
        self._check_boxes(examples, "report")
        images = detection_raw_dataset(examples, self.corrupt_files)
        batch_size = 1 if spec.takes_any_size else self.config.batch_size  # one by one where sizes differ
        prepare = (lambda image: (image, NO_SCALE)) if spec.takes_any_size else spec.resize_to_uint8
        batches = images.map(prepare, tf.data.AUTOTUNE)
        return self._measured(predictor.outputs, batches.batch(batch_size), batch_size, examples)

    def _measured(self, predict, batches, batch_size, examples):
        with self.reading_errors():
            results = evaluation.detect(predict, batches, batch_size, examples.annotated, self.categories)
        return dataclasses.replace(
            evaluation.measure(examples.annotated, self.categories, results),
            dataset=self.dataset.name,
            load_images=lambda: detection_raw_dataset(examples, self.corrupt_files),
            skipped_boxes=len(self.dataset.bad_boxes.skipped),
        )

    def spec(self, model, data):
        """Returns the `DetectionSpec` of a detector, for images of any size."""
        numbers = tuple(int(category.split(" ", 1)[0]) for category in data["categories"])
        preprocessing = dataclasses.replace(self.preprocessing, image_size=tuple(model.input_shape[1:3]))
        return DetectionSpec(self.class_names_of(data), (None, None, model.input_shape[-1]), preprocessing, numbers)


def _with_one_backbone(config):
    """Returns a config without the arguments of the recipe's ResNet if it names another backbone."""
    replaced = sorted(OF_THE_RESNET & set(config.builder_arguments))
    if config.builder_arguments.get("backbone") is None or not replaced:
        return config
    print(f"config.builder_arguments.backbone replaces the recipe's ResNet, and its {', '.join(replaced)}")
    config = config.copy_and_resolve_references()
    for name in replaced:
        del config.builder_arguments[name]
    return config
