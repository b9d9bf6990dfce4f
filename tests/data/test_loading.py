"""Data sets by name: the digits' split, and what TensorFlow Datasets hold, in small and for real."""

import os
import pathlib
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

from aa_keras.applications.datasets import CIFAR100
from aa_keras.data import load_dataset, tfds_images
from aa_keras.data.tfds_images import tensorflow_datasets_folder
from aa_keras.errors import UserError


def test_digits_are_split_by_a_fixed_permutation():
    original = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    dataset = load_dataset("digits")
    assert dataset.name == "digits"
    assert dataset.class_names == tuple("0123456789")
    assert dataset.image_shape == (8, 8, 1)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [1257, 180, 360]
    for part, indices in (
        (dataset.train, order[:1257]),
        (dataset.validation, order[1257:1437]),
        (dataset.test, order[1437:]),
    ):
        assert (part.images.dtype, part.labels.dtype) == ("uint8", "int32")
        np.testing.assert_array_equal(part.labels, original.target[indices])
        # From 0..16 to 0..255, to the nearest integer.
        assert np.abs(part.images[..., 0] / 255 - original.images[indices] / 16).max() < 0.5 / 255 + 1e-9


def test_digits_use_the_whole_range_of_grey():
    images = load_dataset("digits").train.images
    assert (images.min(), images.max()) == (0, 255)


def test_without_a_network_the_reason_comes_at_once(tmp_path, monkeypatch):
    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        assert timeout <= 5
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    reasons = r"https://storage.googleapis.com cannot be reached \(no route\), https://www.cs.toronto.edu/.* cannot .*"
    with pytest.raises(UserError, match=f"'cifar100' is not in .*, and cannot be downloaded: {reasons}data_dir"):
        load_dataset("cifar100", data_dir=tmp_path)
    # With something downloaded before, TFDS is asked, and here has the wrong file.
    asked.clear()
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda _: 1 / 0)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "cifar-100.tar.gz").write_bytes(b"")
    with pytest.raises(UserError, match="could not be read or downloaded: division by zero"):
        load_dataset("cifar100", data_dir=tmp_path)
    assert asked == []


def test_an_error_without_words_has_its_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_images, "prepare", lambda _: next(iter(())))
    with pytest.raises(UserError, match=r"could not be read or downloaded: StopIteration\. "):
        load_dataset("cifar100", data_dir=tmp_path)


def a_few_images(count, seed):
    generator = np.random.default_rng(seed)
    return {
        "id": [f"{seed}_{index}" for index in range(count)],
        "image": generator.integers(0, 256, size=(count, 32, 32, 3), dtype="uint8"),
        "label": generator.permutation(np.arange(count, dtype="int64")),
        "coarse_label": np.zeros(count, dtype="int64"),
    }


TRAIN, TEST = a_few_images(7, seed=1), a_few_images(5, seed=2)


with tfds.core.registered.skip_registration():  # the name is taken

    class Cifar100(tfds.core.GeneratorBasedBuilder):
        """A builder that writes what TensorFlow Datasets' own of this name and version would, for twelve images."""

        VERSION = tfds.core.Version("3.0.2")
        pkg_dir_path = pathlib.Path(__file__).parent  # TFDS finds only that of packages

        def _info(self):
            features = {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(names=[f"class {number}" for number in range(100)]),
                "coarse_label": tfds.features.ClassLabel(num_classes=20),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features), disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(TRAIN), "test": self._generate_examples(TEST)}

        def _generate_examples(self, images):
            for index in range(len(images["id"])):
                yield index, {feature: values[index] for feature, values in images.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of TensorFlow Datasets with a small cifar100, and no need for the network."""
    folder = tmp_path_factory.mktemp("data")
    Cifar100(data_dir=folder / "tfds").download_and_prepare()
    return str(folder)


@pytest.mark.parametrize("inside", ["", "tfds"])
def test_tensorflow_datasets_are_loaded_whole(folder, inside):
    dataset = load_dataset("cifar100", os.path.join(folder, inside))
    assert dataset.name == "cifar100"
    assert dataset.image_shape == (32, 32, 3)
    assert dataset.class_names == tuple(f"class {number}" for number in range(100))
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [7, 0, 5]
    assert dataset.validation.images.shape == (0, 32, 32, 3)
    for part, stored in ((dataset.train, TRAIN), (dataset.test, TEST)):
        assert (part.images.dtype, part.labels.dtype) == ("uint8", "int32")
        np.testing.assert_array_equal(part.images, stored["image"])
        np.testing.assert_array_equal(part.labels, stored["label"])


def test_validation_examples_are_the_last_of_the_training_images(folder):
    dataset = load_dataset("cifar100", folder, validation_examples=2)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [5, 2, 5]
    for key, name in (("image", "images"), ("label", "labels")):
        np.testing.assert_array_equal(getattr(dataset.train, name), TRAIN[key][:5])
        np.testing.assert_array_equal(getattr(dataset.validation, name), TRAIN[key][5:])
        np.testing.assert_array_equal(getattr(dataset.test, name), TEST[key])


@pytest.mark.parametrize("validation_examples", [7, 8, -1])
def test_more_validation_examples_than_there_are(folder, validation_examples):
    with pytest.raises(UserError, match=rf"config\.validation_examples.* 0 to 6.*Received: .*={validation_examples}"):
        load_dataset("cifar100", folder, validation_examples)


@pytest.mark.parametrize("name", ["cifar1000", "", "no/such/name", "cifar100:9.9.9"])
def test_a_name_that_does_not_exist(tmp_path, name):
    with tfds.testing.mock_data(), pytest.raises(UserError) as error:  # the mock keeps off the network
        load_dataset(name, str(tmp_path))
    assert "config.dataset must be " in str(error.value)
    assert f"Received: dataset={name!r}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["imagenet2012", "coco/2017", "ag_news_subset"])
def test_images_of_many_sizes_and_what_has_no_labelled_images(tmp_path, name):
    with tfds.testing.mock_data(), pytest.raises(UserError) as error:
        load_dataset(name, str(tmp_path))
    assert "config.dataset must name a data set of labelled images of one size" in str(error.value)
    assert f"Received: dataset={name!r}" in str(error.value)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(UserError, match=r"config\.data_dir .*AA_KERAS_DATA.*Received: data_dir='.*missing'"):
        load_dataset("cifar100", str(tmp_path / "missing"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"config\.data_dir.*Received: data_dir='.*file'"):
        load_dataset("cifar100", str(tmp_path / "file"))


def test_a_folder_with_a_damaged_data_set(tmp_path):
    (tmp_path / "cifar100" / "3.0.2").mkdir(parents=True)
    (tmp_path / "cifar100" / "3.0.2" / "dataset_info.json").write_text("not JSON")
    with pytest.raises(UserError) as error:
        load_dataset("cifar100", str(tmp_path))
    assert "cifar100" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif("AA_KERAS_DATA" not in os.environ, reason="AA_KERAS_DATA does not name a folder of data")
@pytest.mark.slow
def test_the_real_cifar100_and_its_statistics():
    dataset = load_dataset("cifar100", os.environ["AA_KERAS_DATA"], validation_examples=5000)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [45_000, 5_000, 10_000]
    assert (len(dataset.class_names), dataset.class_names[0], dataset.class_names[-1]) == (100, "apple", "worm")
    np.testing.assert_array_equal(np.bincount(dataset.test.labels), [100] * 100)
    together = np.concatenate([dataset.train.labels, dataset.validation.labels])
    np.testing.assert_array_equal(np.bincount(together), [500] * 100)

    images = np.concatenate([dataset.train.images, dataset.validation.images])
    for channel in range(3):
        assert images[..., channel].mean(dtype="float64") == pytest.approx(CIFAR100.mean[channel], abs=0.05)
        assert images[..., channel].std(dtype="float64") == pytest.approx(CIFAR100.std[channel], abs=0.05)


def test_tensorflow_datasets_take_any_path(tmp_path):
    (tmp_path / "tfds").mkdir()
    assert tensorflow_datasets_folder(str(tmp_path)) == str(tmp_path / "tfds")
    assert tensorflow_datasets_folder("gs://bucket/folder") == "gs://bucket/folder"
    with pytest.raises(UserError, match="must be a folder that exists"):
        tensorflow_datasets_folder(str(tmp_path / "missing"))
