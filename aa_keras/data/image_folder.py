"""Images in a folder of class folders."""

import hashlib
import os
import pathlib

import tensorflow as tf

from aa_keras.data.encoded import EncodedImages
from aa_keras.data.sources import ImageDataset, check_validation_examples, choose_splits
from aa_keras.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")


class FileImages(EncodedImages):
    """Image files and their classes.

    Args:
        files: list of pairs of path and class.
        image_size: height and width that a network sees the images in.
    """

    def __init__(self, files, image_size):
        self.files = tuple(files)
        self.image_shape = (image_size, image_size, 3)
        # Tensors made here, outside of the pipelines' graphs, are not copied into them.
        self._paths = tf.constant([os.fsencode(path) for path, _ in self.files], tf.string)
        self._labels = tf.constant([label for _, label in self.files], tf.int32)

    def __len__(self):
        return len(self.files)

    def records(self, order_key=None, shard=(0, 1)):
        order = tf.range(len(self), dtype=tf.int64)
        if order_key is not None:
            order = tf.random.experimental.stateless_shuffle(order, order_key)[shard[0] :: shard[1]]
        indices = tf.data.Dataset.from_tensor_slices(order)
        return indices.map(lambda index: (index, self._paths[index], self._paths[index], self._labels[index]))

    def read(self, content):
        return tf.io.read_file(content)


def load_image_folder(folder, image_size, validation_examples=0, test_split=None, test_fraction=0.2):
    """Finds the images in a folder.

    Either FOLDER/train/CLASS/*.jpg, with FOLDER/test or FOLDER/validation (or `val`) likewise; or FOLDER/CLASS/*.jpg.
    Where there are no images to report on, some of each class are held out for that. Which ones are held out depends on
    the files' paths inside the folder alone.

    Hidden files, and those with other names than `EXTENSIONS`, are ignored; links are followed.

    Args:
        folder: path.
        image_size: height and width that a network sees the images in.
        validation_examples: how many of the training images to hold out, unless there is a folder for them.
        test_split: name of the folder of the images to report on; "train" reports on the images trained on. None takes
            `test`, or else `validation` or `val`; where there are both, the latter is for validation.
        test_fraction: share of each class to report on where there is no folder for that.

    Returns:
        An `ImageDataset` of `FileImages`, its classes in the order of the folders' names.

    Raises:
        UserError: if the folder does not hold images in this way.
    """
    if folder is None or not pathlib.Path(folder).expanduser().is_dir():
        raise UserError(
            "config.data_dir must be a folder of class folders, or one with such folders called train and validation, "
            f"for dataset='image_folder'. Received: data_dir={None if folder is None else str(folder)!r}"
        )
    if not 0 < test_fraction < 1:
        raise UserError(f"config.test_fraction must be above 0 and below 1. Received: test_fraction={test_fraction}")
    folder = pathlib.Path(folder).expanduser()
    split_folders = _split_folders(folder)
    test_split, validation_split = choose_splits(split_folders, test_split, str(folder))

    train_folder = split_folders.get("train", folder)
    class_names = _class_names(train_folder)
    train = _files(train_folder, class_names)
    parts = {"validation": [], "test": []}
    for part, split in (("validation", validation_split), ("test", test_split)):
        if split not in (None, "train"):
            parts[part] = _files(split_folders[split], class_names)
    if test_split is None:
        train, parts["test"] = _hold_out_of_each_class(train, test_fraction, folder)
    check_validation_examples(validation_examples, len(train), validation_split)
    if validation_examples:
        parts["validation"] = sorted(train, key=lambda file: _number(file, folder, "validation"))[:validation_examples]
        held_out = set(parts["validation"])
        train = [file for file in train if file not in held_out]
    if test_split == "train":
        parts["test"] = train
    return ImageDataset(
        "image_folder", class_names, *(FileImages(files, image_size) for files in (train, *parts.values()))
    )


def _split_folders(folder):
    """Returns the folders of splits by name; none where `train`, if there is one, is itself a folder of images."""
    folders = {name: folder / name for name in _list(folder)[0] if name in ("train", "validation", "val", "test")}
    return folders if "train" in folders and _list(folders["train"])[0] else {}


def _class_names(folder):
    class_names, images = _list(folder)
    if len(class_names) < 2:
        found = f"only that of {class_names[0]!r}" if class_names else f"{len(images)} images and no folders"
        raise UserError(f"{folder} must hold a folder of images for each of two classes or more. It holds {found}")
    return tuple(class_names)


def _files(folder, class_names):
    """Returns pairs of path and class of all images in a folder of class folders, in the order of their paths."""
    labels = {name: label for label, name in enumerate(class_names)}
    files = []
    class_folders = _list(folder)[0]
    if not class_folders:
        raise UserError(f"{folder} must hold a folder of images for each class. It holds no folders")
    for name in class_folders:
        if name not in labels:
            raise UserError(f"{folder / name} is the folder of a class that there are no training images of")
        folders, images = _list(folder / name)
        if not images:
            hint = ". It holds folders: those of splits must be called train and validation, val or test"
            raise UserError(
                f"The class folder {folder / name} holds no images ({' '.join(EXTENSIONS)}){hint if folders else ''}"
            )
        files += ((str(folder / name / image), labels[name]) for image in images)
    return files


def _list(folder):
    """Returns the sorted names of the folders and of the images in a folder."""
    try:
        with os.scandir(folder) as scan:
            entries = [(entry.name, entry.is_dir()) for entry in scan if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read: {error.strerror}") from None
    folders = sorted(name for name, is_folder in entries if is_folder)
    images = sorted(name for name, is_folder in entries if not is_folder and name.lower().endswith(EXTENSIONS))
    return folders, images


def _hold_out_of_each_class(files, fraction, root):
    """Splits files in two, the second with `fraction` of each class, but never all of one."""
    of_class = {}
    for file in files:
        of_class.setdefault(file[1], []).append(file)
    held_out = set()
    for members in of_class.values():
        count = min(round(fraction * len(members)), len(members) - 1)
        held_out.update(sorted(members, key=lambda file: _number(file, root, "test"))[:count])
    if not held_out:
        raise UserError(
            f"{root} has too few images of a class to hold out config.test_fraction={fraction} of them: add some, or "
            "report on the images trained on with config.test_split='train'"
        )
    return [file for file in files if file not in held_out], [file for file in files if file in held_out]


def _number(file, root, purpose):
    """Returns a number that a file's path inside the folder decides: the same wherever the folder lies."""
    path = pathlib.Path(file[0]).relative_to(root).as_posix()
    return hashlib.sha256(os.fsencode(f"{purpose}:{path}")).digest()
