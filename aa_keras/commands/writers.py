"""Writes predictions as they come: as a table, CSV or JSON lines; or all at the end, as JSON."""

import csv
import io
import json
import os
import pathlib
import sys

from aa_keras.errors import UserError
from aa_keras.files import ANY_TEXT, lock, require_writable, write_whole


def as_csv(spec, predictions, top):
    """Returns predictions as CSV: a line for each class or box.

    Args:
        spec: the network's `ServingSpec`.
        predictions: list of `Prediction`s of images that can be read.
        top: number of the most probable classes.
    """
    return csv_lines(spec.as_texts(predictions, top)[1:])


def as_json_lines(spec, predictions, top):
    """Returns the same with a line of JSON for each image."""
    return "".join(json.dumps(spec.as_line(each, top)) + "\n" for each in predictions)


def as_json(spec, predictions, top):
    """Returns the same as JSON, in COCO's format for a detector."""
    return json.dumps(spec.as_content(predictions, top), indent=1) + "\n"


# Formats that grow: functions of a spec that return the first lines, and those of predictions.
GROWING = {".csv": (lambda spec: csv_lines([spec.columns]), as_csv), ".jsonl": (lambda spec: "", as_json_lines)}
FORMATS = (*GROWING, ".json")


def csv_lines(rows):
    """Returns rows of values as lines of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


class Table:
    """Prints a line for each image with its most probable classes, or one for each box.

    Args:
        spec: the network's `ServingSpec`.
        top: number of classes.
    """

    def __init__(self, spec, top):
        self._spec, self._top, self._widths = spec, top, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, predictions):
        """Prints a list of `Prediction`s, the first ones with a header."""
        if not predictions:
            return
        header, *lines = self._spec.as_table(predictions, self._top)
        widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
        rows = lines if self._widths else [header, *lines]
        self._widths = list(map(max, widths, self._widths or widths))
        for row in rows:
            print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, self._widths, strict=True)).rstrip())


class JsonFile:
    """A context that writes a file of JSON when it ends; where that fails, as on a full disk, the content is printed.

    Args:
        path: the file.
        spec: the network's `ServingSpec`.
        top: number of the most probable classes.

    Raises:
        OSError: if it cannot be written.
    """

    def __init__(self, path, spec, top):
        require_writable(path)
        self._path, self._spec, self._top, self._predictions = path, spec, top, []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None or not self._predictions:
            return
        text = as_json(self._spec, self._predictions, self._top)
        try:
            write_whole(self._path, text)
        except OSError:
            print(text, end="")
            raise

    def write(self, predictions):
        """Keeps a list of `Prediction`s."""
        self._predictions += predictions


class GrowingFile:
    """A context that appends predictions to a file of CSV or JSON lines, a batch at a time.

    The file is begun, or cut to what is kept of it, when there is something to write.

    Args:
        path: the file, whose extension is its format.
        spec: the network's `ServingSpec`.
        top: number of the most probable classes.
        resumed: the `Resumed` of what the file has already, or None to begin it.

    Raises:
        OSError: if it cannot be written.
    """

    def __init__(self, path, spec, top, resumed=None):
        require_writable(path)
        self._path, self._spec, self._top, self._resumed = pathlib.Path(path), spec, top, resumed
        self._begin, self._as_text = GROWING[self._path.suffix]
        self._file = self._lock = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            os.close(self._lock)

    def write(self, predictions):
        """Appends a list of `Prediction`s; those of a batch that the file had before must be the same."""
        text = self._as_text(self._spec, predictions, self._top)
        content = text.encode("utf-8", errors=ANY_TEXT)
        try:
            if self._file is None:
                content = self._opened(content)
            while content:  # a disk that is nearly full takes a part
                content = content[self._file.write(content) :]
            is_there = self._path.exists() and os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except BlockingIOError:
            raise UserError(f"{self._path} is written by another process: wait until it ends") from None
        except OSError as error:
            hint = "what is written stays, and the same command with --resume continues"
            raise UserError(f"{self._path}: {error.strerror}: {hint}") from None
        if not is_there:
            raise UserError(f"{self._path} was removed, or replaced, while it was written")

    def _opened(self, content):
        """Opens the file, and returns the content of the first batch with what comes before."""
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115  until the context ends
        self._lock = lock(self._path)
        if self._resumed is None:
            self._file.truncate(0)
            return self._begin(self._spec).encode("utf-8") + content
        if not content.startswith(self._resumed.dropped):
            print(
                f"{self._path}: the last images that it had are predicted otherwise now. Was it written by the same "
                "network, with the same flags?",
                file=sys.stderr,
            )
        self._file.truncate(self._resumed.size)
        return content
