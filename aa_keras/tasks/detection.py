"""The detection of objects: boxes and their classes."""

import contextlib
import dataclasses
import functools
import importlib.util
from typing import ClassVar

import keras
import numpy as np

from aa_keras import applications
from aa_keras.applications import datasets
from aa_keras.data import (
    BadBoxes,
    Categories,
    CorruptFiles,
    DetectionPreprocessing,
    check_boxes,
    detection_evaluation_dataset,
    detection_raw_dataset,
    detection_training_dataset,
    detection_validation_dataset,
    load_detection_dataset,
)
from aa_keras.errors import UserError, described, missing_extra
from aa_keras.evaluation import comparison, pictures
from aa_keras.evaluation import detection as evaluation
from aa_keras.evaluation import detection_report as report
from aa_keras.export import DetectionSpec, Servable, saved_model
from aa_keras.tasks.task import Task, names_of_files

CURVES = {
    "Loss": {"training": "loss", "validation": "val_loss"},
    "Average precision in validation": {"AP": "val_ap", "AP50": "val_ap50", "AP75": "val_ap75"},
    "Learning rate": {"": "learning_rate"},
}


class Detection(Task):
    """The task of finding objects in images."""

    best_metric = "ap"
    examples = "images"
    DATA_FIELDS: ClassVar = {
        "categories": list,
        "training_images": int,
        "validation_images": int,
        "test_images": int,
    }
    RESULT_FIELDS: ClassVar = {"ap": float, "ap50": float, "ap75": float, "test_examples": int}
    FILES = report.FILES

    def __init__(self, config):
        super().__init__(config)
        for package in ("keras_hub", "pycocotools"):  # fails before anything is done
            if importlib.util.find_spec(package) is None:
                raise UserError(missing_extra(ModuleNotFoundError(name=package)))
        self._corrupt_files = CorruptFiles(config.corrupt_files_limit)

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
    def training_examples(self):
        """The number of training images."""
        return len(self.dataset.train)

    @functools.cached_property
    def fingerprint(self):
        """A dictionary of JSON that identifies the data, and the images in its folder."""
        dataset = self.dataset
        validation = dataset.validation or ()
        categories = zip(self.categories.ids, self.categories.names, strict=True)
        return {
            "categories": [f"{number} {name}" for number, name in categories],
            "training_images": len(dataset.train),
            "validation_images": len(validation),
            "test_images": len(dataset.test),
            **names_of_files(dataset.train, self.config.data_dir),
        }

    def data_differences(self, there):
        """Returns in words how another fingerprint differs from that of the data."""
        return [
            f"{field.replace('_', ' ')} were {there.get(field)!r:.200} and are {value!r:.200}"
            for field, value in self.fingerprint.items()
            if field in self.DATA_FIELDS and there.get(field) != value
        ]

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
            corrupt_files=self._corrupt_files,
            shard=shard,
        )

    def validation_batches(self, shard):
        """Returns the batches of an epoch's validation, or a shard of each; None without validation images."""
        if self.dataset.validation is None:
            return None
        return detection_validation_dataset(
            self.dataset.validation, self.preprocessing, self.config.batch_size, self._corrupt_files, shard
        )

    @contextlib.contextmanager
    def reading_errors(self):
        """Returns a context that raises UserError if images or boxes cannot be used, in place of TensorFlow's error."""
        with self.dataset.bad_boxes.as_user_errors(), self._corrupt_files.as_user_errors():
            yield

    @property
    def skipped(self):
        """The corrupt training images that were skipped so far: a dictionary from names to reasons."""
        return self._corrupt_files.skipped

    # The network.

    def training_model(self):
        """Returns a new detector, on a backbone with the config's weights if it has some."""
        weights = self.config.weights
        return self._model() if weights is None else self._model(backbone_weights=weights)

    def backbone(self, model):
        """Returns the layers of a detector's ResNet."""
        return model.backbone.image_encoder.layers

    def inference_model(self, weights=None):
        """Returns the same, new or with the weights of a file."""
        return self._model(weights, backbone_weights=None)

    def _model(self, weights=None, **changes):
        config = self.config
        try:
            with self.precision():
                return getattr(applications, config.builder)(
                    **{**config.builder_arguments.to_dict(), **changes},
                    weights=weights,
                    input_shape=(*config.input_size, 3),
                    classes=len(self.categories.names),
                )
        except (TypeError, ValueError) as error:
            raise UserError(f"{config.builder} of the config: {error}") from None

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

    def headline(self, complexity):
        """Returns the lines that describe the network and the data before training."""
        config, dataset = self.config, self.dataset
        height, width = config.input_size
        return (
            f"{config.name}: {len(dataset.train):,} training, {len(dataset.validation or ()):,} validation and "
            f"{len(dataset.test):,} test images, resized to {height}x{width}, {len(self.categories.names)} classes\n"
            f"{config.builder}: {complexity.parameters:,} parameters, {complexity.flops / 1e9:.3g} GFLOPs per image, "
            f"on the {keras.backend.backend()} backend"
        )

    # The results.

    def load_model(self, path):
        """Returns the detector of a file that a run wrote, or raises UserError."""
        try:
            model = keras.models.load_model(path, compile=False)
            shape, classes = tuple(model.input_shape[1:3]), model.num_classes
        except Exception as error:  # Keras raises errors of many kinds for other files
            raise UserError(
                f"{path} cannot be loaded; train.py writes it again if result.json is removed: {described(error)}"
            ) from None
        if (shape, classes) != (tuple(self.config.input_size), len(self.categories.names)):
            raise UserError(
                f"{path} is for images of {shape} and {classes} classes, and the config for "
                f"{self.config.input_size} and {len(self.categories.names)}"
            )
        return model

    def evaluate(self, model):
        """Returns the `DetectionEvaluation` of a detector on the test images."""
        self._check_boxes(self.dataset.test, "report")
        return self._measured_on(self.dataset.test, model)

    def _measured_on(self, examples, model):
        batch_size = self.config.batch_size
        batches = detection_evaluation_dataset(examples, self.preprocessing, batch_size, self._corrupt_files)
        return self._measured(model.predict_on_batch, batches, batch_size, examples)

    def evaluate_saved_model(self, path):
        """Returns the `DetectionEvaluation` of a SavedModel, as `export` writes it, on the raw test images."""
        predict = saved_model.load_signature(path, (None, None, 3), DetectionSpec.outputs, "of a detector")
        examples = self.dataset.test
        self._check_boxes(examples, "report")
        images = detection_raw_dataset(examples, self._corrupt_files).batch(1)  # one by one, since sizes differ
        return self._measured(predict, ((image, np.ones((1, 4))) for image in images), 1, examples)

    def _measured(self, predict, batches, batch_size, examples):
        with self.reading_errors():
            results = evaluation.detect(predict, batches, batch_size, examples.annotated, self.categories)
        return evaluation.measure(examples.annotated, self.categories, results)

    def summary(self, measured):
        """Returns a `DetectionEvaluation` as a phrase."""
        return evaluation.summary(measured)

    def result(self, measured):
        """Returns the fields of a result, `RESULT_FIELDS` and others, from a `DetectionEvaluation`."""
        return {
            **report.numbers(measured, self.categories),
            "test_examples": measured.images,
            "skipped_boxes": len(self.dataset.bad_boxes.skipped),
        }

    @staticmethod
    def describe(result):
        """Returns a result as a phrase."""
        averaged = result.get("averaged")
        averaged = f", averaged weights AP {averaged['ap']:.2%}" if averaged else ""
        return (
            f"AP {result['ap']:.2%}, AP50 {result['ap50']:.2%}, AP75 {result['ap75']:.2%} "
            f"({result['test_examples']:,} test images){averaged}"
        )

    def plot_curves(self, history, path):
        """Draws the metrics of each epoch."""
        pictures.plot_curves(history, CURVES, path)

    def report(self, measured, folder, model=None):
        """Writes the metrics and pictures of a `DetectionEvaluation` into a folder, and prints a summary."""
        images = detection_raw_dataset(self.dataset.test, self._corrupt_files)
        report.write(measured, self.dataset, images, folder)
        report.print_classes(measured, self.categories)
        if model is not None:
            print(self._comparison(measured, model))
        print(f"{folder}: {', '.join(report.FILES)}")

    def _comparison(self, measured, model):
        return comparison.of_detector(self.config, self.dataset, model, measured)

    def sections(self, measured, folder, model=None):
        """Returns the sections of the report of a `DetectionEvaluation`."""
        compared = None if model is None else self._comparison(measured, model)
        return report.sections(measured, self.categories, folder, compared)

    def servable(self, model, data=None):
        """Returns the `Servable` of a detector, for images of any size."""
        categories = (self.fingerprint if data is None else data)["categories"]
        identifiers = [category.split(" ", 1)[0] for category in categories]
        class_names = self.class_names_of({"categories": categories})
        preprocessing = dataclasses.replace(self.preprocessing, image_size=tuple(model.input_shape[1:3]))
        shape = (None, None, model.input_shape[-1])
        return Servable(model, DetectionSpec(class_names, shape, preprocessing, tuple(map(int, identifiers))))
