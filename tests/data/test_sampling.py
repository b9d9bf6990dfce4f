"""Balanced sampling: each class equally often, other images of it in each epoch, and what a draw depends on."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.odd_images import encode, picture

from aa_keras.data import LabelledImages, Preprocessing, training_dataset
from aa_keras.data.image_folder import FileImages
from aa_keras.data.sampling import drawn

# 60 images: 40, 15, 4 and 1 of the classes 0, 2, 3 and 5.
LABELS = np.repeat([0, 2, 3, 5], [40, 15, 4, 1]).astype("int32")


def examples():
    """Images whose pixels are all the number of the image, in an order that mixes the classes."""
    order = np.random.default_rng(0).permutation(60)
    images = np.broadcast_to(order[:, None, None, None], (60, 4, 5, 1)).astype("uint8")
    return LabelledImages(images, LABELS[order])


def draws(key=(1, 2)):
    return drawn(examples(), "balanced", tf.constant(key, tf.int64)).numpy()


def test_each_class_comes_equally_often_and_each_of_its_images_too():
    indices = draws() % 60
    labels = examples().labels[indices]
    assert {label: np.sum(labels == label) for label in set(labels)} == dict.fromkeys((0, 2, 3, 5), 15)
    counts = np.bincount(indices, minlength=60)
    assert sorted(counts[examples().labels == 0]) == [0] * 25 + [1] * 15  # a common class: some of its images
    assert set(counts[examples().labels == 2]) == {1}
    assert set(counts[examples().labels == 3]) == {3, 4}
    assert set(counts[examples().labels == 5]) == {15}


def test_no_two_draws_are_equal_and_the_key_alone_decides():
    assert len(set(draws())) == 60
    np.testing.assert_array_equal(draws(), draws())
    assert not np.array_equal(draws(), draws((1, 3)))
    # Classes come in another order, and common ones show other images.
    assert not np.array_equal(*(examples().labels[draws(key) % 60] for key in ((1, 2), (1, 3))))
    assert set(draws() % 60) != set(draws((1, 3)) % 60)


def test_an_epoch_does_not_go_through_one_class_after_the_other():
    labels = examples().labels[draws() % 60]
    assert 20 < np.sum(labels[1:] != labels[:-1]) < 58


def batches(epochs, shard=(0, 1), batch_size=12):
    preprocessing = Preprocessing((0.0,), (1.0,), crop_padding=2)
    dataset = training_dataset(
        examples(), preprocessing, batch_size, 60 // batch_size, 7, epochs, shard=shard, sampling="balanced"
    )
    return [np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True)]


def test_a_resumed_epoch_is_drawn_as_without_the_interruption():
    for whole, resumed in zip(batches(range(3)), batches(range(1, 3)), strict=True):
        np.testing.assert_array_equal(whole[60:], resumed)
    labels = batches(range(1))[1]
    assert np.bincount(labels).tolist() == [15, 0, 15, 15, 0, 15]


def test_an_image_that_comes_again_is_augmented_in_another_way():
    images, labels = batches(range(1))
    shifted = images[labels == 5]
    assert len(np.unique(shifted.reshape(15, -1), axis=0)) > 8  # of 25 shifts


def test_shards_share_a_balanced_epoch():
    whole, *parts = (batches(range(1), shard)[1] for shard in ((0, 1), (0, 2), (1, 2)))
    together = np.concatenate([np.stack(np.split(part, 5)) for part in parts], axis=1)
    np.testing.assert_array_equal(np.sort(together, axis=1), np.sort(whole.reshape(5, 12), axis=1))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Image files of three classes: 6, 2 and 1."""
    folder, found = tmp_path_factory.mktemp("files"), []
    for index, label in enumerate([0] * 6 + [1] * 2 + [2]):
        path = folder / f"{index}.jpg"
        path.write_bytes(encode(picture(seed=index)))
        found.append((str(path), label))
    return found


def test_files_are_drawn_and_augmented_likewise(files):
    preprocessing = Preprocessing((0.0,) * 3, (1.0,) * 3, image_size=8)
    dataset = training_dataset(FileImages(files, 8), preprocessing, 9, 1, 0, range(2), sampling="balanced")
    (images, labels), (_, second) = dataset.as_numpy_iterator()
    assert np.bincount(labels).tolist() == np.bincount(second).tolist() == [3, 3, 3]
    assert len(np.unique(images[labels == 2].reshape(3, -1), axis=0)) == 3
