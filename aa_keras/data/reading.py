"""Images in files: read one by one, or by several threads in order."""

import collections
import concurrent.futures
import itertools
import logging
import os
import pathlib
import threading

from aa_keras.data.decoding import decode_image, displayed_and_stored
from aa_keras.data.sixteen_bits import darkness

_LOGGER = logging.getLogger("aa_keras")


class ImageReader:
    """Reads images, also in several threads. The first one that is nearly black for its number of bits is reported.

    Args:
        turn: whether to turn images as their EXIF data ask: `ServingSpec.turns_images`.
    """

    def __init__(self, turn: bool = False):
        self._turn = turn
        self._first_dark_one = threading.Lock()

    def __call__(self, path):
        """Returns the image in a file, a uint8 array (height, width, 3).

        Raises:
            CorruptImageError: if it is not an image, or not a whole one.
            OSError: if the file cannot be read.
        """
        return self.decode(path, pathlib.Path(path).read_bytes())

    def decode(self, path, encoded):
        """Returns the same of the bytes of a file."""

        def when_dark(largest):
            if self._first_dark_one.acquire(blocking=False):
                _LOGGER.warning("%s", darkness(path, largest))

        if self._turn:
            return displayed_and_stored(encoded, when_dark=when_dark)[0]
        return decode_image(encoded, when_dark=when_dark)


def map_in_order(function, items, ahead):
    """Yields a function's results for items, in their order; threads, one for each core, compute them.

    Args:
        function: function of an item. Its errors are raised here.
        items: iterable.
        ahead: how many results to compute before they are needed, so that memory is bounded.
    """
    items, pending = iter(items), collections.deque()
    threads = concurrent.futures.ThreadPoolExecutor(_cores(), thread_name_prefix="aa_keras_reading")
    try:
        pending.extend(threads.submit(function, item) for item in itertools.islice(items, ahead))
        while pending:
            result = pending.popleft().result()
            pending.extend(threads.submit(function, item) for item in itertools.islice(items, 1))
            yield result
    finally:
        threads.shutdown(cancel_futures=True)


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
