"""Finds where a file of predictions ends, to continue it."""

import csv
import dataclasses
import json
import pathlib

from aa_keras.commands.writers import GROWING
from aa_keras.errors import UserError


@dataclasses.dataclass(frozen=True)
class Resumed:
    """What a file of predictions has.

    Attributes:
        size: the bytes to keep, which end with a batch.
        images: the number of the images that these are about, those that could not be read included.
        lacking: the number of these images without a line.
        dropped: the whole records behind, of the last batch, which is predicted once more.
    """

    size: int
    images: int
    lacking: int
    dropped: bytes


def resume(path, spec, images, batch_size) -> Resumed | None:
    """Finds where to continue a file of predictions, which a kill may have left with a part of a batch or of a line.

    Args:
        path: the file, whose extension is its format.
        spec: the network's `ServingSpec`.
        images: paths of the images, in order.
        batch_size: number of files in a batch.

    Returns:
        A `Resumed`, or None if there is nothing to keep.

    Raises:
        UserError: if the file is not one of predictions for these images by a network with such outputs.
    """
    path = pathlib.Path(path)
    if not path.exists() or not path.stat().st_size:
        return None
    begin = GROWING[path.suffix][0](spec).encode("utf-8")
    with path.open("rb") as file:
        found = file.read(len(begin))
        if not begin.startswith(found):
            raise UserError(f"--resume continues a file that predict wrote. Received: --output={path}, which is none")
        if found != begin:
            return None
        kept, start, position, seen, seen_before = len(begin), 0, -1, 0, 0
        end, remaining = kept, enumerate(images)
        for offset, end, image in _records(file, kept, path, len(spec.columns)):  # noqa: B007  the last end is used below
            if position >= 0 and image == images[position]:
                continue
            position = next((index for index, other in remaining if other == image), -1)
            if position < 0:
                raise UserError(
                    f"--resume needs the images that {path} was written for, in the same order. Received: others than "
                    f"{image or 'these'}"
                )
            if position // batch_size != start // batch_size:
                kept, start, seen_before = offset, position - position % batch_size, seen
            seen += 1
        file.seek(kept)
        return Resumed(kept, start, start - seen_before, dropped=file.read(end - kept))


def _records(file, offset, path, columns):
    """Yields where each whole record of a file begins and ends, from an offset on, and the image it is about."""
    lines = _Lines(file, offset)
    records = csv.reader(lines) if path.suffix == ".csv" else map(_record_of_json, lines)
    for record in records:
        if path.suffix == ".csv" and len(record) < columns:  # the last one, written up to a line break within a name
            return
        yield offset, lines.offset, record[0]
        offset = lines.offset


def _record_of_json(line):
    try:
        return [json.loads(line)["image"]]
    except (ValueError, KeyError, TypeError):
        return [""]


class _Lines:
    """The whole lines of a binary file, from an offset on, as text; `offset` is where the last one ends."""

    def __init__(self, file, offset):
        self._file, self.offset = file, offset

    def __iter__(self):
        for line in self._file:
            if not line.endswith(b"\n"):  # written in part
                return
            self.offset += len(line)
            yield line.decode("utf-8", errors="surrogateescape")
