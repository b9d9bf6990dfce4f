"""Lines about the progress of what takes long."""

import datetime
import sys
import threading
import time

# Seconds between two lines in a file, and between two changes of the line on a terminal.
IN_A_FILE, ON_A_TERMINAL = 30, 0.5


class Progress:
    """A context that prints how far its block is, to standard error, until it ends.

    A thread prints, so that a single long step is not silent either. Of contexts within each other, the innermost one
    prints. A block that ends before the first line prints nothing.

    Args:
        title: what the block does, such as "Evaluating".
        total: how many units it has to do, or None if that is not known.
        unit: the name of the units, in the plural.

    Attributes:
        done: how many units are done; the block adds to it.

    Example:

    >>> with Progress("Evaluating", len(images)) as progress:
    ...     for image in images:
    ...         evaluate(image)
    ...         progress.done += 1
    """

    _running: list["Progress"] = []  # noqa: RUF012  the same for all

    def __init__(self, title: str, total: int | None = None, unit: str = "images"):
        self.title, self.total, self.unit = title, total, unit
        self.done = 0

    def __enter__(self):
        self._is_terminal = sys.stderr.isatty()
        self._started, self._ended = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)
        self._running.append(self)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._running.remove(self)

    def _report(self):
        width = 0
        while not self._ended.wait(ON_A_TERMINAL if self._is_terminal else IN_A_FILE):
            if self._running[-1] is not self:
                continue
            line = self.line(time.monotonic() - self._started)
            if self._is_terminal:
                print(f"\r{line:<{width}}", end="", file=sys.stderr, flush=True)
                width = len(line)
            else:
                print(line, file=sys.stderr, flush=True)
        if width:
            print("\r" + " " * width + "\r", end="", file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """Returns the line after some seconds."""
        spent = datetime.timedelta(seconds=round(seconds))
        if not self.done:
            return f"{self.title}: {spent} so far"
        if self.total is None:
            return f"{self.title}: {self.done:,} {self.unit} in {spent}"
        left = datetime.timedelta(seconds=round(seconds * max(self.total - self.done, 0) / self.done))
        return f"{self.title}: {self.done:,} of {self.total:,} {self.unit} in {spent}, about {left} left"
