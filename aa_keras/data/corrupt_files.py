"""Images that cannot be decoded: skipped and counted in training, fatal in evaluation."""

import contextlib
import sys
import threading

import tensorflow as tf

from aa_keras.errors import UserError


class CorruptFiles:
    """The corrupt images that a run has met.

    `tf.data` turns an exception of a Python function into an error of its own, with the traceback in its message. This
    object keeps the original, for `as_user_errors` to raise:

        corrupt_files = CorruptFiles(limit=10)
        batches = training_dataset(..., corrupt_files=corrupt_files)
        with corrupt_files.as_user_errors():
            model.fit(batches)

    Args:
        limit: how many images training may skip.

    Attributes:
        skipped: dictionary from the name of each skipped image to what is wrong with it.
        error: the `UserError` that ended a pipeline, or None.
    """

    def __init__(self, limit=10):
        self.limit = limit
        self.skipped = {}
        self.error = None
        self._lock = threading.Lock()  # images are decoded in several threads

    def skip(self, name, reason, examples):
        """Notes a corrupt training image, one of `examples`, and prints a line the first time.

        Raises:
            UserError: if there are more of them than the limit, or all images are corrupt.
        """
        with self._lock:
            if self.error is None and name not in self.skipped:
                self.skipped[name] = reason
                count = len(self.skipped)
                if count <= self.limit and count < examples:
                    print(f"Skipping the corrupt image {name}: {reason}", file=sys.stderr, flush=True)
                else:
                    self.error = UserError(
                        f"{count} of the {examples} training images cannot be read, where config.corrupt_files_limit="
                        f"{self.limit} may be skipped, but not all: {', '.join(list(self.skipped)[:3])}"
                        f"{', ...' if count > 3 else ''}"
                    )
            if self.error is not None:
                raise self.error

    def refuse(self, name, reason):
        """Raises UserError for a corrupt image of an evaluation."""
        with self._lock:
            self.error = self.error or UserError(
                f"The image {name} cannot be read: {reason}. Evaluation needs every image: repair or remove it"
            )
            raise self.error

    @contextlib.contextmanager
    def as_user_errors(self):
        """Raises, in place of TensorFlow's error in the `with` block, the `UserError` that caused it, if one did."""
        try:
            yield
        except tf.errors.OpError:
            if self.error is None:
                raise
            raise self.error from None
