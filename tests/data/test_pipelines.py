"""Order and augmentation: the batches of an epoch depend on the seed and its number alone."""

import numpy as np
import pytest

from aa_keras.data import LabelledImages, Preprocessing, evaluation_dataset, training_dataset

EXAMPLES = 23


def numbered_images(count=EXAMPLES):
    """Images that their label identifies, with no two equal pixels."""
    images = np.random.default_rng(0).permuted(np.arange(256, dtype="uint8")[None].repeat(count, 0), axis=1)
    return LabelledImages(images[:, : 6 * 5 * 2].reshape(count, 6, 5, 2), np.arange(count, dtype="int32"))


PLAIN = Preprocessing(mean=(100.0, 50.0), std=(10.0, 20.0))
AUGMENTED = Preprocessing(mean=(100.0, 50.0), std=(10.0, 20.0), horizontal_flip=True, crop_padding=1)


def batches(preprocessing=AUGMENTED, batch_size=4, steps=5, seed=3, epochs=range(2), examples=None):
    examples = numbered_images() if examples is None else examples
    dataset = training_dataset(examples, preprocessing, batch_size, steps, seed, epochs)
    return list(dataset.as_numpy_iterator())


def labels_of(batches):
    return np.concatenate([labels for _, labels in batches])


def images_of(batches):
    """{label: image} of one epoch."""
    images = np.concatenate([images for images, _ in batches])
    return dict(zip(labels_of(batches).tolist(), images, strict=True))


def normalized(images):
    return (images.astype("float64") - [100, 50]) / [10, 20]


def test_batches_have_the_shapes_and_types_promised():
    dataset = training_dataset(numbered_images(), AUGMENTED, 4, 5, 0, range(3))
    images, labels = dataset.element_spec
    assert (images.shape, images.dtype) == ((4, 6, 5, 2), "float32")
    assert (labels.shape, labels.dtype) == ((4,), "int32")
    assert len(list(dataset)) == 3 * 5


def test_an_epoch_shows_no_example_twice_and_leaves_out_others_each_time():
    all_batches = batches(epochs=range(6))
    left_out = set()
    for epoch in range(6):
        seen = labels_of(all_batches[5 * epoch : 5 * epoch + 5])
        assert len(set(seen)) == len(seen) == 20
        left_out |= set(range(EXAMPLES)) - set(seen.tolist())
    assert len(left_out) > 3


def test_without_augmentation_images_are_normalized_and_keep_their_labels():
    examples = numbered_images()
    for label, image in images_of(batches(PLAIN, epochs=range(1))).items():
        np.testing.assert_allclose(image, normalized(examples.images[label]), rtol=1e-5, atol=1e-5)


def test_resumed_epochs_are_those_of_an_uninterrupted_run():
    whole, tail = batches(epochs=range(4)), batches(epochs=range(2, 4))
    assert len(tail) == 2 * 5
    for (images, labels), (resumed_images, resumed_labels) in zip(whole[10:], tail, strict=True):
        np.testing.assert_array_equal(labels, resumed_labels)
        np.testing.assert_array_equal(images, resumed_images)


def test_order_and_augmentation_do_not_depend_on_the_batches():
    large = batches(batch_size=10, steps=2, epochs=range(1, 2))
    small = batches(batch_size=2, steps=3, epochs=range(1, 2))
    np.testing.assert_array_equal(labels_of(large)[:6], labels_of(small))
    for label, image in images_of(small).items():
        np.testing.assert_array_equal(image, images_of(large)[label])


@pytest.mark.parametrize("other", [{"seed": 4}, {"epochs": range(1, 2)}])
def test_another_seed_and_another_epoch_differ_in_order_and_augmentation(other):
    here, there = batches(epochs=range(1)), batches(**{"epochs": range(1), **other})
    assert np.mean(labels_of(here) == labels_of(there)) < 0.5
    ours, theirs = images_of(here), images_of(there)
    common = set(ours) & set(theirs)
    # Two draws of 18 ways to augment an image rarely agree.
    assert sum(np.array_equal(ours[label], theirs[label]) for label in common) < len(common) / 2


def test_seed_and_epoch_are_not_mixed_up():
    # Were it their sum that counts, epoch 1 of seed 3 would be epoch 0 of seed 4.
    orders = [labels_of(batches(seed=seed, epochs=range(epoch, epoch + 1))) for seed, epoch in ((3, 1), (4, 0), (1, 3))]
    assert not any(np.array_equal(orders[a], orders[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_flips_and_shifts_are_drawn_apart():
    examples = numbered_images(1)
    image = normalized(examples.images[0])
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))  # zeros are added after normalization
    views = {}
    for flipped, source in enumerate((padded, np.pad(image[:, ::-1], ((1, 1), (1, 1), (0, 0))))):
        for down, right in np.ndindex(3, 3):
            views[flipped, down, right] = source[down : down + 6, right : right + 5]
    found = set()
    for images, _ in batches(batch_size=1, steps=1, epochs=range(150), examples=examples):
        (view,) = (key for key, view in views.items() if np.allclose(images[0], view, atol=1e-4))
        found.add(view)
    assert found == set(views)


def test_evaluation_shows_every_example_once_in_order_and_as_it_is():
    examples = numbered_images()
    shown = list(evaluation_dataset(examples, AUGMENTED, 4).as_numpy_iterator())
    assert [len(labels) for _, labels in shown] == [4, 4, 4, 4, 4, 3]
    np.testing.assert_array_equal(labels_of(shown), np.arange(EXAMPLES))
    images = np.concatenate([images for images, _ in shown])
    assert images.dtype == "float32"
    np.testing.assert_allclose(images, normalized(examples.images), rtol=1e-5, atol=1e-5)


def test_evaluation_is_the_same_each_time():
    dataset = evaluation_dataset(numbered_images(), AUGMENTED, 4)
    for (first, first_labels), (second, second_labels) in zip(dataset, dataset, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first_labels, second_labels)
