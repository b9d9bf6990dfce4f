"""MixUp and CutMix, and the labels that they need."""

import functools

import keras
import tensorflow as tf

from aa_keras.data.keyed_seeds import KeyedSeeds


class Mixing:
    """Turns the labels of training batches into probabilities, and mixes images and labels.

    MixUp (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019) are layers of Keras. With both, each batch goes
    through one of them.

    Args:
        classes: number of classes.
        mixup_alpha: parameter of the beta distribution of the weights that MixUp gives to images; 0 for no MixUp.
        cutmix_alpha: parameter of that of the areas that images keep in CutMix, up to 1; 0 for no CutMix.
    """

    def __init__(self, classes, mixup_alpha=0.0, cutmix_alpha=0.0):
        self.classes = classes
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self._layers = []
        if mixup_alpha:
            self._layers.append(keras.layers.MixUp(mixup_alpha, data_format="channels_last"))
        if cutmix_alpha:
            self._layers.append(keras.layers.CutMix((cutmix_alpha, cutmix_alpha), data_format="channels_last"))
        for layer in self._layers:
            layer.backend.set_backend("tensorflow")  # the backend of `tf.data`, whatever the backend of training

    def __call__(self, images, labels, key):
        """Returns the batch to train on.

        Args:
            images: float32 tensor of shape (batch, height, width, channels).
            labels: integer tensor of shape (batch,).
            key: integer tensor of shape (2,), which alone decides how images are mixed.

        Returns:
            Images of the same shape, and float32 labels of shape (batch, classes).
        """
        labels = tf.one_hot(labels, self.classes)
        if not self._layers:
            return images, labels
        choice_key, mixing_key = tf.unstack(tf.random.split(key, 2))
        choice = tf.random.stateless_uniform((), choice_key, 0, len(self._layers), tf.int32)
        branches = [functools.partial(_mixed, layer, images, labels, mixing_key) for layer in self._layers]
        return tf.switch_case(choice, branches)


def _mixed(layer, images, labels, key):
    transformation = layer.get_random_transformation(images, seed=KeyedSeeds(key))
    return layer.transform_images(images, transformation), layer.transform_labels(labels, transformation)
