"""Fashion-MNIST from the IDX files of its publication: 70,000 grey images of 28x28 pixels, MIT licence."""

import gzip
import math
import pathlib
import struct
import zlib

import numpy as np

from aa_keras.data.splits import check_validation_examples
from aa_keras.data.types import ImageDataset, LabelledImages
from aa_keras.errors import UserError

CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
# The folder of Debian's package `dataset-fashion-mnist`.
SYSTEM_FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")
# The first words of the files' names, by split.
PREFIXES = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTES = 0x08


def find_fashion_mnist(data_dir):
    """Returns the folder that has the IDX files, or None.

    Args:
        data_dir: a folder with the files, or with a folder `fashion-mnist` that has them. If it has neither, or is
            None, the folder of the system's package is used.
    """
    own = [] if data_dir is None else [pathlib.Path(data_dir).expanduser()]
    for folder in (*own, *(folder / "fashion-mnist" for folder in own), SYSTEM_FOLDER):
        if any((folder / f"train-images-idx3-ubyte{suffix}").is_file() for suffix in ("", ".gz")):
            return folder
    return None


def load_fashion_mnist(folder, validation_examples=0):
    """Loads the data set from its four files.

    Args:
        folder: folder of `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
            `t10k-labels-idx1-ubyte`, each as it is or compressed (`.gz`).
        validation_examples: how many of the training images to hold out, the last ones.

    Returns:
        An `ImageDataset` in memory.

    Raises:
        UserError: if a file is missing or damaged, or the files do not belong together.
    """
    train, test = (_load_split(folder, prefix) for prefix in PREFIXES.values())
    check_validation_examples(validation_examples, len(train), None)
    kept = len(train) - validation_examples
    train, validation = (
        LabelledImages(train.images[part], train.labels[part]) for part in (slice(kept), slice(kept, None))
    )
    return ImageDataset("fashion_mnist", CLASS_NAMES, train, validation, test)


def _load_split(folder, prefix):
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte", dimensions=3)
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte", dimensions=1)
    if len(images) != len(labels) or not len(labels):
        raise UserError(f"{folder} must have a label for each image: {len(images)} and {len(labels)} in {prefix}-*")
    if labels.max() >= len(CLASS_NAMES):
        raise UserError(
            f"{folder} must have labels from 0 to {len(CLASS_NAMES) - 1}: up to {labels.max()} in {prefix}-*"
        )
    return LabelledImages(images[..., None], labels.astype(np.int32))


def read_idx(path, dimensions):
    """Returns the unsigned bytes of an IDX file: four bytes for type and dimensions, the lengths, the values.

    Args:
        path: the file's path, to which `.gz` is added where only that file exists.
        dimensions: how many dimensions it must have.

    Returns:
        A uint8 array.

    Raises:
        UserError: if it is missing, damaged, or another file.
    """
    compressed = path.with_name(f"{path.name}.gz")
    try:
        content = path.read_bytes() if path.is_file() else gzip.decompress(compressed.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} is missing, and {compressed.name} too") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{compressed} cannot be read: {error}") from None
    start = 4 + 4 * dimensions
    is_idx = len(content) >= start and content[:4] == bytes([0, 0, _UNSIGNED_BYTES, dimensions])
    lengths = struct.unpack(f">{dimensions}I", content[4:start]) if is_idx else ()
    if not is_idx or len(content) != start + math.prod(lengths):
        raise UserError(f"{path} must be a whole IDX file of unsigned bytes in {dimensions} dimensions")
    return np.frombuffer(content, np.uint8, offset=start).reshape(lengths)
