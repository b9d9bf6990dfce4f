"""The order in which an epoch goes through images: shuffled, or with all classes equally often."""

import numpy as np
import tensorflow as tf

from aa_keras.data.encoded import EncodedImages


def shuffled(count, key, dtype=tf.int64):
    """Returns the numbers from 0 to `count` - 1 in an order that the key, of shape (2,), alone decides."""
    return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=dtype), key)


def drawn(examples, sampling, key):
    """Returns the order of an epoch's images, which the key alone decides.

    Args:
        examples: `LabelledImages` or `EncodedImages`, for "balanced" with `labels`.
        sampling: "shuffle": each image once. "balanced": each class equally often, to one image, in as many draws;
            images of rare classes come several times, and of common ones only some, others in each epoch.
        key: int64 tensor of shape (2,).

    Returns:
        An integer tensor of shape (examples,): the index of an image, plus the number of examples each time that the
        image comes again. So no two draws are equal, and those of an image can be augmented in different ways.
    """
    if sampling == "shuffle":
        # Images in memory have had int32 since the first version, and int64 would augment them in another way.
        return shuffled(len(examples), key, tf.int64 if isinstance(examples, EncodedImages) else tf.int32)
    return _balanced(examples.labels, key)


def _balanced(labels, key):
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    image_key, place_key = tf.unstack(tf.random.split(key, 2))
    order = shuffled(len(labels), image_key)
    # The images of the first class in this order, then those of the second one, and so on.
    by_class = tf.gather(order, tf.argsort(tf.gather(class_of, order), stable=True))
    places = np.arange(len(labels))
    turns, classes = places // len(counts), places % len(counts)
    starts = np.cumsum(counts) - counts
    draws = tf.gather(by_class, starts[classes] + turns % counts[classes])
    return tf.random.experimental.stateless_shuffle(draws + len(labels) * (turns // counts[classes]), place_key)
