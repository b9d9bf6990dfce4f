"""Reads the images that a command line names."""

import sys

from aa_keras.data.decoding import CorruptImageError, decode_image, displayed_and_stored
from aa_keras.data.sixteen_bits import darkness


def read_images(paths, turn=False):
    """Yields pairs of path and image, a uint8 array (height, width, 3); reports and skips what cannot be read.

    Args:
        paths: iterable of paths.
        turn: whether to turn images as their EXIF data ask: `ServingSpec.turns_images`.
    """
    dark = []  # the first image that is nearly black because of the range of its values

    def read(path):
        def when_dark(largest):
            if not dark:
                dark.append(path)
                print(darkness(path, largest), file=sys.stderr, flush=True)

        encoded = path.read_bytes()
        if turn:
            return displayed_and_stored(encoded, when_dark=when_dark)[0]
        return decode_image(encoded, when_dark=when_dark)

    for path in paths:
        try:
            yield path, read(path)
        except CorruptImageError as error:
            print(f"Skipping the corrupt image {path}: {error}", file=sys.stderr, flush=True)
        except OSError as error:
            print(f"Skipping {path}: {error.strerror}", file=sys.stderr, flush=True)
