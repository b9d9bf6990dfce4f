"""Encoded images from TensorFlow Datasets: mocks of ImageNet, and a small data set in several files."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from helpers import odd_images

from aa_keras.data import CorruptFiles, Preprocessing, evaluation_dataset, load_dataset, raw_dataset, training_dataset
from aa_keras.errors import UserError

PREPROCESSING = Preprocessing((120.0,) * 3, (60.0,) * 3, horizontal_flip=True, image_size=12)
TRAIN, VALIDATION, TEST = 40, 6, 5

with tfds.core.registered.skip_registration():

    class ManySizes(tfds.core.GeneratorBasedBuilder):
        """Photographs of many sizes, each of a class of its own; as ImageNet's, those of the test have none."""

        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = pathlib.Path(__file__).parent  # TFDS finds only that of packages

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                "label": tfds.features.ClassLabel(names=[f"class {number}" for number in range(TRAIN)]),
                "weight": tfds.features.Scalar(np.float32),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features), disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(range(TRAIN)),
                "validation": self._generate_examples(range(VALIDATION)),
                "test": self._generate_examples([-1] * TEST),
            }

        def _generate_examples(self, labels):
            for index, label in enumerate(labels):
                yield index, {"image": odd_images.picture(20 + index, 30, seed=index), "label": label, "weight": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of TensorFlow Datasets with that data set in five files."""
    folder = tmp_path_factory.mktemp("data")
    config = tfds.download.DownloadConfig(num_shards=5)
    ManySizes(data_dir=folder).download_and_prepare(download_config=config)
    return str(folder)


@pytest.fixture(autouse=True)
def _many_sizes_by_name(monkeypatch):
    builder = tfds.builder

    def with_many_sizes(name, data_dir=None):
        return ManySizes(data_dir=data_dir) if name == "many_sizes" else builder(name, data_dir=data_dir)

    monkeypatch.setattr(tfds, "builder", with_many_sizes)


def load(folder, **arguments):
    return load_dataset("many_sizes", folder, **{"image_size": 12, **arguments})


def labels_of(dataset):
    return [label for _, labels in dataset for label in np.atleast_1d(labels).tolist()]


def epochs(examples, epochs, seed=0, batch_size=8):
    return list(
        training_dataset(examples, PREPROCESSING, batch_size, TRAIN // batch_size, seed, epochs).as_numpy_iterator()
    )


def test_splits_of_a_data_set_in_several_files(folder):
    dataset = load(folder)
    assert dataset.name == "many_sizes"
    assert dataset.class_names[:2] == ("class 0", "class 1")
    assert dataset.image_shape == (12, 12, 3)
    # The test split of this data set has no labels.
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [TRAIN, 0, VALIDATION]
    assert labels_of(raw_dataset(dataset.test)) == list(range(VALIDATION))
    for label, (image, _) in enumerate(raw_dataset(dataset.test).as_numpy_iterator()):
        assert image.shape == (20 + label, 30, 3)
        assert np.abs(image.astype(float) - odd_images.picture(20 + label, 30, seed=label)).mean() < 12

    dataset = load(folder, test_split="train")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [TRAIN, VALIDATION, TRAIN]
    dataset = load(folder, validation_examples=7)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [TRAIN - 7, 7, VALIDATION]
    parts = [set(labels_of(raw_dataset(part))) for part in (dataset.train, dataset.validation)]
    assert parts == [set(range(TRAIN - 7)), set(range(TRAIN - 7, TRAIN))]


@pytest.fixture(scope="module")
def three_epochs(folder):
    tf.random.set_seed(0)  # with which `Dataset.shuffle` by itself would fail
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds, "builder", lambda name, data_dir: ManySizes(data_dir=data_dir))
        return epochs(load(folder, shuffle_buffer=4).train, range(3))


def test_an_epoch_shows_every_image_once_shuffled_within_files_and_among_them(three_epochs):
    orders = np.array(labels_of(three_epochs)).reshape(3, TRAIN)
    for order in orders:
        assert sorted(order) == list(range(TRAIN))
    files = orders // 8
    # The buffer of 4 mixes the images of a file, not the files, but where one follows another.
    assert all(np.mean(order[1:] == order[:-1]) > 0.5 for order in files)
    # The files come in an order of their own.
    file_orders = {tuple(dict.fromkeys(order.tolist())) for order in files}
    assert len(file_orders) == 3
    assert tuple(range(5)) not in file_orders
    assert len({tuple(order) for order in orders}) == 3


def test_resumed_epochs_are_those_of_an_uninterrupted_run(folder, three_epochs):
    tf.random.set_seed(7)
    tail = epochs(load(folder, shuffle_buffer=4).train, range(1, 3))
    assert len(tail) == 10
    for (images, labels), (resumed_images, resumed_labels) in zip(three_epochs[5:], tail, strict=True):
        np.testing.assert_array_equal(labels, resumed_labels)
        np.testing.assert_array_equal(images, resumed_images)


def test_another_seed_differs(folder, three_epochs):
    other = epochs(load(folder, shuffle_buffer=4).train, range(1), seed=1)
    assert labels_of(other) != labels_of(three_epochs[:5])


def test_a_corrupt_image_is_named_by_its_place():
    corrupt_files = CorruptFiles()
    content = odd_images.encode(odd_images.picture(20, 20))

    def generate(self, *arguments, **options):
        images = tf.constant([content, content[:100], content])
        return tf.data.Dataset.from_tensor_slices({"image": images, "label": tf.range(3, dtype=tf.int64)})

    with tfds.testing.mock_data(as_dataset_fn=generate):
        dataset = load_dataset("stanford_dogs", image_size=12)
        (batch,) = training_dataset(dataset.train, PREPROCESSING, 4, 1, 0, range(1), corrupt_files)
    assert set(batch[1].numpy()) == {0, 2}
    assert list(corrupt_files.skipped) == ["stanford_dogs train, example 1"]


def test_a_mock_of_imagenet():
    with tfds.testing.mock_data(num_examples=9):
        dataset = load_dataset("imagenet2012", image_size=12)
        assert dataset.name == "imagenet2012"
        assert dataset.class_names[:2] == ("n01440764", "n01443537")
        assert len(dataset.class_names) == 1000
        assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [9, 0, 9]
        for images, labels in training_dataset(dataset.train, PREPROCESSING, 4, 2, 0, range(2)):
            assert images.shape == (4, 12, 12, 3)
            assert labels.shape == (4,)
        shown = list(evaluation_dataset(dataset.test, PREPROCESSING, 5).as_numpy_iterator())
        assert [len(labels) for _, labels in shown] == [5, 4]
        # The mock's validation images are also those to train on.
        trained = training_dataset(dataset.train, PREPROCESSING, 9, 1, 0, range(1))
        assert sorted(labels_of(trained)) == sorted(labels_of(shown))


@pytest.mark.parametrize("there", [[], ["ILSVRC2012_img_train.tar"], ["ILSVRC2012_img_val.tar"]])
def test_archives_of_imagenet_that_are_missing(tmp_path, there):
    manual = tmp_path / "downloads" / "manual"
    odd_images.write_images(manual, dict.fromkeys(there, b""))
    with pytest.raises(UserError) as error:
        load_dataset("imagenet2012", str(tmp_path), image_size=224)
    message = str(error.value)
    for name in ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"):
        assert (name in message) == (name not in there)
    assert str(manual) in message
    assert "\n" not in message
    assert not (tmp_path / "imagenet2012").exists()  # nothing was begun


def test_arguments_that_cannot_be(folder):
    for arguments, expected in (
        ({"test_split": "holdout"}, "config.test_split must be unset or one of train, validation in the data set"),
        ({"test_split": "test"}, "Received: 'test'"),  # it has no labels
        ({"validation_examples": TRAIN}, f"from 0 to {TRAIN - 1}"),
        ({"validation_examples": -1}, "Received: validation_examples=-1"),
        ({"image_size": None}, "config.image_size must be set to resize them"),
        ({"image_size": 0}, "config.image_size must be at least 1"),
    ):
        with pytest.raises(UserError) as error:
            load(folder, **arguments)
        assert expected in str(error.value)
        assert "\n" not in str(error.value)


def test_the_digits_are_not_resized():
    with pytest.raises(
        UserError, match=r"config\.image_size and config\.test_split must be unset and .* 0 for dataset='digits'"
    ):
        load_dataset("digits", image_size=32)


def test_images_of_one_size_can_be_resized_too(folder):
    with tfds.testing.mock_data(num_examples=4):
        dataset = load_dataset("cifar100", image_size=12)
        ((images, labels),) = evaluation_dataset(dataset.test, PREPROCESSING, 4)
    assert images.shape == (4, 12, 12, 3)
    assert len(labels) == 4


@pytest.mark.parametrize("shards", [2, 5, 7])
def test_shards_have_no_image_in_common_and_leave_none_out(folder, shards):
    train = load(folder, shuffle_buffer=4).train
    key = tf.constant([3, 4], tf.int64)
    parts = [[int(index) for index, *_ in train.records(key, (shard, shards))] for shard in range(shards)]
    assert sorted(index for part in parts for index in part) == list(range(TRAIN))
    files = [{index // 8 for index in part} for part in parts]
    # As long as there are enough of them, each shard reads files of its own.
    assert (sum(map(len, files)) == 5) == (shards <= 5)
