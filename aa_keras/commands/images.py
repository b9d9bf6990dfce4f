"""Reads the images that a command line names."""

import sys

from aa_keras.data.decoding import CorruptImageError, decode_image


def read_images(paths):
    """Yields pairs of path and image, a uint8 array (height, width, 3); reports and skips what cannot be read."""
    for path in paths:
        try:
            yield path, decode_image(path.read_bytes())
        except CorruptImageError as error:
            print(f"Skipping the corrupt image {path}: {error}", file=sys.stderr, flush=True)
        except OSError as error:
            print(f"Skipping {path}: {error.strerror}", file=sys.stderr, flush=True)
