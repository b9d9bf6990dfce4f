"""`tf.data` pipelines from images, in memory or encoded, to batches."""

import dataclasses

import tensorflow as tf

from aa_keras.data import image_ops
from aa_keras.data.corrupt_files import CorruptFiles
from aa_keras.data.decoding import decode_part_of_jpeg, is_whole_jpeg
from aa_keras.data.encoded import EncodedImages

_GROUP = 16  # images that are decoded one after the other


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What happens to an image on its way into a network.

    Attributes:
        mean: mean of each channel, for pixels in [0, 255].
        std: standard deviation of each channel.
        horizontal_flip: whether to mirror half of the training images.
        crop_padding: by how many pixels to shift training images at most.
        image_size: height and width to crop and resize images of any size to; None leaves their size as it is.
        smallest_crop: least share of an image that its crops for training have, where there is an `image_size`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    horizontal_flip: bool = False
    crop_padding: int = 0
    image_size: int | None = None
    smallest_crop: float = 0.08

    def for_evaluation(self, image):
        """Returns a normalised float32 image: with an `image_size`, its resized centre.

        Args:
            image: tensor of shape (height, width, channels), or (batch, height, width, channels).
        """
        if self.image_size is not None:
            image = image_ops.resize_and_centre_crop(image, self.image_size)
        return image_ops.normalize(image, self.mean, self.std)

    def for_training(self, image, seed):
        """Returns a normalised float32 image, augmented as `seed`, an integer tensor of shape (2,), has it."""
        flip_seed, crop_seed = tf.unstack(tf.random.split(seed, 2))
        return self._augment(image_ops.normalize(image, self.mean, self.std), 0.0, flip_seed, crop_seed)

    def crop_for_training(self, image, seed):
        """Returns an augmented crop, of `image_size` and still uint8: a quarter of the bytes to move into batches."""
        flip_seed, crop_seed = tf.unstack(tf.random.split(seed, 2))
        crop = image_ops.random_resized_crop(image, self.image_size, crop_seed, self.smallest_crop)
        return self._augment_crop(crop, flip_seed, crop_seed)

    def crop_for_training_from_jpeg(self, encoded, seed):
        """Returns nearly the same for an image that is still encoded, of which only a part is decoded."""
        flip_seed, crop_seed = tf.unstack(tf.random.split(seed, 2))
        part = decode_part_of_jpeg(
            encoded, lambda shape: image_ops.random_box(shape, crop_seed, self.smallest_crop), self.image_size
        )
        return self._augment_crop(image_ops.resize(part, self.image_size), flip_seed, crop_seed)

    def _augment_crop(self, crop, flip_seed, crop_seed):
        return tf.cast(tf.round(self._augment(crop, self.mean, flip_seed, crop_seed)), tf.uint8)

    def _augment(self, image, border, flip_seed, crop_seed):
        """Mirrors and shifts an image. What moves in is `border`, which normalised is 0: a number, or one a channel."""
        if self.horizontal_flip:
            image = image_ops.random_horizontal_flip(image, flip_seed)
        if self.crop_padding:
            image = image_ops.random_crop_from_padded(image - border, self.crop_padding, crop_seed) + border
        return image


def training_dataset(examples, preprocessing, batch_size, steps_per_epoch, seed, epochs, corrupt_files=None):
    """Returns the batches of several epochs of training, one after the other.

    The order of the examples and their augmentation depend on (seed, epoch) alone, so that a run that is resumed at
    an epoch sees what it would have seen had it not been interrupted.

    Args:
        examples: `LabelledImages` or `EncodedImages`.
        preprocessing: `Preprocessing`.
        batch_size: images in a batch.
        steps_per_epoch: batches in an epoch; the examples left over, others each time, are not seen in it.
        seed: integer.
        epochs: `range` of the epochs to go through.
        corrupt_files: `CorruptFiles`, which keeps account of encoded images that are skipped. The epoch begins anew
            for as many as it lacks then. None for one of its own, with the default limit.

    Returns:
        A `tf.data.Dataset` of len(epochs) * steps_per_epoch pairs of float32 images (batch_size, height, width,
        channels) and int32 labels (batch_size,).
    """
    if isinstance(examples, EncodedImages):
        batches_of_epoch = _encoded_batches(examples, preprocessing, batch_size, corrupt_files or CorruptFiles())
    else:
        batches_of_epoch = _batches_in_memory(examples, preprocessing, batch_size)

    def one_epoch(epoch):
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        return batches_of_epoch(*tf.unstack(tf.random.split(key, 2))).take(steps_per_epoch)

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(one_epoch).prefetch(tf.data.AUTOTUNE)


def _batches_in_memory(examples, preprocessing, batch_size):
    images, labels = tf.constant(examples.images), tf.constant(examples.labels)

    def batches_of_epoch(order_key, augmentation_key):
        def example(index):
            key = tf.random.fold_in(augmentation_key, index)
            return preprocessing.for_training(images[index], key), labels[index]

        order = tf.random.experimental.stateless_shuffle(tf.range(len(examples)), order_key)
        indices = tf.data.Dataset.from_tensor_slices(order)
        return indices.map(example, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size, drop_remainder=True)

    return batches_of_epoch


def _encoded_batches(examples, preprocessing, batch_size, corrupt_files):
    """Decodes in a graph, without Python, unless an image is no JPEG or something is wrong.

    A graph cannot catch an error. So images are taken in small groups: the images of a group that cannot be decoded
    vanish, and if any has, the whole group is decoded in Python once more, where it is found out which and why.
    """

    def skip(name, reason):
        corrupt_files.skip(name, reason, len(examples))

    def batches_of_epoch(order_key, augmentation_key):
        def carefully(index, name, content, label):
            key = tf.random.fold_in(augmentation_key, index)
            crop, is_whole = examples.decode(name, content, skip, preprocessing.crop_for_training, (key,))
            return tf.ensure_shape(crop, examples.image_shape), label, is_whole

        def quickly(index, name, content, label):
            encoded = examples.read(content)
            key = tf.random.fold_in(augmentation_key, index)
            return tf.cond(
                is_whole_jpeg(encoded),
                lambda: (preprocessing.crop_for_training_from_jpeg(encoded, key), label, True),
                lambda: carefully(index, name, content, label),
            )

        def decoded_group(*group):
            records = tf.data.Dataset.from_tensor_slices(group)
            size = tf.size(group[0], tf.int64)
            complete = records.map(quickly).ignore_errors().batch(size, drop_remainder=True)
            attempts = complete.concatenate(records.map(carefully).batch(size, drop_remainder=True))
            images, labels, are_whole = attempts.take(1).get_single_element()
            return tf.cond(
                tf.reduce_all(are_whole), lambda: (images, labels), lambda: (images[are_whole], labels[are_whole])
            )

        def normalized(images, labels):
            return image_ops.normalize(images, preprocessing.mean, preprocessing.std), labels

        return (
            examples.records(order_key)
            .batch(_GROUP)
            .map(decoded_group, num_parallel_calls=tf.data.AUTOTUNE)
            .repeat()
            .rebatch(batch_size, drop_remainder=True)
            .map(normalized, num_parallel_calls=tf.data.AUTOTUNE)
        )

    return batches_of_epoch


def evaluation_dataset(examples, preprocessing, batch_size, corrupt_files=None):
    """Returns every example once, in order, in batches of which the last may be smaller.

    Args:
        examples: `LabelledImages` or `EncodedImages`.
        preprocessing: `Preprocessing`.
        batch_size: images in a batch.
        corrupt_files: `CorruptFiles`, which keeps the error for an encoded image that is corrupt; or None.

    Returns:
        A `tf.data.Dataset` of pairs of float32 images and int32 labels.
    """

    def example(image, label):
        return preprocessing.for_evaluation(image), label

    raw = raw_dataset(examples, corrupt_files)
    return raw.map(example, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def raw_dataset(examples, corrupt_files=None):
    """Returns every example once, in order and one by one, as it is: for a model that preprocesses images itself.

    Args:
        examples: `LabelledImages` or `EncodedImages`.
        corrupt_files: `CorruptFiles`, which keeps the error for an encoded image that is corrupt; or None.

    Returns:
        A `tf.data.Dataset` of pairs of uint8 images, each of its own size, and int32 labels.
    """
    if not isinstance(examples, EncodedImages):
        return tf.data.Dataset.from_tensor_slices((examples.images, examples.labels))
    refuse = (corrupt_files or CorruptFiles()).refuse

    def example(index, name, content, label):
        return examples.decode(name, content, refuse)[0], label

    return examples.records().map(example, num_parallel_calls=tf.data.AUTOTUNE)
