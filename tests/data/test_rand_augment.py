"""RandAugment: what its operations do, both ways and no further than they may, and on what it depends."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from aa_keras.data import CorruptFiles, Preprocessing, RandAugment, load_dataset, training_dataset

SIZE = 32
DRAWS = 60


def picture():
    """A ramp of greys downwards with a bright disc on its right: mirrored or turned it is another."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.stack([60 + 2 * y, 70 + 2 * y, 50 + 2 * y], axis=-1)
    image[(y - 16) ** 2 + (x - 22) ** 2 < 16] = (220, 180, 40)
    return image.astype("uint8")


def augmented(magnitude=1.0, operations=1, image=None):
    """The given number of draws, in a graph."""
    policy, image = RandAugment(operations, magnitude), picture() if image is None else image
    keys = tf.data.Dataset.range(DRAWS)
    return np.stack(list(keys.map(lambda key: policy(image, tf.stack([key, 3]))).as_numpy_iterator()))


def test_images_change_each_in_its_way_and_stay_in_their_range():
    images = augmented()
    assert images.dtype == np.float32
    assert images.shape == (DRAWS, SIZE, SIZE, 3)
    assert images.min() >= 0
    assert images.max() <= 255
    changed = np.abs(images - picture()).max(axis=(1, 2, 3)) > 1
    assert 0.7 < changed.mean() < 1  # one of thirteen operations does nothing
    assert len({image.tobytes() for image in images}) > 0.7 * DRAWS


def test_the_key_alone_decides():
    images = augmented(operations=2)
    np.testing.assert_array_equal(images, augmented(operations=2))
    eagerly = RandAugment(2, 1.0)(picture(), tf.constant([7, 3], tf.int64))
    np.testing.assert_allclose(eagerly, images[7], atol=1e-3)


def test_a_magnitude_of_zero_leaves_shapes_where_they_are():
    """Only the operations without a strength remain: autocontrast and equalization."""
    images = augmented(magnitude=0.0)
    kinds = {tuple(image.round().astype(int).ravel()) for image in images}
    assert len(kinds) <= 3
    assert tuple(picture().astype(int).ravel()) in kinds


@pytest.mark.parametrize(
    ("operation", "measure", "limit"),
    [
        ("RandomRotation", lambda image: angle_of_disc(image), 30),
        ("RandomTranslation, 5", lambda image: position_of_disc(image)[0] - 16, 0.3 * SIZE),
        ("RandomTranslation, 6", lambda image: position_of_disc(image)[1] - 22, 0.3 * SIZE),
        ("RandomContrast", lambda image: np.std(image) / np.std(picture()) - 1, 0.9),
        ("RandomBrightness", lambda image: (np.mean(image) - np.mean(picture())) / 255, 0.4),
    ],
)
def test_operations_go_both_ways_and_no_further_than_they_may(operation, measure, limit):
    """Half the magnitude goes half as far."""
    index = {"RandomRotation": 2, "RandomContrast": 8, "RandomBrightness": 11}.get(operation) or int(operation[-1])
    choice = RandAugment(1, 0.5)._choices[index]
    image = tf.constant(picture()[np.newaxis], tf.float32)
    values = [measure(np.array(choice(image, tf.constant([key, 0])))[0]) for key in range(30)]
    assert min(values) < -0.3 * limit / 2
    assert max(values) > 0.3 * limit / 2
    assert max(np.abs(values)) < 1.1 * limit / 2 + 0.05 * limit


def position_of_disc(image):
    """Height and width at which the disc's mean is: it alone has so little blue for its red."""
    y, x = np.nonzero(image[..., 0] - image[..., 2] > 60)
    return y.mean(), x.mean()


def angle_of_disc(image):
    y, x = position_of_disc(image)
    return np.degrees(np.arctan2(15.5 - y, x - 15.5)) + 4.8  # where it is in the picture


def test_photographs_in_other_formats_and_beside_a_corrupt_one(tmp_path):
    """These are decoded in Python, where operations run eagerly."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(picture()).save(tmp_path / split / name / "one.png")
            Image.fromarray(picture()).save(tmp_path / split / name / "two.jpg")
    whole = (tmp_path / "train" / "a" / "two.jpg").read_bytes()
    (tmp_path / "train" / "a" / "three.jpg").write_bytes(whole[: len(whole) // 2])
    dataset = load_dataset("image_folder", str(tmp_path), image_size=24)
    preprocessing = Preprocessing((0.0,) * 3, (1.0,) * 3, image_size=24, policy=RandAugment(2, 0.5))
    corrupt_files = CorruptFiles(1)
    batches = training_dataset(dataset.train, preprocessing, 4, 1, 0, range(2), corrupt_files)
    images = np.concatenate([batch for batch, _ in batches])
    assert images.shape == (8, 24, 24, 3)
    assert np.isfinite(images).all()
    assert len(corrupt_files.skipped) == 1
