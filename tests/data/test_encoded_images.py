"""Pipelines of encoded images: order, augmentation, corrupt files."""

import dataclasses
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from helpers import odd_images

from aa_keras.data import CorruptFiles, Preprocessing, evaluation_dataset, image_ops, raw_dataset, training_dataset
from aa_keras.data.image_folder import FileImages
from aa_keras.errors import UserError

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
PREPROCESSING = Preprocessing(MEAN, STD, horizontal_flip=True, image_size=12)
COUNT = 20


def files_of(folder, contents):
    """`FileImages` of files with these contents, each of a class of its own."""
    contents = {f"{label:02}.jpg": content for label, content in enumerate(contents)}
    odd_images.write_images(folder, contents)
    return FileImages([(str(folder / name), label) for label, name in enumerate(contents)], 12)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Twenty images of different sizes, one in three a PNG in spite of its name."""
    pictures = [odd_images.picture(40 + label, 60 - label, seed=label) for label in range(COUNT)]
    formats = ["JPEG", "JPEG", "PNG"] * COUNT
    contents = [odd_images.encode(*pair) for pair in zip(pictures, formats, strict=False)]
    return files_of(tmp_path_factory.mktemp("images"), contents)


def batches(examples, preprocessing=PREPROCESSING, batch_size=4, steps=5, seed=0, epochs=range(2), corrupt_files=None):
    dataset = training_dataset(examples, preprocessing, batch_size, steps, seed, epochs, corrupt_files)
    return list(dataset.as_numpy_iterator())


def labels_of(batches):
    return [label for _, labels in batches for label in labels.tolist()]


def images_of(batches):
    """{label: image} of one epoch."""
    return dict(zip(labels_of(batches), np.concatenate([images for images, _ in batches]), strict=True))


@pytest.fixture(scope="module")
def four_epochs(examples):
    tf.random.set_seed(0)
    return batches(examples, epochs=range(4))


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(four_epochs):
    orders = [labels_of(four_epochs[start : start + 5]) for start in range(0, 20, 5)]
    assert all(sorted(order) == list(range(COUNT)) for order in orders)
    assert len(set(map(tuple, orders))) == 4


def test_resumed_epochs_are_those_of_an_uninterrupted_run(examples, four_epochs):
    tf.random.set_seed(1)
    dataset = training_dataset(examples, PREPROCESSING, 4, 5, 0, range(2, 4))
    images, labels = dataset.element_spec
    assert (images.shape, images.dtype) == ((4, 12, 12, 3), "float32")
    assert (labels.shape, labels.dtype) == ((4,), "int32")
    for (images, labels), (resumed_images, resumed_labels) in zip(four_epochs[10:], dataset, strict=True):
        np.testing.assert_array_equal(labels, resumed_labels)
        np.testing.assert_array_equal(images, resumed_images)


def test_another_seed_and_another_epoch_differ_in_order_and_augmentation(examples, four_epochs):
    another_seed = batches(examples, seed=1, epochs=range(1))
    for there in (another_seed, four_epochs[5:10]):
        assert labels_of(four_epochs[:5]) != labels_of(there)
        ours, theirs = images_of(four_epochs[:5]), images_of(there)
        assert not any(np.array_equal(ours[label], theirs[label]) for label in range(COUNT))


def test_order_and_augmentation_do_not_depend_on_the_batches(examples, four_epochs):
    small = batches(examples, batch_size=3, steps=3, epochs=range(1, 2))
    assert labels_of(four_epochs[5:10])[:9] == labels_of(small)
    for label, image in images_of(small).items():
        np.testing.assert_array_equal(image, images_of(four_epochs[5:10])[label])


def normalized(image):
    return image_ops.normalize(image, MEAN, STD)


def test_what_moves_into_a_shifted_crop_is_the_mean():
    encoded = odd_images.encode(np.full((64, 64, 3), 255, "uint8"))
    shifting = dataclasses.replace(PREPROCESSING, crop_padding=4)
    crop = shifting.crop_for_training_from_jpeg(tf.constant(encoded), tf.constant([0, 1], tf.int64)).numpy()
    colours = {tuple(pixel) for pixel in crop.reshape(-1, 3).tolist()}
    assert colours == {(255, 255, 255), tuple(int(mean) for mean in MEAN)}


def test_jpegs_decoded_in_part_are_what_the_whole_ones_would_be():
    encoded = odd_images.encode(odd_images.picture(300, 400))
    whole = tf.io.decode_jpeg(encoded)
    preprocessing = dataclasses.replace(PREPROCESSING, image_size=48)
    for number in range(10):
        seed = tf.constant([1, number], tf.int64)
        in_part = preprocessing.crop_for_training_from_jpeg(tf.constant(encoded), seed)
        assert (in_part.shape, in_part.dtype) == ((48, 48, 3), tf.uint8)
        # Reduced by the decoder and interpolated here; reduced by interpolation with antialiasing there.
        assert np.abs(normalized(in_part) - normalized(preprocessing.crop_for_training(whole, seed))).mean() < 0.1


def test_the_least_crop_can_be_chosen():
    encoded = odd_images.encode(odd_images.picture(200, 200))
    all_of_it = Preprocessing(MEAN, STD, image_size=12, smallest_crop=0.95)
    expected = image_ops.normalize(image_ops.resize(tf.io.decode_jpeg(encoded), 12, antialias=True), MEAN, STD)
    for number in range(5):
        image = all_of_it.crop_for_training_from_jpeg(tf.constant(encoded), tf.constant([1, number], tf.int64))
        assert np.abs(normalized(image) - expected).mean() < 0.4


def test_half_of_the_images_are_mirrored():
    # Dark on the left and bright on the right, wherever it is cropped.
    ramp = np.tile(np.linspace(0, 255, 64).astype("uint8")[None, :, None], (64, 1, 3))
    encoded = tf.constant(odd_images.encode(ramp))
    images = [
        PREPROCESSING.crop_for_training_from_jpeg(encoded, tf.constant([0, number], tf.int64)) for number in range(60)
    ]
    mirrored = sum(float(tf.reduce_mean(image[:, 0] - image[:, -1])) > 0 for image in map(normalized, images))
    assert 15 < mirrored < 45


def test_evaluation_shows_every_image_once_in_order(examples):
    dataset = evaluation_dataset(examples, PREPROCESSING, 8)
    assert len(dataset) == 3
    shown = list(dataset.as_numpy_iterator())
    assert labels_of(shown) == list(range(COUNT))
    assert [images.shape for images, _ in shown] == [(8, 12, 12, 3), (8, 12, 12, 3), (4, 12, 12, 3)]
    raw = list(raw_dataset(examples).as_numpy_iterator())
    assert [label for _, label in raw] == list(range(COUNT))
    for label, (image, _) in enumerate(raw):
        assert (image.shape, image.dtype) == ((40 + label, 60 - label, 3), "uint8")
        expected = image_ops.normalize(tf.round(image_ops.resize_and_centre_crop(image, 12)), MEAN, STD)
        np.testing.assert_allclose(images_of(shown)[label], expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def damaged(tmp_path):
    """Twenty images of which five are corrupt, each in another way, and one is gone."""
    contents = [odd_images.encode(odd_images.picture(40, 60, seed=label)) for label in range(COUNT)]
    contents[3:8] = odd_images.CORRUPT.values()
    examples = files_of(tmp_path, contents)
    (tmp_path / "08.jpg").unlink()
    return examples


def test_training_skips_corrupt_images_and_fills_up_the_epoch(damaged, capfd):
    corrupt_files = CorruptFiles(limit=6)
    with corrupt_files.as_user_errors():
        shown = batches(damaged, batch_size=4, steps=5, epochs=range(3), corrupt_files=corrupt_files)
    assert [images.shape for images, _ in shown] == [(4, 12, 12, 3)] * 15
    whole = set(range(COUNT)) - set(range(3, 9))
    for epoch in range(3):
        labels = labels_of(shown[5 * epoch : 5 * epoch + 5])
        assert len(labels) == 20
        assert set(labels[:14]) == set(labels) == whole
        assert labels[14:] == labels[:6]  # once more from the beginning
    assert [pathlib.Path(name).name for name in sorted(corrupt_files.skipped)] == [f"0{n}.jpg" for n in range(3, 9)]
    for label, reason in enumerate([*odd_images.CORRUPT, "No such file or directory"], start=3):
        (found,) = (why for name, why in corrupt_files.skipped.items() if name.endswith(f"0{label}.jpg"))
        assert reason in found
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("Skipping")]
    assert len(lines) == 6
    assert all(
        sum(f"{name}: {reason}" in line for line in lines) == 1 for name, reason in corrupt_files.skipped.items()
    )


def test_corrupt_images_change_nothing_for_those_beside_them(damaged):
    beside = images_of(batches(damaged, batch_size=14, steps=1, epochs=range(1)))
    for label in range(3, 9):
        pathlib.Path(damaged.files[label][0]).write_bytes(odd_images.encode(odd_images.picture(40, 60, seed=label)))
    alone = images_of(batches(damaged, batch_size=20, steps=1, epochs=range(1)))
    assert set(beside) == set(alone) - set(range(3, 9))
    for label, image in beside.items():
        # Decoded once more, in Python and with antialiasing, because one of its group failed in the graph.
        assert np.abs(image - alone[label]).mean() < 0.35


def test_training_fails_beyond_the_limit(damaged):
    corrupt_files = CorruptFiles(limit=2)
    with pytest.raises(UserError) as error, corrupt_files.as_user_errors():
        batches(damaged, corrupt_files=corrupt_files)
    message = str(error.value)
    assert message.startswith("3 of the 20 training images cannot be read")
    assert "config.corrupt_files_limit=2" in message
    assert message.count(".jpg") == 3
    assert "\n" not in message


def test_training_fails_if_no_image_is_left(tmp_path):
    examples = files_of(tmp_path, odd_images.CORRUPT.values())
    corrupt_files = CorruptFiles(limit=10)
    with pytest.raises(UserError, match="5 of the 5 training images"), corrupt_files.as_user_errors():
        batches(examples, batch_size=2, steps=1, corrupt_files=corrupt_files)


def test_a_single_image_may_be_left(tmp_path):
    examples = files_of(tmp_path, [*odd_images.CORRUPT.values(), odd_images.WHOLE])
    assert labels_of(batches(examples, batch_size=3, steps=2, epochs=range(1))) == [5] * 6


def test_evaluation_fails_on_a_corrupt_image_and_names_it(tmp_path):
    for label, content in enumerate([*odd_images.CORRUPT.values(), None]):
        examples = files_of(tmp_path, [odd_images.WHOLE] * 6)
        path = tmp_path / f"0{label}.jpg"
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        corrupt_files = CorruptFiles(limit=10)
        with pytest.raises(UserError, match=rf"^The image {path} cannot be read: .*"), corrupt_files.as_user_errors():
            list(evaluation_dataset(examples, PREPROCESSING, 2, corrupt_files))
    corrupt_files = CorruptFiles(limit=10)
    with pytest.raises(UserError, match=rf"^The image {path} cannot be read: .*"), corrupt_files.as_user_errors():
        list(raw_dataset(examples, corrupt_files))


def test_other_errors_of_tensorflow_are_left_as_they_are():
    with pytest.raises(tf.errors.InvalidArgumentError), CorruptFiles().as_user_errors():
        tf.io.decode_jpeg(b"")


@pytest.mark.skipif("AA_KERAS_DATA" not in os.environ, reason="AA_KERAS_DATA does not name a folder of data")
def test_real_photographs():
    folder = pathlib.Path(os.environ["AA_KERAS_DATA"], "imagenet_samples")
    paths = sorted(str(path) for path in folder.glob("*/*"))
    examples = FileImages([(path, label) for label, path in enumerate(paths)], 96)
    preprocessing = Preprocessing((123.7, 116.3, 103.5), (58.4, 57.1, 57.4), horizontal_flip=True, image_size=96)
    corrupt_files = CorruptFiles(limit=0)
    ((images, labels),) = batches(examples, preprocessing, 100, 1, epochs=range(1), corrupt_files=corrupt_files)
    assert sorted(labels) == list(range(100))
    ((central, _),) = evaluation_dataset(examples, preprocessing, 100, corrupt_files).as_numpy_iterator()
    for found in (images, central):
        assert np.abs(found.mean()) < 0.3
        assert 0.8 < found.std() < 1.3
    # A crop has much of the colours of its image.
    correlation = np.corrcoef(images[np.argsort(labels)].mean(axis=(1, 2, 3)), central.mean(axis=(1, 2, 3)))
    assert correlation[0, 1] > 0.6
