"""`tf.data` pipelines from images, in memory or encoded, to batches."""

import dataclasses
import typing

import tensorflow as tf

from aa_keras.data import image_ops
from aa_keras.data.corrupt_files import CorruptFiles
from aa_keras.data.decoding import decode_part_of_jpeg, is_whole_jpeg
from aa_keras.data.encoded import EncodedImages
from aa_keras.data.sampling import drawn

_GROUP = 16  # number of images that are decoded one after the other
# These separate the draws of a policy and of erasing from the two that an image's seed is split into.
_POLICY, _ERASING = 2, 3


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of images for a network.

    Attributes:
        mean: mean of each channel, for pixels in [0, 255].
        std: standard deviation of each channel.
        horizontal_flip: whether to mirror half of the training images.
        crop_padding: by how many pixels to shift training images at most.
        image_size: height and width to crop and resize images of any size to; None leaves their size as it is. For
            evaluation it may be a pair.
        central_fraction: share of the shorter side that evaluation uses, with an `image_size`.
        interpolation: how evaluation resizes with an `image_size`, "bilinear" or "bicubic".
        smallest_crop: least share of an image that crops for training have, with an `image_size`.
        policy: augmentation of training images before all that, but after the Inception crop: a function of an
            image with values in [0, 255] and of a key, an integer tensor of shape (2,), such as `RandAugment`; or None.
        erasing: augmentation after all that, of an image whose mean is 0, such as `RandomErasing`; or None.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    horizontal_flip: bool = False
    crop_padding: int = 0
    image_size: int | tuple[int, int] | None = None
    central_fraction: float = image_ops.CENTRAL_FRACTION
    interpolation: str = "bilinear"
    smallest_crop: float = 0.08
    policy: typing.Callable | None = None
    erasing: typing.Callable | None = None

    def for_evaluation(self, image):
        """Returns a normalized float32 image: with an `image_size`, its resized centre.

        Args:
            image: tensor of shape (height, width, channels), or (batch, height, width, channels).
        """
        return self.normalize(self.fit(image))

    def fit(self, image):
        """Returns the first half of the preprocessing, whole pixel values, which servers do before a network."""
        if self.image_size is None:
            return image
        centre = image_ops.resize_and_centre_crop(image, self.image_size, self.central_fraction, self.interpolation)
        return tf.clip_by_value(tf.round(centre), 0, 255)  # bicubic interpolation overshoots

    def normalize(self, image):
        """Returns the second half of the preprocessing, the normalized image."""
        return image_ops.normalize(image, self.mean, self.std)

    def for_training(self, image, seed):
        """Returns a normalized float32 image, augmented by `seed`, an integer tensor of shape (2,)."""
        image = self._apply_policy(image, seed)
        return self._augment(image_ops.normalize(image, self.mean, self.std), 0.0, seed)

    def crop_for_training(self, image, seed):
        """Returns an augmented crop, of `image_size` and still uint8: a quarter of the bytes to move into batches."""
        _, crop_seed = tf.unstack(tf.random.split(seed, 2))
        crop = image_ops.random_resized_crop(image, self.image_size, crop_seed, self.smallest_crop)
        return self._augment_crop(crop, seed)

    def crop_for_training_from_jpeg(self, encoded, seed):
        """Returns nearly the same for an image that is still encoded, of which only a part is decoded."""
        _, crop_seed = tf.unstack(tf.random.split(seed, 2))
        part = decode_part_of_jpeg(
            encoded,
            lambda shape: image_ops.random_box(shape, crop_seed, self.smallest_crop),
            self.image_size,
            channels=len(self.mean),
        )
        return self._augment_crop(image_ops.resize(part, self.image_size), seed)

    def _augment_crop(self, crop, seed):
        crop = self._augment(self._apply_policy(crop, seed), self.mean, seed)
        return tf.cast(tf.round(crop), tf.uint8)

    def _apply_policy(self, image, seed):
        return image if self.policy is None else self.policy(image, tf.random.fold_in(seed, _POLICY))

    def _augment(self, image, border, seed):
        """Mirrors, shifts and erases an image, filled with `border`: a number, or one for each channel, that become 0.

        An image whose part was chosen already is shifted by the draw that chose it, too.
        """
        flip_seed, crop_seed = tf.unstack(tf.random.split(seed, 2))
        if self.horizontal_flip:
            image = image_ops.random_horizontal_flip(image, flip_seed)
        if self.crop_padding:
            image = image_ops.random_crop_from_padded(image - border, self.crop_padding, crop_seed) + border
        if self.erasing is not None:
            image = self.erasing(image - border, tf.random.fold_in(seed, _ERASING)) + border
        return image


def training_dataset(
    examples,
    preprocessing,
    batch_size,
    steps_per_epoch,
    seed,
    epochs,
    corrupt_files=None,
    mixing=None,
    shard=(0, 1),
    sampling="shuffle",
):
    """Returns the batches of several epochs of training, one after the other.

    The order of the examples and their augmentation depend on (seed, epoch) alone, so that a resumed run sees the same
    batches as a run without interruption.

    Args:
        examples: `LabelledImages` or `EncodedImages`.
        preprocessing: `Preprocessing`.
        batch_size: images in a batch, of all shards together.
        steps_per_epoch: batches in an epoch; the remaining examples, different ones in each epoch, are not used in it.
        seed: integer.
        epochs: `range` of the epochs to go through.
        corrupt_files: `CorruptFiles`, which counts encoded images that are skipped. The epoch starts over for as many
            images as it lacks then. None for one of its own, with the default limit.
        mixing: `Mixing` of the images of a batch, or None. It does not see the images of other shards.
        shard: pair of integers: which part of each batch this is, from 0, and of how many. For images in memory, the
            shards together are the batches without shards.
        sampling: "shuffle", or "balanced" to draw all classes equally often; see `aa_keras.data.sampling`.

    Returns:
        A `tf.data.Dataset` of len(epochs) * steps_per_epoch pairs of float32 images (batch_size / shards, height,
        width, channels) and int32 labels (batch_size / shards,), or with `mixing` its float32 labels.
    """
    corrupt_files = corrupt_files or CorruptFiles()
    batches_in = _encoded_batches if isinstance(examples, EncodedImages) else _batches_in_memory
    batches_of_epoch = batches_in(examples, preprocessing, batch_size, corrupt_files, shard, sampling)

    def mixed(step, batch, key):
        return mixing(*batch, tf.random.fold_in(tf.random.fold_in(key, shard[0]), step))

    def one_epoch(epoch):
        order_key, augmentation_key = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), epoch]), 2))
        batches = batches_of_epoch(order_key, augmentation_key).take(steps_per_epoch)
        if mixing is None:
            return batches
        # No image has the index -1.
        mixing_key = tf.random.fold_in(augmentation_key, -1)
        return batches.enumerate().map(
            lambda step, batch: mixed(step, batch, mixing_key), num_parallel_calls=tf.data.AUTOTUNE
        )

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(one_epoch).prefetch(tf.data.AUTOTUNE)


def _batches_in_memory(examples, preprocessing, batch_size, _, shard, sampling):
    images, labels = tf.constant(examples.images), tf.constant(examples.labels)
    index_of_shard, shards = shard
    own = batch_size // shards

    def batches_of_epoch(order_key, augmentation_key):
        def example(draw):
            key, index = tf.random.fold_in(augmentation_key, draw), draw % len(examples)
            return preprocessing.for_training(images[index], key), labels[index]

        order = drawn(examples, sampling, order_key)
        whole_batches = order[: len(examples) // batch_size * batch_size]
        own_order = tf.reshape(tf.reshape(whole_batches, (-1, shards, own))[:, index_of_shard], (-1,))
        draws = tf.data.Dataset.from_tensor_slices(own_order)
        return draws.map(example, num_parallel_calls=tf.data.AUTOTUNE).batch(own, drop_remainder=True)

    return batches_of_epoch


def _encoded_batches(examples, preprocessing, batch_size, corrupt_files, shard, sampling):
    """Decodes in a graph, without Python, unless an image is not a JPEG or something is wrong.

    A graph cannot catch an error. So images are decoded in small groups: images that cannot be decoded are dropped from
    their group, and if one was, the whole group is decoded again in Python, which finds out which and why.
    """

    def skip(name, reason):
        corrupt_files.skip(name, reason, len(examples))

    def batches_of_epoch(order_key, augmentation_key):
        def carefully(draw, name, content, label):
            key, index = tf.random.fold_in(augmentation_key, draw), draw % len(examples)
            crop, is_whole = examples.decode(index, name, content, skip, preprocessing.crop_for_training, (key,))
            return tf.ensure_shape(crop, examples.image_shape), label, is_whole

        def quickly(draw, name, content, label):
            encoded = examples.read(content)
            key, index = tf.random.fold_in(augmentation_key, draw), draw % len(examples)
            is_sound = tf.cond(is_whole_jpeg(encoded), lambda: examples.is_sound_jpeg(index, encoded), lambda: False)
            return tf.cond(
                is_sound,
                lambda: (preprocessing.crop_for_training_from_jpeg(encoded, key), label, True),
                lambda: carefully(draw, name, content, label),
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
            examples.records(order_key, shard, sampling)
            .batch(_GROUP)
            .map(decoded_group, num_parallel_calls=tf.data.AUTOTUNE)
            .repeat()
            .rebatch(batch_size // shard[1], drop_remainder=True)
            .map(normalized, num_parallel_calls=tf.data.AUTOTUNE)
        )

    return batches_of_epoch


def evaluation_dataset(examples, preprocessing, batch_size, corrupt_files=None):
    """Returns every example once, in order, in batches; the last one may be smaller.

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


def validation_dataset(examples, preprocessing, batch_size, classes, corrupt_files=None, shard=(0, 1)):
    """Returns every example once, in batches of one size, for `fit` and `evaluate` of a model on several devices.

    The last batch is padded with images of weight 0. The other weights are such that the mean over batches, where Keras
    divides by the size of a batch, is the mean over the examples.

    Args:
        examples: `LabelledImages` or `EncodedImages`.
        preprocessing: `Preprocessing`.
        batch_size: images in a batch, of all shards together.
        classes: number of classes; None leaves labels as they are.
        corrupt_files: `CorruptFiles`, which keeps the error for an encoded image that is corrupt; or None.
        shard: pair of integers: which part of each batch this is, from 0, and of how many.

    Returns:
        A `tf.data.Dataset` of float32 images, labels (batch_size / shards, classes) in float32, and float32 weights.
    """
    shards = shard[1]
    steps = -(-len(examples) // batch_size)
    weight = steps * batch_size / len(examples)

    def example(image, label):
        label = label if classes is None else tf.one_hot(label, classes)
        return preprocessing.for_evaluation(image), label, tf.constant(weight, tf.float32)

    weighted = raw_dataset(examples, corrupt_files, shard).map(example, num_parallel_calls=tf.data.AUTOTUNE)
    filling = tuple(tf.zeros(spec.shape, spec.dtype) for spec in weighted.element_spec)
    own = batch_size // shards
    filled = weighted.concatenate(tf.data.Dataset.from_tensors(filling).repeat()).take(steps * own)
    return filled.batch(own, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def raw_dataset(examples, corrupt_files=None, shard=(0, 1)):
    """Returns every example once, in order, one by one and unchanged, for a model that preprocesses images itself.

    Args:
        examples: `LabelledImages` or `EncodedImages`.
        corrupt_files: `CorruptFiles`, which keeps the error for an encoded image that is corrupt; or None.
        shard: pair of integers: which of the parts of the examples this is, from 0, and of how many.

    Returns:
        A `tf.data.Dataset` of pairs of uint8 images, each of its own size, and int32 labels.
    """
    index, count = shard
    if not isinstance(examples, EncodedImages):
        return tf.data.Dataset.from_tensor_slices((examples.images[index::count], examples.labels[index::count]))
    refuse = (corrupt_files or CorruptFiles()).refuse

    def example(index, name, content, label):
        return examples.decode(index, name, content, refuse)[0], label

    return examples.records().shard(count, index).map(example, num_parallel_calls=tf.data.AUTOTUNE)
