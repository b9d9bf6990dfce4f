"""Labelled images that stay encoded, in files, until a batch needs them."""

import abc
import functools
import logging
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from aa_keras.data.decoding import CorruptImageError, decode_image, jpeg_damage, to_grey
from aa_keras.data.sixteen_bits import darkness

_LOGGER = logging.getLogger("aa_keras")


class EncodedImages(abc.ABC):
    """Images of any size and their classes, which are decoded one by one.

    Attributes:
        image_shape: (height, width, channels) that a network sees them in; 1 channel is that of grayscale images.
        paths: sequence of the paths of their files, or () if they are in none of their own.
        labels: int32 array of the classes of the images, or None if they would have to be read for it.
    """

    image_shape: tuple[int | None, int | None, int] = (None, None, 3)
    paths: Sequence[str] = ()
    labels: np.ndarray | None = None
    _is_dark_reported = False

    @abc.abstractmethod
    def __len__(self):
        """Returns the number of images."""

    @property
    def classes(self):
        """The set of the classes of the images, or None if they would have to be read for it."""
        return None if self.labels is None else set(self.labels.tolist())

    @abc.abstractmethod
    def records(self, order_key=None, shard=(0, 1), sampling="shuffle"):
        """Returns all images once, or those of a shard.

        Args:
            order_key: int64 tensor of shape (2,) that alone decides their order; None for the order they are kept in.
            shard: with an `order_key`, pair of integers: which part of the images in this order, from 0, and of how
                many parts. Parts have no image in common, and images of other parts are not read if possible.
            sampling: with an `order_key` and `labels`, "balanced" draws all classes equally often instead.

        Returns:
            A `tf.data.Dataset` of (index, name, content, label): an int64 that identifies the image in any order, or
            for "balanced" its draw (see `sampling.drawn`), its name in messages, the argument of `read`, and its int32
            class.
        """

    @abc.abstractmethod
    def relabelled(self, labels):
        """Returns the same images with the class `labels[c]` in place of each class c."""

    @abc.abstractmethod
    def read(self, content):
        """Returns the bytes of an image as a string tensor; in a graph as well as eagerly."""

    def is_sound_jpeg(self, index, encoded):
        """Returns whether a JPEG can be decoded in a graph, which would not notice that a part of it is missing.

        Each image is checked once, since the check takes nearly as long as decoding.

        Args:
            index: int64 tensor, which image it is.
            encoded: string tensor, its bytes, for which `decoding.is_whole_jpeg` is true.

        Returns:
            A boolean tensor.
        """

        def look(index, encoded):
            if not self._sound[index]:
                self._sound[index] = jpeg_damage(encoded) is None
            return self._sound[index]

        return tf.ensure_shape(tf.numpy_function(look, (index, encoded), tf.bool), ())

    @functools.cached_property
    def _sound(self):
        """Returns for each image whether it was found to be undamaged."""
        return np.zeros(len(self), bool)

    def decode(self, index, name, content, when_corrupt, transform=None, arguments=()):
        """Decodes an image in Python: slower than a graph, and the only place where its error can be caught.

        Args:
            index: which image it is, as `records` has it.
            name: the image's name.
            content: the image's content.
            when_corrupt: function to call with the name of a corrupt image and what is wrong with it.
            transform: function of the image and `arguments` to apply in Python too, or None. In the graph its
                operations would take time even where they do not run.
            arguments: tensors.

        Returns:
            A uint8 tensor of shape (height, width, channels), and a boolean one that is False if the image is a
            placeholder.
        """

        channels = self.image_shape[-1]

        def decode_or_report(index, name, content, *arguments):
            try:
                encoded, is_sound = self._read_or_report(content), self._sound[index]
                image = self.decode_encoded(index, encoded, is_sound, lambda largest: self._report_dark(name, largest))
                is_whole = self._sound[index] = True
            except CorruptImageError as error:
                when_corrupt(name.decode("utf-8", errors="replace"), str(error))
                image, is_whole = np.zeros((1, 1, 3), dtype=np.uint8), False
            image = to_grey(image) if channels == 1 else image
            return image if transform is None else np.asarray(transform(image, *arguments)), is_whole

        image, is_whole = tf.numpy_function(decode_or_report, (index, name, content, *arguments), (tf.uint8, tf.bool))
        return tf.ensure_shape(image, (None, None, channels)), tf.ensure_shape(is_whole, ())

    def decode_encoded(self, index, encoded, is_sound, when_dark):
        """Returns an image from its bytes: see `decoding.decode_image`.

        Args:
            index: which image it is.
            encoded: bytes.
            is_sound: see `decode_image`.
            when_dark: likewise.

        Raises:
            CorruptImageError: if it cannot be decoded, or is not what it should be.
        """
        return decode_image(encoded, is_sound, when_dark)

    def _report_dark(self, name, largest):
        """Reports the first image that is nearly black because of the range of its values."""
        if not self._is_dark_reported:
            self._is_dark_reported = True
            _LOGGER.warning(darkness(name.decode("utf-8", errors="replace"), largest))

    def _read_or_report(self, content):
        try:
            return tf.convert_to_tensor(self.read(content)).numpy()
        except tf.errors.OpError as error:
            # "FILE; No such file or directory [Op:ReadFile]"
            raise CorruptImageError(error.message.split("; ")[-1].split(" [Op:")[0]) from None
