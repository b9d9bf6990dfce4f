"""Reads the images that a command line names, and writes some to try."""

import io
import pathlib
import sys

import numpy as np

from aa_keras.data.decoding import CorruptImageError
from aa_keras.data.digits import digits
from aa_keras.data.reading import ImageReader
from aa_keras.errors import UserError
from aa_keras.files import write_whole

# The digits of `write_examples`, with the names of their files.
EXAMPLES = {2: "two", 7: "seven", 8: "eight"}


def read_images(paths, turn=False):
    """Yields pairs of path and image, a uint8 array (height, width, 3); reports and skips what cannot be read.

    Args:
        paths: iterable of paths.
        turn: whether to turn images as their EXIF data ask: `ServingSpec.turns_images`.
    """
    read = ImageReader(turn)
    for path in paths:
        try:
            yield path, read(path)
        except (CorruptImageError, OSError) as error:
            report_skipped(path, error)


def report_skipped(path, error):
    """Prints which file is skipped, and why: a `CorruptImageError` or an OSError."""
    is_corrupt = isinstance(error, CorruptImageError)
    words = f"Skipping the corrupt image {path}: {error}" if is_corrupt else f"Skipping {path}: {error.strerror}"
    print(words, file=sys.stderr, flush=True)


def write_examples(folder):
    """Writes three of scikit-learn's handwritten digits, test images of the digits recipe, and returns the folder.

    Args:
        folder: path of the folder, which is created if needed.

    Raises:
        UserError: if it has another file of such a name.
    """
    from PIL import Image

    folder, test = pathlib.Path(folder), digits().test
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--examples must be a folder. Received: --examples={folder}, which is a file")
    folder.mkdir(parents=True, exist_ok=True)
    for digit, name in EXAMPLES.items():
        image = test.images[int(np.flatnonzero(test.labels == digit)[0])].squeeze(-1)
        enlarged = io.BytesIO()
        Image.fromarray(image).resize((64, 64), Image.Resampling.NEAREST).save(enlarged, "PNG")
        path = folder / f"{name}.png"
        if path.exists() and path.read_bytes() != enlarged.getvalue():
            raise UserError(f"--examples would overwrite {path}: choose another folder")
        write_whole(path, enlarged.getvalue())
    print(f"{folder}: {', '.join(f'{name}.png' for name in EXAMPLES.values())}")
    return folder
