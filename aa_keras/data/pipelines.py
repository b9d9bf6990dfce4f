"""`tf.data` pipelines from images in memory to batches."""

import dataclasses

import tensorflow as tf

from aa_keras.data import image_ops


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What happens to an image on its way into a network.

    Attributes:
        mean: mean of each channel, for pixels in [0, 255].
        std: standard deviation of each channel.
        horizontal_flip: whether to mirror half of the training images.
        crop_padding: by how many pixels to shift training images at most.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    horizontal_flip: bool = False
    crop_padding: int = 0

    def for_evaluation(self, image):
        """Returns a normalised float32 image."""
        return image_ops.normalize(image, self.mean, self.std)

    def for_training(self, image, seed):
        """Returns a normalised float32 image, augmented as `seed`, an integer tensor of shape (2,), has it."""
        flip_seed, crop_seed = tf.unstack(tf.random.split(seed, 2))
        image = self.for_evaluation(image)
        if self.horizontal_flip:
            image = image_ops.random_horizontal_flip(image, flip_seed)
        if self.crop_padding:
            image = image_ops.random_crop_from_padded(image, self.crop_padding, crop_seed)
        return image


def training_dataset(examples, preprocessing, batch_size, steps_per_epoch, seed, epochs):
    """Returns the batches of several epochs of training, one after the other.

    The order of the examples and their augmentation depend on (seed, epoch) alone, so that a run that is resumed at
    an epoch sees what it would have seen had it not been interrupted.

    Args:
        examples: `LabelledImages`.
        preprocessing: `Preprocessing`.
        batch_size: images in a batch.
        steps_per_epoch: batches in an epoch; the examples left over, others each time, are not seen in it.
        seed: integer.
        epochs: `range` of the epochs to go through.

    Returns:
        A `tf.data.Dataset` of len(epochs) * steps_per_epoch pairs of float32 images (batch_size, height, width,
        channels) and int32 labels (batch_size,).
    """
    images, labels = tf.constant(examples.images), tf.constant(examples.labels)

    def one_epoch(epoch):
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order_key, augmentation_key = tf.unstack(tf.random.split(key, 2))
        order = tf.random.experimental.stateless_shuffle(tf.range(len(examples)), order_key)
        indices = tf.data.Dataset.from_tensor_slices(order[: steps_per_epoch * batch_size])
        return indices.map(lambda index: (index, tf.random.fold_in(augmentation_key, index)))

    def example(index, key):
        return preprocessing.for_training(images[index], key), labels[index]

    return (
        tf.data.Dataset.range(epochs.start, epochs.stop)
        .flat_map(one_epoch)
        .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluation_dataset(examples, preprocessing, batch_size):
    """Returns every example once, in order, in batches of which the last may be smaller.

    Args:
        examples: `LabelledImages`.
        preprocessing: `Preprocessing`.
        batch_size: images in a batch.

    Returns:
        A `tf.data.Dataset` of pairs of float32 images and int32 labels.
    """
    return (
        tf.data.Dataset.from_tensor_slices((examples.images, examples.labels))
        .map(lambda image, label: (preprocessing.for_evaluation(image), label), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )
