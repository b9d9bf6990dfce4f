"""The classification of images."""

import dataclasses
import functools
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from aa_keras import applications
from aa_keras.applications import datasets
from aa_keras.data import (
    Mixing,
    Preprocessing,
    evaluation_dataset,
    load_dataset,
    matching_labels,
    raw_dataset,
    training_dataset,
    validation_dataset,
)
from aa_keras.data.probabilities import SUM_TOLERANCE
from aa_keras.evaluation import classification as evaluation
from aa_keras.evaluation.classification_results import Evaluation
from aa_keras.evaluation.training_pictures import plot_training_images
from aa_keras.export import ClassificationSpec
from aa_keras.tasks import class_balance, fine_tuning
from aa_keras.tasks.balanced_metrics import BalancedAccuracy, MacroF1
from aa_keras.tasks.preprocessing import preprocessing_for, served_preprocessing, statistics_of
from aa_keras.tasks.task import Task, check_takes

MISTAKES = 25


class Classification(Task):
    """The task of sorting images into classes."""

    spec_type = ClassificationSpec
    results_type = Evaluation
    best_metric = "top1"
    other_best_metrics = ("balanced_accuracy", "macro_f1")
    unused_fields = ("input_size", "scale_jitter", "bad_boxes")
    metrics: ClassVar = {"top1": "top-1 {:.2%}", "top5": "top-5 {:.2%}"}
    curves: ClassVar = {
        "Cross-entropy": {"training": "cross_entropy", "validation": "val_cross_entropy"},
        "Top-1 accuracy": {"training": "top1", "validation": "val_top1"},
        "Learning rate": {"": "learning_rate"},
    }
    weights_fields: ClassVar = {
        "image_mean": "mean",
        "image_std": "std",
        "central_fraction": "central_fraction",
        "interpolation": "interpolation",
    }

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
            channels=config.channels,
        )
        if dataset.name == datasets.IMAGENET.name:  # its class names are numbers of WordNet
            dataset = dataclasses.replace(dataset, class_names=datasets.IMAGENET.class_names)
        return dataset

    def check_trainable(self):
        """Raises UserError if the config balances or weights classes that it cannot."""
        class_balance.check(self.config, self.dataset.train, self.dataset.class_names)

    def headline(self, complexity):
        """Returns the lines that describe the network and the data, with the rarest and the commonest class."""
        balance = class_balance.lines(self.config, self.dataset.train, self.dataset.class_names)
        return "\n".join([super().headline(complexity), *balance])

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

    @functools.cached_property
    def preprocessing(self):
        """The `Preprocessing` of the data set's images."""
        return preprocessing_for(self.config, self._statistics, lambda: self.dataset.image_shape[-1])

    @functools.cached_property
    def _statistics(self):
        """The mean and standard deviation of each channel; the data set is loaded only if they are its own."""
        return statistics_of(self.config, lambda: self.dataset.train.images)

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
            corrupt_files=self.corrupt_files,
            mixing=Mixing(len(self.dataset.class_names), config.mixup_alpha, config.cutmix_alpha),
            shard=shard,
            sampling=config.sampling,
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
            corrupt_files=self.corrupt_files,
            shard=shard,
        )

    def plot_training_batch(self, batch, path):
        """Draws the first images of a batch with their classes, of mixed ones with the share of each."""
        images, labels = map(np.asarray, batch)
        mean, std = map(np.asarray, (self.preprocessing.mean, self.preprocessing.std))
        names = self.dataset.class_names
        captions = [
            ", ".join(
                names[label] if row[label] > 0.995 else f"{names[label]} {row[label]:.0%}"
                for label in np.flatnonzero(row >= 0.005)
            )
            for row in labels
        ]
        plot_training_images(images * std + mean, captions, path)

    # The network.

    def training_model(self):
        """Returns a network to train, new or with the config's weights, whose outputs are logits."""
        return self._network(None, self.config.weights)

    def inference_model(self, weights=None):
        """Returns a network whose outputs are probabilities, new or with the weights of a file."""
        return self._network("softmax", weights)

    def _network(self, activation, weights):
        shape, classes = self.dataset.image_shape, len(self.dataset.class_names)
        return self.build(weights, input_shape=shape, classes=classes, classifier_activation=activation)

    @classmethod
    def config_with_weights(cls, config, weights):
        """Returns the config to evaluate weights with, and the names of their classes or None.

        Weights of timm and of folders say how their images are normalized; files of Keras do not.
        """
        if weights.endswith((".keras", ".h5")):
            return config, None
        config = config.copy_and_resolve_references()
        config.weights = weights
        config = fine_tuning.resolved(config, cls.weights_fields)
        found, _ = applications.weights_of(config.builder, weights)
        return config, (found.info.class_names if found.info else None) or None

    def compile(self, model, optimizer, jit_compile):
        """Compiles a model of logits, for labels that are probabilities."""
        classes = model.output_shape[-1]
        metrics = [
            keras.metrics.CategoricalCrossentropy(from_logits=True, name="cross_entropy"),
            keras.metrics.CategoricalAccuracy(name="top1"),
        ]
        if classes > 5:
            metrics.append(keras.metrics.TopKCategoricalAccuracy(k=5, name="top5"))
        if class_balance.is_asked_for(self.config) or self.best_metric in self.other_best_metrics:
            metrics += [BalancedAccuracy(classes, "balanced_accuracy"), MacroF1(classes, "macro_f1")]
        model.compile(
            optimizer=optimizer,
            loss=self._loss(),
            weighted_metrics=metrics,  # the images that pad a batch have the weight 0
            jit_compile=jit_compile,
        )

    def _loss(self):
        smoothing = self.config.label_smoothing
        if self.config.class_weights is None:
            return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        weights = class_balance.weights_of(self.config, self.dataset.train, self.dataset.class_names)
        return class_balance.WeightedCrossentropy(weights, smoothing)

    # The results.

    def evaluate(self, model):
        """Returns the `Evaluation` of a Keras model of probabilities on the test images."""
        batch_size = self.config.batch_size
        batches = evaluation_dataset(self.dataset.test, self.preprocessing, batch_size, self.corrupt_files)
        measured = self._measured(model.predict_on_batch, batches, batch_size)
        mean, std = map(np.asarray, (self.preprocessing.mean, self.preprocessing.std))
        return dataclasses.replace(measured, mean=mean, std=std)

    def evaluate_export(self, predictor):
        """Returns the `Evaluation` of an exported classifier on the raw test images."""
        spec, raw = predictor.spec, raw_dataset(self.dataset.test, self.corrupt_files)
        check_takes(spec, self.dataset.image_shape, is_resized=self.config.image_size is not None)
        # Raw images may have different sizes, and then do not fit into one batch.
        batch_size = 1 if spec.takes_any_size else self.config.batch_size
        if not spec.takes_any_size:
            raw = raw.map(lambda image, label: (spec.resize_to_uint8(image)[0], label), tf.data.AUTOTUNE)
        predict = lambda images: predictor.outputs(images)["probabilities"]  # noqa: E731
        return self._measured(predict, raw.batch(batch_size), batch_size, predictor.sum_tolerance)

    def spec_without_record(self):
        """Returns the `ClassificationSpec` of a SavedModel of an earlier version."""
        *size, channels = self.dataset.image_shape
        shape = (*(size if self.config.image_size is None else (None, None)), channels)
        return ClassificationSpec(self.dataset.class_names, shape, Preprocessing((0.0,) * channels, (1.0,) * channels))

    def _measured(self, predict, batches, batch_size, sum_tolerance=SUM_TOLERANCE):
        """Returns the `Evaluation` of a function of images, whose mistakes have pixels as in the batches."""
        with self.reading_errors():
            checked = evaluation.checked(predict, self.dataset, sum_tolerance)
            measured = evaluation.evaluate(checked, batches, batch_size, mistakes_kept=MISTAKES)
        return dataclasses.replace(measured, dataset=self.dataset.name, class_names=self.dataset.class_names)

    def describe(self, result):
        """Returns a result as a phrase; without top-5 where it is always 100 %, for up to five classes."""
        return super().describe({name: value for name, value in result.items() if (name, value) != ("top5", 1)})

    def spec(self, model, data):
        """Returns the `ClassificationSpec` of a network: with an `image_size`, for photographs of any size."""
        *size, channels = model.input_shape[1:]
        any_size = self.config.image_size is not None
        preprocessing = served_preprocessing(self.config, size, self._statistics)
        shape = (None, None, channels) if any_size else (*size, channels)
        return ClassificationSpec(self.class_names_of(data), shape, preprocessing)
