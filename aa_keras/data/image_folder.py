"""Images in a folder of class folders."""

import collections
import hashlib
import logging
import os
import pathlib

import tensorflow as tf

from aa_keras.data.decoding import image_extensions
from aa_keras.data.encoded import EncodedImages
from aa_keras.data.splits import check_validation_examples, choose_splits
from aa_keras.data.types import ImageDataset
from aa_keras.errors import UserError

_LOGGER = logging.getLogger("aa_keras")
# Folders that tools create.
_LEFT_BEHIND = {"__MACOSX", "@eaDir"}
# Other names for the folders of splits.
_SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval"}


class FileImages(EncodedImages):
    """Image files and their classes.

    Args:
        files: list of pairs of path and class.
        image_size: height and width that a network sees the images in.
    """

    def __init__(self, files, image_size):
        self.files = tuple(files)
        self.image_shape = (image_size, image_size, 3)
        # Tensors that are made here, outside the pipelines' graphs, are not copied into them.
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
    The images of a class may be in folders below its own, at any depth. Without a split to report on, some images of
    each class are held out for that. Which ones are held out depends on the files' paths inside the folder alone.

    Files with the extension of a format that Pillow reads are images, and links are followed. Hidden files are ignored.
    A log line gives the number of other files and their extensions.

    Args:
        folder: path.
        image_size: height and width that a network sees the images in.
        validation_examples: how many of the training images to hold out, unless there is a folder for them.
        test_split: name of the folder of the images to report on; "train" reports on the images trained on. None takes
            `test`, or otherwise `validation` or `val`; if there are both, the latter is for validation.
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
    others = collections.Counter()
    train = _files(train_folder, class_names, others, may_lack_classes=False)
    parts = {"validation": [], "test": []}
    for part, split in (("validation", validation_split), ("test", test_split)):
        if split not in (None, "train"):
            parts[part] = _files(split_folders[split], class_names, others, may_lack_classes=True)
    if others:
        _LOGGER.warning("%s: %s", folder, _not_read(others))
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


def find_images(paths):
    """Returns the image files among paths and in the folders among them, at any depth, in order.

    The extension of a file in a folder says whether it is an image; a log line gives the number of other files. A file
    that is named itself is always read as an image.

    Args:
        paths: list of files and folders.

    Raises:
        UserError: if a file or folder does not exist, or there is no image.
    """
    found, others = [], collections.Counter()
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found += (path / image for image in sorted(_images_below(path, others)))
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"There is no image and no folder {str(path)!r}")
    if others:
        _LOGGER.warning("%s", _not_read(others))
    if not found:
        raise UserError(f"There are no images in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(found))


def _split_folders(folder):
    """Returns the folders of splits by name; none if `train` is itself a class folder of images."""
    folders = {name: folder / name for name in _list(folder)[0] if name in ("train", "validation", "val", "test")}
    return folders if "train" in folders and _list(folders["train"])[0] else {}


def _class_names(folder):
    class_names, files = _list(folder)
    if len(class_names) < 2:
        images = sum(map(_is_image, files))
        found = f"only that of {class_names[0]!r}" if class_names else f"{images} images and no folders"
        raise UserError(f"{folder} must hold a folder of images for each of at least two classes. It holds {found}")
    for name in class_names:
        if len(name.splitlines()) != 1 or not _is_text(name):
            raise UserError(
                f"The name of a class folder must be one line of text, for labels.txt. Received: {name!r} in {folder}"
            )
    like_splits = {name.lower() for name in class_names} <= _SPLIT_NAMES
    if like_splits and not any(map(_is_image, (file for name in class_names for file in _list(folder / name)[1]))):
        raise UserError(
            f"The class folder {folder / class_names[0]} holds no images. It holds folders: those of splits must be "
            "called train and validation, val or test"
        )
    return tuple(class_names)


def _is_text(name):
    """Whether the name of a file is text: a name in another encoding than that of the system is not."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _files(folder, class_names, others, may_lack_classes):
    """Returns pairs of path and class of all images in a folder of class folders, in the order of their paths.

    Args:
        folder: the folder.
        class_names: names of the classes in the order of their labels.
        others: `collections.Counter` of the extensions of other files, which is added to.
        may_lack_classes: whether there may be classes without images.
    """
    labels = {name: label for label, name in enumerate(class_names)}
    files = []
    class_folders = _list(folder)[0]
    if not class_folders:
        raise UserError(f"{folder} must hold a folder of images for each class. It holds no folders")
    for name in class_folders:
        if name not in labels:
            raise UserError(f"{folder / name} is the folder of a class without training images")
        not_images = collections.Counter()
        images = sorted(_images_below(folder / name, not_images))
        if not images and not may_lack_classes:
            found = f", but {_counted(not_images)}" if not_images else ""
            raise UserError(f"The class folder {folder / name} holds no images{found}")
        others.update(not_images)
        files += ((str(folder / name / image), labels[name]) for image in images)
    if not files:
        raise UserError(f"{folder} holds no images in its class folders")
    return files


def _images_below(folder, others, seen=()):
    """Yields the paths, below a folder, of the images in it at any depth; counts other files by extension."""
    whole_path = os.path.realpath(folder)
    if whole_path in seen:  # a link to a folder above
        return
    folders, names = _list(folder)
    for name in names:
        # No pipes or devices, which may be endless.
        if _is_image(name) and os.path.isfile(folder / name):
            yield name
        else:
            others[_extension(name) or "without an extension"] += 1
    for name in folders:
        yield from (os.path.join(name, path) for path in _images_below(folder / name, others, (*seen, whole_path)))


def _is_image(name):
    """Whether a file has the name of an image."""
    return _extension(name) in image_extensions()


def _extension(name):
    return os.path.splitext(name)[1].lower()


def _not_read(others):
    files = "1 file was" if others.total() == 1 else f"{others.total()} files were"
    return f"{files} not read as images: {_counted(others)}"


def _counted(extensions):
    """Returns {".txt": 2} as "2 .txt"."""
    return ", ".join(f"{count} {extension}" for extension, count in extensions.most_common())


def _list(folder):
    """Returns the sorted names of the folders, and of everything else, in a folder."""
    try:
        with os.scandir(folder) as scan:
            entries = [(entry.name, entry.is_dir()) for entry in scan if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read: {error.strerror}") from None
    folders = sorted(name for name, is_folder in entries if is_folder and name not in _LEFT_BEHIND)
    return folders, sorted(name for name, is_folder in entries if not is_folder)


def _hold_out_of_each_class(files, fraction, root):
    """Splits files in two, the second with `fraction` of each class, but never all of a class."""
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
    """Returns a number that depends on a file's path inside the folder alone."""
    path = pathlib.Path(file[0]).relative_to(root).as_posix()
    return hashlib.sha256(os.fsencode(f"{purpose}:{path}")).digest()
