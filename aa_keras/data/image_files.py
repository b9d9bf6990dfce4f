"""Image files in folders."""

import collections
import logging
import os
import pathlib

from aa_keras.data.decoding import image_extensions
from aa_keras.data.progress import Progress
from aa_keras.errors import UserError

_LOGGER = logging.getLogger("aa_keras")
# Folders that tools create.
_LEFT_BEHIND = {"__MACOSX", "@eaDir"}


def find_images(paths):
    """Returns the paths, as text, of the image files among paths and in the folders among them, at any depth, in order.

    The extension of a file in a folder says whether it is an image; a log line gives the number of other files. A file
    that is named itself is always read as an image.

    Args:
        paths: list of files and folders.

    Raises:
        UserError: if a file or folder does not exist, or there is no image.
    """
    found, others = [], collections.Counter()
    with Progress("Looking for images") as progress:
        for path in map(str, map(pathlib.Path, paths)):
            if os.path.isdir(path):
                found += (os.path.join(path, image) for image in sorted(images_below(pathlib.Path(path), others)))
            elif os.path.isfile(path):
                found.append(path)
            else:
                raise UserError(f"There is no image and no folder {path!r}")
            progress.done = len(found)
    if others:
        _LOGGER.warning("%s", not_read(others))
    if not found:
        raise UserError(f"There are no images in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(found))


def images_below(folder, others, seen=()):
    """Yields the paths, below a folder, of the images in it at any depth; counts other files by extension."""
    whole_path = os.path.realpath(folder)
    if whole_path in seen:  # a link to a folder above
        return
    folders, names = contents_of(folder)
    for name in names:
        # No pipes or devices, which may be endless.
        if is_image(name) and os.path.isfile(folder / name):
            yield name
        else:
            others[_extension(name) or "without an extension"] += 1
    for name in folders:
        yield from (os.path.join(name, path) for path in images_below(folder / name, others, (*seen, whole_path)))


def has_images(folder):
    """Whether there is an image in a folder, at any depth."""
    return next(images_below(folder, collections.Counter()), None) is not None


def is_image(name):
    """Whether a file has the name of an image."""
    return _extension(name) in image_extensions()


def contents_of(folder):
    """Returns the sorted names of the folders, and of everything else, in a folder."""
    try:
        with os.scandir(folder) as scan:
            entries = [(entry.name, entry.is_dir()) for entry in scan if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read: {error.strerror}") from None
    folders = sorted(name for name, is_folder in entries if is_folder and name not in _LEFT_BEHIND)
    return folders, sorted(name for name, is_folder in entries if not is_folder)


def not_read(others):
    """Words how many files were not read as images, from a `collections.Counter` of their extensions."""
    files = "1 file was" if others.total() == 1 else f"{others.total()} files were"
    return f"{files} not read as images: {counted(others)}"


def counted(extensions):
    """Returns {".txt": 2} as "2 .txt"."""
    return ", ".join(f"{count} {extension}" for extension, count in extensions.most_common())


def _extension(name):
    return os.path.splitext(name)[1].lower()
