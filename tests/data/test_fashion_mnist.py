"""Fashion-MNIST in IDX files, compressed and not, and other files in their place."""

import gzip
import struct

import numpy as np
import pytest

from aa_keras.data import fashion_mnist, load_dataset
from aa_keras.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype="uint8")
LABELS = np.array([9, 0, 1, 2, 3, 4, 5], "uint8")


def idx(values):
    """The bytes of an IDX file, as yann.lecun.com/exdb/mnist describes them."""
    return b"\0\0\x08" + bytes([values.ndim]) + b"".join(struct.pack(">i", n) for n in values.shape) + values.tobytes()


@pytest.fixture
def folder(tmp_path):
    """The training images as they are, those of the test compressed."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[:3])))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:3])))
    return tmp_path


def test_images_and_labels_are_those_of_the_files(folder):
    dataset = load_dataset("fashion_mnist", data_dir=folder, validation_examples=2)
    for part, images, labels in (
        (dataset.train, IMAGES[:5], LABELS[:5]),
        (dataset.validation, IMAGES[5:], LABELS[5:]),
        (dataset.test, IMAGES[:3], LABELS[:3]),
    ):
        np.testing.assert_array_equal(part.images[..., 0], images)
        np.testing.assert_array_equal(part.labels, labels)
        assert (part.images.dtype, part.labels.dtype) == ("uint8", "int32")
    assert dataset.image_shape == (28, 28, 1)
    assert (dataset.class_names[0], dataset.class_names[9]) == ("T-shirt/top", "Ankle boot")


def test_the_folder_is_found(folder, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", folder / "nowhere")
    assert fashion_mnist.find_fashion_mnist(None) is None
    assert fashion_mnist.find_fashion_mnist(folder) == folder
    folder.rename(folder.parent / "fashion-mnist")
    assert fashion_mnist.find_fashion_mnist(folder.parent) == folder.parent / "fashion-mnist"
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", folder.parent / "fashion-mnist")
    assert fashion_mnist.find_fashion_mnist("/") == folder.parent / "fashion-mnist"


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("t10k-labels-idx1-ubyte.gz", None, "t10k-labels-idx1-ubyte is missing"),
        ("t10k-labels-idx1-ubyte.gz", b"\x1f\x8b broken", "t10k-labels-idx1-ubyte.gz cannot be read"),
        ("t10k-images-idx3-ubyte.gz", gzip.compress(idx(IMAGES[:3]))[:-99], "t10k-images-idx3-ubyte.gz cannot be read"),
        ("train-images-idx3-ubyte", idx(IMAGES)[:-1], "must be a whole IDX file of unsigned bytes in 3 dimensions"),
        ("train-images-idx3-ubyte", idx(IMAGES) + b"0", "must be a whole IDX file"),
        ("train-labels-idx1-ubyte", idx(IMAGES), "must be a whole IDX file of unsigned bytes in 1 dimensions"),
        ("train-labels-idx1-ubyte", b"", "must be a whole IDX file"),
        ("train-labels-idx1-ubyte", idx(LABELS[:6]), r"must have a label for each image: 7 and 6 in train-\*"),
        ("train-labels-idx1-ubyte", idx(LABELS + 1), r"must have labels from 0 to 9: up to 10 in train-\*"),
    ],
)
def test_what_is_damaged_is_named(name, content, error, folder):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=error) as caught:
        load_dataset("fashion_mnist", data_dir=folder)
    assert "\n" not in str(caught.value)


def test_what_it_does_not_take_is_reported(folder):
    with pytest.raises(
        UserError, match=r"config\.image_size and config\.test_split must be unset for dataset='fashion_m"
    ):
        load_dataset("fashion_mnist", data_dir=folder, image_size=32)
    with pytest.raises(UserError, match=r"config\.validation_examples must be from 0 to 6"):
        load_dataset("fashion_mnist", data_dir=folder, validation_examples=7)
