"""`tf.data` pipelines from images, in memory or encoded, to batches."""

import dataclasses

import tensorflow as tf

from aa_keras.data import image_ops
from aa_keras.data.corrupt_files import CorruptFiles
from aa_keras.data.encoded import EncodedImages


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What happens to an image on its way into a network.

    Attributes:
        mean: mean of each channel, for pixels in [0, 255].
        std: standard deviation of each channel.
        horizontal_flip: whether to mirror half of the training images.
        crop_padding: by how many pixels to shift training images at most.
        image_size: height and width to crop and resize images of any size to; None leaves their size as it is.
        smallest_crop: share of an image that its crops for training have at least, where there is an `image_size`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    horizontal_flip: bool = False
    crop_padding: int = 0
    image_size: int | None = None
    smallest_crop: float = 0.08

    def for_evaluation(self, image, shorter_side=None):
        """Returns a normalised float32 image: with an `image_size`, its resized centre.

        Args:
            image: tensor of shape (height, width, channels), or (batch, height, width, channels).
            shorter_side: of the whole image, where `image` is the part of it that `image_ops.central_box` names.
        """
        if self.image_size is not None:
            image = image_ops.resize_and_centre_crop(image, self.image_size, shorter_side)
        return image_ops.normalize(image, self.mean, self.std)

    def for_training(self, image, seed):
        """Returns a normalised float32 image, augmented as `seed`, an integer tensor of shape (2,), has it.

        Of an image to be resized, `image` is the part that was drawn at random, by `image_ops.random_box`.
        """
        flip_seed, crop_seed = tf.unstack(tf.random.split(seed, 2))
        if self.image_size is not None:
            image = image_ops.resize(image, self.image_size)
        image = image_ops.normalize(image, self.mean, self.std)
        if self.horizontal_flip:
            image = image_ops.random_horizontal_flip(image, flip_seed)
        if self.crop_padding:
            image = image_ops.random_crop_from_padded(image, self.crop_padding, crop_seed)
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
        corrupt_files: `CorruptFiles`, which keeps account of encoded images that are skipped. The epoch begins
            anew for as many as it lacks then. None for one of its own, with the default limit.

    Returns:
        A `tf.data.Dataset` of len(epochs) * steps_per_epoch pairs of float32 images (batch_size, height, width,
        channels) and int32 labels (batch_size,).
    """
    prepared = _prepared_if_encoded if isinstance(examples, EncodedImages) else _prepared_in_memory
    examples_of_epoch = prepared(examples, preprocessing, corrupt_files or CorruptFiles())

    def one_epoch(epoch):
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order_key, augmentation_key = tf.unstack(tf.random.split(key, 2))
        return examples_of_epoch(steps_per_epoch * batch_size, order_key, augmentation_key)

    return (
        tf.data.Dataset.range(epochs.start, epochs.stop)
        .flat_map(one_epoch)
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _prepared_in_memory(examples, preprocessing, _):
    images, labels = tf.constant(examples.images), tf.constant(examples.labels)

    def examples_of_epoch(count, order_key, augmentation_key):
        def example(index):
            key = tf.random.fold_in(augmentation_key, index)
            return preprocessing.for_training(images[index], key), labels[index]

        order = tf.random.experimental.stateless_shuffle(tf.range(len(examples)), order_key)
        indices = tf.data.Dataset.from_tensor_slices(order[:count])
        return indices.map(example, num_parallel_calls=tf.data.AUTOTUNE)

    return examples_of_epoch


def _prepared_if_encoded(examples, preprocessing, corrupt_files):
    def examples_of_epoch(count, order_key, augmentation_key):
        def example(index, name, content, label):
            crop_key, key = tf.unstack(tf.random.split(tf.random.fold_in(augmentation_key, index), 2))
            image, is_whole = examples.decode_for_training(name, content, crop_key, preprocessing, corrupt_files)
            return preprocessing.for_training(image, key), label, is_whole

        return (
            examples.records(order_key)
            .map(example, num_parallel_calls=tf.data.AUTOTUNE)
            .filter(lambda image, label, is_whole: is_whole)
            .map(lambda image, label, is_whole: (image, label))
            .repeat()
            .take(count)
        )

    return examples_of_epoch


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
    if isinstance(examples, EncodedImages):
        corrupt_files = corrupt_files or CorruptFiles()

        def example(index, name, content, label):
            decoded = examples.decode_for_evaluation(name, content, preprocessing.image_size, corrupt_files)
            return preprocessing.for_evaluation(*decoded), label

        dataset = examples.records()
    else:

        def example(image, label):
            return preprocessing.for_evaluation(image), label

        dataset = tf.data.Dataset.from_tensor_slices((examples.images, examples.labels))
    return dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)


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
    corrupt_files = corrupt_files or CorruptFiles()

    def example(index, name, content, label):
        return examples.decode_for_evaluation(name, content, None, corrupt_files)[0], label

    return examples.records().map(example, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
