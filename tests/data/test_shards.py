"""The shards of several processes: each reads its own share of every batch, and nothing twice."""

import numpy as np
import pytest
from helpers import odd_images

from aa_keras.data import LabelledImages, Mixing, Preprocessing, training_dataset, validation_dataset
from aa_keras.data.image_folder import FileImages

COUNT = 27
IN_MEMORY = Preprocessing((120.0,) * 3, (60.0,) * 3, horizontal_flip=True, crop_padding=1)
ENCODED = Preprocessing((120.0,) * 3, (60.0,) * 3, horizontal_flip=True, image_size=12)


@pytest.fixture(scope="module")
def in_memory():
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3)).astype("uint8")
    return LabelledImages(images, np.arange(COUNT, dtype="int32"))


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    names = [f"{label:02}.jpg" for label in range(COUNT)]
    pictures = [odd_images.encode(odd_images.picture(30, 40, seed=label), "JPEG") for label in range(COUNT)]
    odd_images.write_images(folder, dict(zip(names, pictures, strict=True)))
    return FileImages([(str(folder / name), label) for label, name in enumerate(names)], 12)


def batches(examples, preprocessing, shard=(0, 1), mixing=None):
    dataset = training_dataset(examples, preprocessing, 8, 3, 5, range(1, 3), mixing=mixing, shard=shard)
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_of_images_in_memory_make_up_the_batches(in_memory, shards):
    whole = batches(in_memory, IN_MEMORY)
    parts = [batches(in_memory, IN_MEMORY, (index, shards)) for index in range(shards)]
    for step, (images, labels) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[step][1] for part in parts]), labels)
        np.testing.assert_array_equal(np.concatenate([part[step][0] for part in parts]), images)
        assert len(parts[0][step][1]) == 8 // shards


def test_shards_of_files_have_none_in_common(encoded):
    parts = [batches(encoded, ENCODED, (index, 2)) for index in range(2)]
    for epoch in range(2):
        labels = [np.concatenate([labels for _, labels in part[3 * epoch : 3 * epoch + 3]]) for part in parts]
        assert [len(each) for each in labels] == [12, 12]
        assert len(set(labels[0]) | set(labels[1])) == 24


def test_shards_are_mixed_each_in_a_way_of_its_own(in_memory):
    mixing = Mixing(COUNT, mixup_alpha=1.0)
    weights = [
        np.concatenate([labels.max(axis=1) for _, labels in batches(in_memory, IN_MEMORY, (index, 2), mixing)])
        for index in range(2)
    ]
    assert np.mean(np.abs(weights[0] - weights[1]) > 1e-3) > 0.8


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_validation_sees_every_image_once_and_fills_up_with_weight_0(in_memory, shards):
    parts = [
        list(validation_dataset(in_memory, IN_MEMORY, 8, COUNT, shard=(index, shards)).as_numpy_iterator())
        for index in range(shards)
    ]
    seen = []
    for part in parts:
        assert len(part) == 4
        for images, labels, weights in part:
            assert images.shape == (8 // shards, 6, 5, 3)
            assert labels.shape == (8 // shards, COUNT)
            # Keras divides by the 32 images of four batches, of which 27 count.
            np.testing.assert_allclose(weights[weights > 0], 32 / 27, rtol=1e-6)
            seen += np.argmax(labels, axis=1)[weights > 0].tolist()
    assert sorted(seen) == list(range(COUNT))
