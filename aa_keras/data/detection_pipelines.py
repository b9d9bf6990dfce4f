"""`tf.data` pipelines from images with boxes to batches."""

import dataclasses

import numpy as np
import tensorflow as tf

from aa_keras.data import image_ops
from aa_keras.data.corrupt_files import CorruptFiles

NO_BOX = -1.0


@dataclasses.dataclass(frozen=True)
class DetectionPreprocessing:
    """The preprocessing of images and boxes for a detector.

    An image is resized as a whole, so that it just fits. The rest, on the right or below, is padded with the mean
    pixel, which is 0 when normalized.

    Attributes:
        mean: mean of each channel, for pixels in [0, 255].
        std: standard deviation of each channel.
        image_size: (height, width) of the images that the detector takes.
        scale_jitter: (least, most), by how much training images are larger than what just fits; larger ones are
            cropped at a random place.
        horizontal_flip: whether to mirror half of the training images.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: tuple[int, int]
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    horizontal_flip: bool = False

    def for_evaluation(self, images):
        """Returns normalized float32 images of `image_size`, and the factors of their boxes.

        Args:
            images: uint8 tensor of shape (height, width, 3) or (batch, height, width, 3).

        Returns:
            The images, and a float32 tensor of shape (4,) to multiply boxes by.
        """
        fitted, scale = self.fit(images)
        return self.normalize(fitted), scale

    def fit(self, images):
        """Returns the first half of the preprocessing, whole pixel values, which servers do before a detector."""
        resized, scale = self._resized(images)
        filling = np.round(np.asarray(self.mean, np.float32))
        return self._padded(tf.round(resized) - filling) + filling, scale

    def normalize(self, images):
        """Returns the second half."""
        return image_ops.normalize(images, self.mean, self.std)

    def for_training(self, image, boxes, labels, seed):
        """Returns a normalized float32 image, its boxes and labels, augmented by `seed`.

        Boxes outside the result are removed, others are clipped.

        Args:
            image: uint8 tensor of shape (height, width, 3).
            boxes: float32 tensor (objects, 4).
            labels: int32 tensor (objects,).
            seed: integer tensor of shape (2,).
        """
        scale_seed, crop_seed, flip_seed = tf.unstack(tf.random.split(seed, 3))
        jitter = tf.random.stateless_uniform((), scale_seed, *self.scale_jitter)
        resized, scale = self._resized(image, jitter)
        size = tf.shape(resized)[:2]
        room = tf.maximum(size - self.image_size, 0)
        # One draw for each axis, uniform from 0 to the room that is left.
        draws = tf.random.stateless_uniform((2,), crop_seed)
        offset = tf.cast(draws * tf.cast(room + 1, tf.float32), tf.int32)
        seen = resized[offset[0] : offset[0] + self.image_size[0], offset[1] : offset[1] + self.image_size[1]]
        boxes = boxes * scale - tf.tile(tf.cast(offset, tf.float32), (2,))
        height, width = tf.unstack(tf.cast(tf.shape(seen)[:2], tf.float32))
        boxes = tf.clip_by_value(boxes, 0.0, tf.stack((height, width, height, width)))
        image = self._padded(self.normalize(seen))
        if self.horizontal_flip:
            is_flipped = tf.random.stateless_uniform((), flip_seed) < 0.5
            top, left, bottom, right = tf.unstack(boxes, axis=1)
            mirrored = tf.stack((top, self.image_size[1] - right, bottom, self.image_size[1] - left), axis=1)
            # Not `tf.where`, which takes ten times as long as `tf.reverse`.
            image, boxes = tf.cond(is_flipped, lambda: (tf.reverse(image, (1,)), mirrored), lambda: (image, boxes))
        sides = boxes[:, 2:] - boxes[:, :2]
        is_seen = tf.reduce_min(sides, axis=1) >= 1.0  # pixel
        return image, boxes[is_seen], labels[is_seen]

    def _resized(self, images, jitter=1.0):
        """Returns images that just fit if `jitter` is 1, and the factors of their boxes."""
        size = tf.cast(tf.shape(images)[-3:-1], tf.float32)
        factor = tf.reduce_min(tf.cast(self.image_size, tf.float32) / size) * jitter
        new = tf.maximum(tf.cast(tf.round(size * factor), tf.int32), 1)
        resized = tf.image.resize(images, new, antialias=True)
        return resized, tf.tile(tf.cast(new, tf.float32) / size, (2,))

    def _padded(self, images):
        """Returns images of `image_size`, padded with zeros on the right and below."""
        padding = self.image_size - tf.shape(images)[-3:-1]
        widths = [(0, 0)] * (images.shape.rank - 3) + [(0, padding[0]), (0, padding[1]), (0, 0)]
        return tf.ensure_shape(tf.pad(images, widths), (*images.shape[:-3], *self.image_size, len(self.mean)))


def detection_training_dataset(
    examples, preprocessing, batch_size, steps_per_epoch, seed, epochs, corrupt_files=None, shard=(0, 1)
):
    """Returns the batches of several epochs of training, one after the other.

    The order of the images and their augmentation depend on (seed, epoch) alone. Crowds are not trained on.

    Args:
        examples: `DetectionImages`.
        preprocessing: `DetectionPreprocessing`.
        batch_size: images in a batch, of all shards together.
        steps_per_epoch: batches in an epoch.
        seed: integer.
        epochs: `range` of the epochs to go through.
        corrupt_files: `CorruptFiles`, which counts images that are skipped, or None.
        shard: pair of integers: which part of each batch this is, from 0, and of how many.

    Returns:
        A `tf.data.Dataset` of pairs of float32 images (batch_size / shards, height, width, 3), and a dictionary of
        "boxes", float32 (batch_size / shards, most_boxes, 4), and "labels", float32, both padded with -1.
    """
    corrupt_files = corrupt_files or CorruptFiles()

    def skip(name, reason):
        corrupt_files.skip(name, reason, len(examples))

    def one_epoch(epoch):
        order_key, augmentation_key = tf.unstack(tf.random.split(tf.stack([tf.constant(seed, tf.int64), epoch]), 2))

        def decoded(index, name, content, objects):
            image, is_whole = examples.decode(index, name, content, skip)
            return image, is_whole, objects, tf.random.fold_in(augmentation_key, index)

        def example(image, _, objects, key):
            kept = ~objects["is_crowd"]
            image, boxes, labels = preprocessing.for_training(
                image, objects["boxes"][kept], objects["labels"][kept], key
            )
            return image, _dense(boxes, labels, examples.most_boxes)

        return (
            examples.records(order_key, shard)
            .map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
            .filter(lambda image, is_whole, *_: is_whole)
            .map(example, num_parallel_calls=tf.data.AUTOTUNE)
            .repeat()
            .batch(batch_size // shard[1], drop_remainder=True)
            .take(steps_per_epoch)
        )

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(one_epoch).prefetch(tf.data.AUTOTUNE)


def detection_validation_dataset(examples, preprocessing, batch_size, corrupt_files=None, shard=(0, 1)):
    """Returns every image once, in batches of one size; the last is padded with images of weight 0.

    The arguments are those of `detection_training_dataset`. The batches also have weights (batch_size / shards,).
    """
    refuse = (corrupt_files or CorruptFiles()).refuse
    shards = shard[1]
    steps = -(-len(examples) // batch_size)

    def example(index, name, content, objects):
        image, scale = preprocessing.for_evaluation(examples.decode(index, name, content, refuse)[0])
        kept = ~objects["is_crowd"]
        return image, _dense(objects["boxes"][kept] * scale, objects["labels"][kept], examples.most_boxes), 1.0

    whole = examples.records().shard(shards, shard[0]).map(example, num_parallel_calls=tf.data.AUTOTUNE)
    shape = (*preprocessing.image_size, len(preprocessing.mean))
    filling = (tf.zeros(shape), _dense(tf.zeros((0, 4)), tf.zeros((0,), tf.int32), examples.most_boxes), 0.0)
    own = batch_size // shards
    filled = whole.concatenate(tf.data.Dataset.from_tensors(filling).repeat()).take(steps * own)
    return filled.batch(own, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def detection_evaluation_dataset(examples, preprocessing, batch_size, corrupt_files=None):
    """Returns every image once, in order, with the factors of its boxes; the last batch may be smaller.

    Returns:
        A `tf.data.Dataset` of pairs of float32 images and float32 scales (batch, 4).
    """
    fitted = detection_raw_dataset(examples, corrupt_files).map(
        preprocessing.for_evaluation, num_parallel_calls=tf.data.AUTOTUNE
    )
    return fitted.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def detection_raw_dataset(examples, corrupt_files=None):
    """Returns every image once, in order and one by one, as it is: uint8 (height, width, 3)."""
    refuse = (corrupt_files or CorruptFiles()).refuse

    def example(index, name, content, _):
        return examples.decode(index, name, content, refuse)[0]

    return examples.records().map(example, num_parallel_calls=tf.data.AUTOTUNE)


def _dense(boxes, labels, most):
    """Returns boxes and labels padded to a fixed number with -1."""
    missing = [(0, tf.maximum(most - tf.shape(labels)[0], 0))]
    labels = tf.pad(tf.cast(labels[:most], tf.float32), missing, constant_values=NO_BOX)
    boxes = tf.pad(boxes[:most], [*missing, (0, 0)], constant_values=NO_BOX)
    return {"boxes": tf.ensure_shape(boxes, (most, 4)), "labels": tf.ensure_shape(labels, (most,))}
