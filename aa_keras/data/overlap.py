"""Files that are in two lists of files, also as copies."""

import collections
import functools
import os

from aa_keras.data.progress import Progress
from aa_keras.files import checksum


def count_same(paths, others):
    """Returns how many of some files are also among others, as the same file or with the same bytes.

    Only files of a size that is in both lists are read.

    Args:
        paths: list of paths.
        others: list of paths.
    """
    of_size = collections.defaultdict(list)
    for other in filter(os.path.isfile, others):
        of_size[os.path.getsize(other)].append(other)

    @functools.cache
    def checksums(size):
        return {checksum(other) for other in of_size.get(size, ())}

    same = 0
    with Progress("Comparing the test images with those of training", len(paths)) as progress:
        for path in paths:
            size = os.path.getsize(path)
            same += size in of_size and checksum(path) in checksums(size)
            progress.done += 1
    return same
