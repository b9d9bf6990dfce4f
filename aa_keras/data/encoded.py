"""Labelled images that stay encoded, in files, until a batch needs them."""

import abc

import numpy as np
import tensorflow as tf

from aa_keras.data import image_ops
from aa_keras.data.decoding import CorruptImageError, decode_image

_STAND_IN = np.zeros((1, 1, 3), dtype=np.uint8)


class EncodedImages(abc.ABC):
    """Images of any size and their classes, to be decoded one by one.

    Attributes:
        image_shape: (height, width, channels) that a network sees them in.
    """

    image_shape: tuple[int, int, int]

    @abc.abstractmethod
    def __len__(self):
        """Returns the number of images."""

    @abc.abstractmethod
    def records(self, order_key=None):
        """Returns all images once.

        Args:
            order_key: int64 tensor of shape (2,) that alone decides their order; None for the order they are kept in.

        Returns:
            A `tf.data.Dataset` of (index, name, content, label): an int64 that says which image it is whatever the
            order, what to call the image in messages, what `read` makes bytes of, and its int32 class.
        """

    @abc.abstractmethod
    def read(self, content):
        """Returns the bytes of an image; raises OSError if there are none to be had."""

    def decode_for_training(self, name, content, seed, preprocessing, corrupt_files):
        """Returns a part of an image, drawn as `seed` has it, and whether there is one: False if it is corrupt."""

        def decode(name, content, seed):
            def box_of(shape):
                return image_ops.random_box(shape, seed, preprocessing.smallest_crop)

            try:
                return self._decode(content, box_of, preprocessing.image_size), True
            except CorruptImageError as error:
                corrupt_files.skip(_text(name), str(error), len(self))
                return _STAND_IN, False

        image, is_whole = tf.numpy_function(decode, (name, content, seed), (tf.uint8, tf.bool))
        return tf.ensure_shape(image, (None, None, 3)), tf.ensure_shape(is_whole, ())

    def decode_for_evaluation(self, name, content, size, corrupt_files):
        """Returns an image, or of one to be cropped to `size` the part that matters, and the image's shorter side."""

        def decode(name, content):
            shorter_side = 0

            def box_of(shape):
                nonlocal shorter_side
                shape = np.asarray(shape)
                shorter_side = min(shape[:2])
                return ((0, 0, 0), shape) if size is None else image_ops.central_box(shape, size)

            try:
                return self._decode(content, box_of), np.int32(shorter_side)
            except CorruptImageError as error:
                corrupt_files.refuse(_text(name), str(error))

        image, shorter_side = tf.numpy_function(decode, (name, content), (tf.uint8, tf.int32))
        return tf.ensure_shape(image, (None, None, 3)), tf.ensure_shape(shorter_side, ())

    def _decode(self, content, box_of, side=None):
        try:
            encoded = self.read(content)
        except OSError as error:
            raise CorruptImageError(error.strerror or str(error)) from None
        return decode_image(encoded, box_of, side)


def _text(name):
    return name.decode("utf-8", errors="replace")
