"""The classification of images."""

import dataclasses
import functools
from typing import ClassVar

import keras
import numpy as np

from aa_keras import applications
from aa_keras.applications import datasets
from aa_keras.data import (
    CorruptFiles,
    Mixing,
    evaluation_dataset,
    load_dataset,
    matching_labels,
    raw_dataset,
    training_dataset,
    validation_dataset,
)
from aa_keras.errors import UserError, described
from aa_keras.evaluation import classification as evaluation
from aa_keras.evaluation import comparison, pictures, report
from aa_keras.export import ClassificationSpec, Servable, saved_model
from aa_keras.tasks.preprocessing import preprocessing_for, served_preprocessing, statistics_of
from aa_keras.tasks.task import Task, names_of_files

MISTAKES = 25
CURVES = {
    "Cross-entropy": {"training": "cross_entropy", "validation": "val_cross_entropy"},
    "Top-1 accuracy": {"training": "top1", "validation": "val_top1"},
    "Learning rate": {"": "learning_rate"},
}


class Classification(Task):
    """The task of sorting images into classes."""

    best_metric = "top1"
    examples = "images"
    DATA_FIELDS: ClassVar = {"class_names": list, "training_images": int, "validation_images": int, "test_images": int}
    RESULT_FIELDS: ClassVar = {"top1": float, "top5": float, "test_examples": int}
    FILES = report.FILES

    def __init__(self, config):
        super().__init__(config)
        self._corrupt_files = CorruptFiles(config.corrupt_files_limit)

    # The data.

    def load(self, for_test_alone=False):
        """Returns the `ImageDataset` that the config names, with words as class names."""
        config = self.config
        dataset = load_dataset(
            config.dataset,
            data_dir=config.data_dir,
            validation_examples=config.validation_examples,
            image_size=config.image_size,
            test_split=config.test_split,
            test_fraction=config.test_fraction,
            shuffle_buffer=config.shuffle_buffer,
            for_test_alone=for_test_alone,
        )
        if dataset.name == datasets.IMAGENET.name:  # its class names are numbers of WordNet
            dataset = dataclasses.replace(dataset, class_names=datasets.IMAGENET.class_names)
        return dataset

    def matched(self, dataset, class_names):
        """Returns an `ImageDataset` with the classes of a network, and the list of those without test images."""
        known, found = tuple(class_names), dataset.class_names
        identifiers = tuple(identifier for identifier, _ in datasets.IMAGENET.identified_classes)
        if known == datasets.IMAGENET.class_names and set(found) <= set(identifiers):
            known = identifiers  # the names of ImageNet's folders
        where = dataset.test_source or f"The data set {dataset.name!r}"
        labels, lacking = matching_labels(found, dataset.test.classes, known, where)
        lacking = [class_names[known.index(name)] for name in lacking] if known is identifiers else lacking
        test = dataset.test.relabelled(labels)
        return dataclasses.replace(dataset, class_names=tuple(class_names), test=test), lacking

    @staticmethod
    def class_names_of(data):
        """Returns the names of the classes of data, from their `fingerprint`."""
        return tuple(data["class_names"])

    @functools.cached_property
    def preprocessing(self):
        """The `Preprocessing` of the data set's images."""
        return preprocessing_for(self.config, self._statistics, lambda: self.dataset.image_shape[-1])

    @functools.cached_property
    def _statistics(self):
        """The mean and standard deviation of each channel; the data set is loaded only if they are its own."""
        return statistics_of(self.config, lambda: self.dataset.train.images)

    @property
    def training_examples(self):
        """The number of training images."""
        return len(self.dataset.train)

    @property
    def fingerprint(self):
        """A dictionary of JSON that identifies the data, and the images in its folder."""
        dataset = self.dataset
        numbers = (len(part) for part in (dataset.train, dataset.validation, dataset.test))
        content = dict(zip(self.DATA_FIELDS, (list(dataset.class_names), *numbers), strict=True))
        return {**content, **names_of_files(dataset.train, self.config.data_dir)}

    def data_differences(self, there):
        """Returns in words how another fingerprint differs from that of the data."""
        here = self.fingerprint
        differences = [
            f"{field.replace('_', ' ')} were {there.get(field)} and are {number}"
            for field, number in here.items()
            if field in self.DATA_FIELDS and field != "class_names" and there.get(field) != number
        ]
        if there.get("class_names", []) != here["class_names"]:
            changed = sorted(set(there.get("class_names", [])) ^ set(here["class_names"]))
            differences.append(
                f"classes were added or removed: {', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''}"
            )
        return differences

    def training_batches(self, epochs, steps_per_epoch, shard):
        """Returns the batches of a range of epochs, or a shard of each."""
        config = self.config
        return training_dataset(
            self.dataset.train,
            self.preprocessing,
            batch_size=config.batch_size,
            steps_per_epoch=steps_per_epoch,
            seed=config.seed,
            epochs=epochs,
            corrupt_files=self._corrupt_files,
            mixing=Mixing(len(self.dataset.class_names), config.mixup_alpha, config.cutmix_alpha),
            shard=shard,
        )

    def validation_batches(self, shard):
        """Returns the batches of an epoch's validation, or a shard of each; None without validation images."""
        dataset = self.dataset
        if not len(dataset.validation):
            return None
        return validation_dataset(
            dataset.validation,
            self.preprocessing,
            batch_size=self.config.batch_size,
            classes=len(dataset.class_names),
            corrupt_files=self._corrupt_files,
            shard=shard,
        )

    def reading_errors(self):
        """Returns a context that raises UserError if images cannot be read, in place of TensorFlow's error."""
        return self._corrupt_files.as_user_errors()

    @property
    def skipped(self):
        """The corrupt training images that were skipped so far: a dictionary from names to reasons."""
        return self._corrupt_files.skipped

    # The network.

    def training_model(self):
        """Returns a network to train, new or with the config's weights, whose outputs are logits."""
        return self._model(classifier_activation=None, weights=self.config.weights)

    def backbone(self, model):
        """Returns the layers of a network that are not its classifier."""
        return model.layers[:-1]

    def inference_model(self, weights=None):
        """Returns a network whose outputs are probabilities, new or with the weights of a file."""
        return self._model(classifier_activation="softmax", weights=weights)

    def _model(self, classifier_activation, weights=None):
        config = self.config
        builder = getattr(applications, config.builder)
        arguments = config.builder_arguments.to_dict()
        try:
            with self.precision():
                return builder(
                    **arguments,
                    weights=weights,
                    input_shape=self.dataset.image_shape,
                    classes=len(self.dataset.class_names),
                    classifier_activation=classifier_activation,
                )
        except (TypeError, ValueError) as error:
            raise UserError(f"{config.builder} of the config: {error}") from None

    def compile(self, model, optimizer, jit_compile):
        """Compiles a model of logits, for labels that are probabilities."""
        classes = model.output_shape[-1]
        metrics = [
            keras.metrics.CategoricalCrossentropy(from_logits=True, name="cross_entropy"),
            keras.metrics.CategoricalAccuracy(name="top1"),
        ]
        if classes > 5:
            metrics.append(keras.metrics.TopKCategoricalAccuracy(k=5, name="top5"))
        smoothing = self.config.label_smoothing
        model.compile(
            optimizer=optimizer,
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing),
            weighted_metrics=metrics,  # the images that pad a batch have the weight 0
            jit_compile=jit_compile,
        )

    def headline(self, complexity):
        """Returns the lines that describe the network and the data before training."""
        config, dataset = self.config, self.dataset
        height, width, channels = dataset.image_shape
        return (
            f"{config.name}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and "
            f"{len(dataset.test):,} test images of {height}x{width}x{channels}, {len(dataset.class_names)} classes\n"
            f"{config.builder}: {complexity.parameters:,} parameters, {complexity.flops / 1e9:.3g} GFLOPs per image, "
            f"on the {keras.backend.backend()} backend"
        )

    # The results.

    def load_model(self, path):
        """Returns the network of a file that a run wrote, or raises UserError."""
        try:
            model = keras.models.load_model(path, compile=False)
            shape = tuple(model.input_shape[1:])
        except Exception as error:  # Keras raises errors of many kinds for other files
            raise UserError(
                f"{path} cannot be loaded; train.py writes it again if result.json is removed: {described(error)}"
            ) from None
        dataset = self.dataset
        if shape != dataset.image_shape:
            raise UserError(
                f"{path} takes images of {shape}, and those of the data set {dataset.name!r} have {dataset.image_shape}"
            )
        return model

    def evaluate(self, model):
        """Returns the `Evaluation` of a Keras model of probabilities on the test images."""
        batch_size = self.config.batch_size
        batches = evaluation_dataset(self.dataset.test, self.preprocessing, batch_size, self._corrupt_files)
        return self._measured(model.predict_on_batch, batches, batch_size)

    def evaluate_saved_model(self, path):
        """Returns the `Evaluation` of a SavedModel, as `export` writes it, on the raw test images."""
        # Raw images may have different sizes, and then do not fit into one batch.
        any_size = self.config.image_size is not None
        batch_size = 1 if any_size else self.config.batch_size
        shape = (None, None, 3) if any_size else self.dataset.image_shape
        run = saved_model.load_signature(path, shape, ClassificationSpec.outputs, "for images of the data set")
        batches = raw_dataset(self.dataset.test, self._corrupt_files).batch(batch_size)
        return self._measured(lambda images: run(np.asarray(images))["probabilities"], batches, batch_size)

    def _measured(self, predict, batches, batch_size):
        with self.reading_errors():
            checked = evaluation.checked(predict, self.dataset)
            return evaluation.evaluate(checked, batches, batch_size, mistakes_kept=MISTAKES)

    def summary(self, measured):
        """Returns an `Evaluation` as a phrase."""
        return evaluation.summary(measured)

    def result(self, measured):
        """Returns the fields of a result, `RESULT_FIELDS`, from an `Evaluation`."""
        return {
            "top1": measured.top1,
            "top5": measured.top5,
            "cross_entropy": measured.cross_entropy,
            "test_examples": measured.examples,
        }

    @staticmethod
    def describe(result):
        """Returns a result as a phrase."""
        averaged = result.get("averaged")
        averaged = f", averaged weights top-1 {averaged['top1']:.2%}" if averaged else ""
        top5 = "" if result["top5"] == 1 else f", top-5 {result['top5']:.2%}"
        return f"top-1 {result['top1']:.2%}{top5} ({result['test_examples']:,} test images){averaged}"

    def plot_curves(self, history, path):
        """Draws the metrics of each epoch."""
        pictures.plot_curves(history, CURVES, path)

    def report(self, measured, folder, model=None):
        """Writes the metrics and pictures of an `Evaluation` into a folder, and prints a summary.

        Args:
            measured: the `Evaluation`.
            folder: folder to write into.
            model: the Keras model that was evaluated, or None for a SavedModel, which takes raw images.
        """
        # The network takes normalized images, the SavedModel raw ones.
        mean, std = (0, 1) if model is None else map(np.asarray, (self.preprocessing.mean, self.preprocessing.std))
        report.write(measured, self.dataset, folder, mean, std)
        report.print_extremes(measured, self.dataset.class_names)
        if model is not None:
            print(self._comparison(measured, model))
        print(f"{folder}: {', '.join(report.FILES)}")

    def _comparison(self, measured, model):
        return comparison.of_classifier(self.config, self.dataset, model, measured)

    def sections(self, measured, folder, model=None):
        """Returns the sections of the report of an `Evaluation`."""
        compared = None if model is None else self._comparison(measured, model)
        mean, std = map(np.asarray, (self.preprocessing.mean, self.preprocessing.std))
        return report.sections(measured, self.dataset.class_names, folder, compared, model, mean, std)

    def servable(self, model, data=None):
        """Returns the `Servable` of a network: with an `image_size`, for photographs of any size."""
        class_names = tuple((self.fingerprint if data is None else data)["class_names"])
        *size, channels = model.input_shape[1:]
        any_size = self.config.image_size is not None
        preprocessing = served_preprocessing(self.config, size, self._statistics)
        shape = (None, None, channels) if any_size else (*size, channels)
        return Servable(model, ClassificationSpec(class_names, shape, preprocessing))
