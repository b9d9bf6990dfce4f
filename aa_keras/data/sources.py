"""Where labelled images come from, and the smallest answer: held in memory."""

import dataclasses
import pathlib
import typing

import numpy as np

from aa_keras.errors import UserError

if typing.TYPE_CHECKING:
    from aa_keras.data.encoded import EncodedImages


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images of one size and their classes, in memory.

    Attributes:
        images: uint8 array of shape (examples, height, width, channels).
        labels: int32 array of shape (examples,).
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @property
    def image_shape(self):
        """(height, width, channels) of an image."""
        return self.images.shape[1:]


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
    train: "LabelledImages | EncodedImages"
    validation: "LabelledImages | EncodedImages"
    test: "LabelledImages | EncodedImages"

    @property
    def image_shape(self):
        """(height, width, channels) of an image, as a network sees it."""
        return self.train.image_shape


def load_dataset(
    name,
    data_dir=None,
    validation_examples=0,
    image_size=None,
    test_split=None,
    test_fraction=0.2,
    shuffle_buffer=8192,
):
    """Loads a data set of images of one size into memory, or finds one of images of any size.

    Args:
        name: "digits" for the 1,797 handwritten digits that scikit-learn ships, or "digit_neighbours" for a task made
            of them (see `aa_keras.data.digits`), which need no download; "image_folder" for a folder of class folders
            (see `aa_keras.data.image_folder`); or the name of a set of labelled images in TensorFlow Datasets, such as
            "cifar100" or "imagenet2012".
        data_dir: the image folder; or folder of TensorFlow Datasets, or one with such a folder named `tfds` in it; None
            takes theirs.
        validation_examples: how many training examples to hold out, unless the data set has a split for that; the
            digits have a fixed split instead.
        image_size: height and width to resize images to, which then stay encoded until they are needed; None for
            images of one size, held in memory as they are.
        test_split: name of the split to report on; "train" reports on the images trained on. None takes "test" where
            that has labels, or else "validation"; where there are both, the latter is for validation.
        test_fraction: share of each class to report on, for an image folder without a split for that.
        shuffle_buffer: encoded training examples of TensorFlow Datasets held in memory to draw the next one from;
            8192 photographs of ImageNet take 0.9 GB.

    Returns:
        An `ImageDataset`.

    Raises:
        UserError: if there is no such data set, folder or split, or it does not consist of labelled images.
    """
    if name in ("digits", "digit_neighbours"):
        if image_size is not None or test_split not in (None, "test") or validation_examples:
            raise UserError(
                "config.image_size and config.test_split must be unset and config.validation_examples 0 for "
                f"dataset={name!r}, of one size and with a split of its own. Received: "
                f"image_size={image_size}, test_split={test_split!r}, validation_examples={validation_examples}"
            )
        from aa_keras.data import digits

        return getattr(digits, name)()
    if image_size is not None and image_size < 1:
        raise UserError(f"config.image_size must be at least 1, or unset. Received: image_size={image_size}")
    if name == "image_folder":
        from aa_keras.data.image_folder import load_image_folder

        if image_size is None:
            raise UserError("config.image_size must be set for dataset='image_folder', for instance to 224")
        return load_image_folder(data_dir, image_size, validation_examples, test_split, test_fraction)
    from aa_keras.data.tfds_images import load_from_tensorflow_datasets

    return load_from_tensorflow_datasets(name, data_dir, validation_examples, image_size, test_split, shuffle_buffer)


def choose_splits(splits, test_split, where):
    """Returns the names of the splits to report on and to validate on; None for either where there is none.

    Args:
        splits: names of those there are.
        test_split: name of the one to report on, "train" among them, or None for the usual one.
        where: what has these splits, for the error.

    Raises:
        UserError: if there is no `test_split`.
    """
    validation_splits = [name for name in ("validation", "val") if name in splits]
    if test_split is None:
        test_split = next((name for name in ("test", *validation_splits) if name in splits), None)
    elif test_split != "train" and test_split not in splits:
        names = ", ".join(sorted({"train", *splits}))
        raise UserError(f"config.test_split must be unset or one of {names} in {where}. Received: {test_split!r}")
    return test_split, next((name for name in validation_splits if name != test_split), None)


def check_validation_examples(validation_examples, train_examples, validation_split):
    """Raises UserError unless so many of the training examples can be held out."""
    if validation_split is not None and validation_examples:
        raise UserError(
            f"config.validation_examples must be 0 for a data set that has the split {validation_split!r} to validate "
            f"on. Received: validation_examples={validation_examples}"
        )
    if not 0 <= validation_examples < train_examples:
        raise UserError(
            f"config.validation_examples must be from 0 to {train_examples - 1}, the training examples less one. "
            f"Received: validation_examples={validation_examples}"
        )


def tensorflow_datasets_folder(data_dir):
    """Returns the folder to hand to TensorFlow Datasets: `data_dir`, its folder `tfds`, or None for their default."""
    if data_dir is None:
        return None
    if "://" in str(data_dir):  # gs://bucket and the like, which TensorFlow Datasets reads itself
        return str(data_dir)
    folder = pathlib.Path(data_dir).expanduser()
    if not folder.is_dir():
        raise UserError(
            "config.data_dir (by default the environment variable AA_KERAS_DATA) must be a folder that exists. "
            f"Received: data_dir={str(data_dir)!r}"
        )
    return str(folder / "tfds" if (folder / "tfds").is_dir() else folder)
