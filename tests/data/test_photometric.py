"""Color jitter and random erasing: what they change, by how much, and that a key alone decides it."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.odd_images import picture

from aa_keras.data import ColorJitter, LabelledImages, Preprocessing, RandomErasing, training_dataset

KEYS = [tf.constant((3, number), tf.int64) for number in range(12)]


def results(operation, image):
    return np.stack([operation(tf.constant(image), key).numpy() for key in KEYS])


@pytest.mark.parametrize("operation", [ColorJitter(0.4, 3), RandomErasing(0.7)], ids=["jitter", "erasing"])
def test_a_key_alone_decides_in_a_graph_as_eagerly(operation):
    image = picture(20, 30)
    eager = results(operation, image)
    np.testing.assert_array_equal(eager, results(operation, image))
    assert len(np.unique(eager.reshape(len(KEYS), -1), axis=0)) > 6
    in_graph = tf.data.Dataset.from_tensor_slices(tf.stack(KEYS)).map(lambda key: operation(tf.constant(image), key))
    np.testing.assert_allclose(np.stack(list(in_graph.as_numpy_iterator())), eager, atol=0.01)


def test_no_jitter_changes_nothing():
    image = picture(20, 30)
    np.testing.assert_allclose(results(ColorJitter(0.0, 3), image), np.stack([image] * len(KEYS)), atol=0.05)


def test_jitter_is_as_strong_as_it_says_in_both_directions():
    gray = np.full((6, 6, 1), 100, "uint8")
    levels = results(ColorJitter(0.2, 1), gray)[:, 0, 0, 0]  # without contrast, brightness alone
    assert levels.min() >= 100 - 51 - 0.1
    assert levels.max() <= 100 + 51 + 0.1
    assert levels.min() < 85
    assert levels.max() > 115


def test_contrast_and_saturation_change_by_up_to_the_strength():
    image = np.full((4, 4, 3), 120, "uint8")
    image[:2] = (140, 130, 120)
    changed = results(ColorJitter(0.5, 3), image)
    contrast = (changed[:, 0, 0].max(-1) - changed[:, 3, 0].max(-1)) / 20  # value, which saturation does not change
    assert 0.49 < contrast.min() < 0.9
    assert 1.1 < contrast.max() < 1.51
    saturation = (changed[:, 0, 0, 0] - changed[:, 0, 0, 2]) / contrast / 20
    assert 0.49 < saturation.min() < 0.9 < 1.1 < saturation.max() < 1.6


def test_erasing_sets_one_rectangle_to_zero_in_a_share_of_the_images():
    image = np.full((24, 30, 3), 7.0, "float32")
    erased = [np.all(result == 0, axis=-1) for result in results(RandomErasing(0.5), image)]
    hit = [mask for mask in erased if mask.any()]
    assert 2 < len(hit) < 10
    for mask in hit:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() == len(rows) * len(columns) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert mask.sum() < 0.5 * 24 * 30
    for share, count in ((0.0, 0), (1.0, len(KEYS))):
        assert sum(np.any(result == 0) for result in results(RandomErasing(share), image)) == count


def test_what_is_erased_has_the_mean_of_the_data_set_and_the_rest_stays():
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3)).astype("uint8")
    examples = LabelledImages(images, np.arange(8, dtype="int32"))

    def epoch(**arguments):
        preprocessing = Preprocessing((90.5, 100.5, 110.5), (50.0,) * 3, **arguments)
        return next(training_dataset(examples, preprocessing, 8, 1, 0, range(1)).as_numpy_iterator())[0]

    plain, erased = epoch(), epoch(erasing=RandomErasing(1.0))
    changed = np.any(plain != erased, axis=-1)
    assert 0.02 < changed.mean() < 0.5
    np.testing.assert_array_equal(erased[changed], 0)  # normalized: the mean
