"""Where labelled images come from: scikit-learn's digits and TensorFlow Datasets, held in memory."""

import dataclasses
import pathlib

import numpy as np

from aa_keras.errors import UserError


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images and their classes.

    Attributes:
        images: uint8 array of shape (examples, height, width, channels).
        labels: int32 array of shape (examples,).
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """A classification data set.

    Attributes:
        name: its name.
        class_names: names of the classes in the order of their labels.
        train: the images to train on.
        validation: images held out of those to train on; may be empty.
        test: the images to report on.
    """

    name: str
    class_names: tuple[str, ...]
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages

    @property
    def image_shape(self):
        """(height, width, channels) of an image."""
        return self.train.images.shape[1:]


def load_dataset(name, data_dir=None, validation_examples=0):
    """Loads a data set into memory.

    Args:
        name: "digits" for the 1,797 handwritten digits that scikit-learn ships, which need no download; or the name
            of a set of images of one size with labels in TensorFlow Datasets, such as "cifar100".
        data_dir: folder of TensorFlow Datasets, or one with such a folder named `tfds` in it; None takes theirs.
        validation_examples: how many training examples to hold out; the digits have a fixed split instead.

    Returns:
        An `ImageDataset`.

    Raises:
        UserError: if there is no such data set or folder, or it does not consist of labelled images of one size.
    """
    if name == "digits":
        return _digits()
    return _from_tensorflow_datasets(name, data_dir, validation_examples)


def _digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    # 0 to 16 in the original, 0 to 255 like any other grey image here.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int32)
    # The same split whatever the seed of a run, so that runs can be compared.
    order = np.random.default_rng(0).permutation(len(labels))
    train, validation, test = (LabelledImages(images[part], labels[part]) for part in np.split(order, [1257, 1437]))
    return ImageDataset("digits", tuple(str(digit) for digit in range(10)), train, validation, test)


def _from_tensorflow_datasets(name, data_dir, validation_examples):
    import tensorflow_datasets as tfds

    folder = tensorflow_datasets_folder(data_dir)
    try:
        builder = tfds.builder(name, data_dir=folder)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise UserError(
            "config.dataset must be 'digits' or the name of a data set of TensorFlow Datasets. "
            f"Received: dataset={name!r} ({_first_line(error)})"
        ) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()) or None in features["image"].shape:
        raise UserError(
            "config.dataset must name a data set of labelled images of one size. "
            f"Received: dataset={name!r}, whose features are {sorted(features or ())}"
        )
    try:
        builder.download_and_prepare()
        splits = {split: builder.as_dataset(split=split, batch_size=-1) for split in ("train", "test")}
    except Exception as error:  # TFDS raises errors of many kinds for a lack of files, network or splits
        raise UserError(
            f"The data set {name!r} could not be read from, or downloaded to, {builder.data_dir}: "
            f"{_first_line(error)}. Does config.data_dir point at TensorFlow Datasets? Received: data_dir={data_dir!r}"
        ) from None
    arrays = {
        split: LabelledImages(np.asarray(tensors["image"]), np.asarray(tensors["label"], dtype=np.int32))
        for split, tensors in splits.items()
    }
    train = arrays["train"]
    if not 0 <= validation_examples < len(train):
        raise UserError(
            f"config.validation_examples must be from 0 to {len(train) - 1}, the training examples less one. "
            f"Received: validation_examples={validation_examples}"
        )
    kept = len(train) - validation_examples
    return ImageDataset(
        name=builder.name,
        class_names=tuple(features["label"].names),
        train=LabelledImages(train.images[:kept], train.labels[:kept]),
        validation=LabelledImages(train.images[kept:], train.labels[kept:]),
        test=arrays["test"],
    )


def tensorflow_datasets_folder(data_dir):
    """Returns the folder to hand to TensorFlow Datasets: `data_dir`, its folder `tfds`, or None for their default."""
    if data_dir is None:
        return None
    folder = pathlib.Path(data_dir).expanduser()
    if not folder.is_dir():
        raise UserError(
            "config.data_dir (by default the environment variable AA_KERAS_DATA) must be a folder that exists. "
            f"Received: data_dir={str(data_dir)!r}"
        )
    return str(folder / "tfds" if (folder / "tfds").is_dir() else folder)


def _first_line(error):
    return str(error).strip().split("\n")[0]
