"""MixUp and CutMix in training: what they do to images and labels, and on what it depends."""

import numpy as np
import pytest
import tensorflow as tf

from aa_keras.data import LabelledImages, Mixing, Preprocessing, training_dataset

CLASSES = 7
SIZE = 16


def batch(size=16):
    """Images whose every pixel is the number of their class, so that what is mixed can be read from the pixels."""
    labels = np.random.default_rng(0).integers(0, CLASSES, size).astype("int32")
    return np.broadcast_to(labels[:, None, None, None], (size, SIZE, SIZE, 3)).astype("float32"), labels


def mixed(mixing, key=(1, 2), size=16):
    images, labels = mixing(*map(tf.constant, batch(size)), tf.constant(key))
    return images.numpy(), labels.numpy()


def test_without_mixing_labels_are_certain_and_images_stay():
    images, labels = mixed(Mixing(CLASSES))
    np.testing.assert_array_equal(images, batch()[0])
    np.testing.assert_array_equal(labels, np.eye(CLASSES)[batch()[1]])


def test_mixup_blends_labels_as_it_blends_images():
    images, labels = mixed(Mixing(CLASSES, mixup_alpha=0.8))
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(images.std(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), labels @ np.arange(CLASSES), rtol=1e-4, atol=1e-4)
    assert np.sum(labels.max(axis=1) < 0.99) > 4


def test_cutmix_labels_are_the_shares_of_the_pieces():
    images, labels = mixed(Mixing(CLASSES, cutmix_alpha=1.0))
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    shares = np.mean(images[..., :1] == np.arange(CLASSES), axis=(1, 2))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)  # pieces, not blends
    # Keras draws the box in fractions of a pixel, and cuts out whole ones: up to one more along each side.
    np.testing.assert_allclose(shares, labels, rtol=0, atol=2 / SIZE)
    assert np.sum(labels.max(axis=1) < 0.9) > 4


def test_with_both_a_batch_goes_through_one_of_them():
    mixing = Mixing(CLASSES, mixup_alpha=0.8, cutmix_alpha=1.0)
    pieces = [np.all(images == np.round(images)) for images, _ in (mixed(mixing, (0, key)) for key in range(16))]
    assert 3 < sum(pieces) < 13


@pytest.mark.parametrize("arguments", [{"mixup_alpha": 0.8}, {"cutmix_alpha": 1.0}])
def test_what_is_mixed_depends_on_the_key_alone(arguments):
    first, other = Mixing(CLASSES, **arguments), Mixing(CLASSES, **arguments)
    mixed(other, (5, 5))
    for one, two in zip(mixed(first), mixed(other), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(mixed(first)[1], mixed(first, (1, 3))[1])


def epochs(first, last, preprocessing=None, **arguments):
    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3)).astype("uint8")
    examples = LabelledImages(images, (np.arange(24) % CLASSES).astype("int32"))
    preprocessing = preprocessing or Preprocessing((120.0,) * 3, (60.0,) * 3)
    mixing = Mixing(CLASSES, **arguments)
    dataset = training_dataset(examples, preprocessing, 8, 3, 4, range(first, last), mixing=mixing)
    assert dataset.element_spec[0].shape == (8, 8, 8, 3)
    assert dataset.element_spec[1].shape == (8, CLASSES)
    return list(dataset.as_numpy_iterator())


def test_a_resumed_epoch_is_mixed_as_without_the_interruption():
    whole, resumed = epochs(0, 3, mixup_alpha=0.5, cutmix_alpha=1.0), epochs(1, 3, mixup_alpha=0.5, cutmix_alpha=1.0)
    for (images, labels), (resumed_images, resumed_labels) in zip(whole[3:], resumed, strict=True):
        np.testing.assert_array_equal(images, resumed_images)
        np.testing.assert_array_equal(labels, resumed_labels)
    # No two batches alike, neither of an epoch nor of the same place in two.
    weights = [labels.max(axis=1).round(4).tolist() for _, labels in whole]
    assert len(set(map(tuple, weights))) == len(weights)
