"""Files of predictions that grow: cut anywhere and resumed, they have the same bytes."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import small_network
from helpers.runs import CLASSES, finished_run
from PIL import Image

from aa_keras.commands import resuming, writers
from aa_keras.commands.predict import SKIPPED, predict_images
from aa_keras.data import DetectionPreprocessing, Preprocessing
from aa_keras.errors import UserError
from aa_keras.export import ClassificationSpec, DetectionSpec, Prediction

# The third one is corrupt, the fourth one's name has a line break, and the sixth one's is not text.
NAMES = [b"0.png", b"1,5.png", b"2.png", b"3\n.png", b"4.png", b"5\xff.png", b"6.png", b"7.png"]
CORRUPT = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("of") / "run", small_network((24, 24), classes=len(CLASSES)))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for number, name in enumerate(NAMES):
        content = b"no image" if number == CORRUPT else odd_images.encode(odd_images.picture(20, 30, number), "PNG")
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(content)
    return folder


def predict(run, photographs, output, **flags):
    return predict_images([str(photographs)], workdir=str(run), output=str(output), top=2, batch_size=3, **flags)


SPEC = ClassificationSpec(CLASSES, (8, 8, 3), Preprocessing((0.0,) * 3, (1.0,) * 3, image_size=(8, 8)))
PREDICTIONS = [
    Prediction(os.fsdecode(name), (20, 30), {"probabilities": np.float32([number, 8 - number, 0]) / 8})
    for number, name in enumerate(NAMES)
    if number != CORRUPT
]
# Three images in a batch, one of which is corrupt.
BATCHES = [PREDICTIONS[:2], PREDICTIONS[2:5], PREDICTIONS[5:]]


@pytest.mark.parametrize("extension", [".csv", ".jsonl"])
def test_a_file_cut_anywhere_and_resumed_has_the_same_bytes(tmp_path, capsys, extension):
    path, images = tmp_path / f"file{extension}", list(map(os.fsdecode, NAMES))
    with writers.GrowingFile(path, SPEC, 2) as file:
        for batch in BATCHES:
            file.write(batch)
    content = path.read_bytes()
    starts = set()
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        resumed = resuming.resume(path, SPEC, images, batch_size=3)
        start = resumed.images if resumed else 0
        starts.add(start)
        assert resumed is None or resumed.lacking == (1 if start else 0)
        with writers.GrowingFile(path, SPEC, 2, resumed) as file:
            for batch in BATCHES[start // 3 :]:
                file.write(batch)
        assert path.read_bytes() == content, cut
    assert starts == {0, 3, 6}
    # What a kill left behind is predicted as before.
    assert capsys.readouterr().err == ""


def test_what_is_done_is_not_done_again(run, photographs, tmp_path, capsys):
    whole = tmp_path / "whole.jsonl"
    counts = predict(run, photographs, whole)
    assert (counts.read, counts.skipped) == (7, 1)
    assert capsys.readouterr().out.splitlines()[-1] == f"{whole}: 7 images read, 1 skipped"
    lines = whole.read_bytes().splitlines(keepends=True)
    whole.write_bytes(b"".join(lines[:4]))  # the first batch of three, without the corrupt image, and two of the second
    counts = predict(run, photographs, whole, resume=True)
    assert (counts.read, counts.skipped) == (5, 0)
    assert whole.read_bytes() == b"".join(lines)
    assert capsys.readouterr().out.splitlines() == [
        f"{whole}: resuming after 3 of 8 images, 1 of them without a line",
        f"{whole}: 5 images read",
    ]


def test_resuming_without_a_file_begins_it(run, photographs, tmp_path):
    predict(run, photographs, tmp_path / "whole.csv")
    predict(run, photographs, tmp_path / "new" / "whole.csv", resume=True)
    assert (tmp_path / "new" / "whole.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("extension", [".csv", ".jsonl"])
def test_files_of_others_are_not_continued(run, photographs, tmp_path, extension):
    other, elsewhere = tmp_path / f"other{extension}", predicted_elsewhere(run, photographs, tmp_path, extension)
    not_ours = "--resume continues a file that predict wrote" if extension == ".csv" else "--resume needs the images"
    for content, error in ((b"A letter\n", not_ours), (elsewhere, "--resume needs the images that .* was written for")):
        other.write_bytes(content)
        with pytest.raises(UserError, match=error):
            predict(run, photographs, other, resume=True)
        assert other.read_bytes() == content
    with pytest.raises(UserError, match="exists: --resume continues it, and --overwrite replaces it"):
        predict(run, photographs, other)
    assert other.read_bytes() == content
    predict(run, photographs, other, overwrite=True)
    assert other.read_bytes() != content


def predicted_elsewhere(run, photographs, tmp_path, extension):
    copied = shutil.copytree(photographs, tmp_path / "elsewhere")
    predict(run, copied, tmp_path / f"elsewhere{extension}")
    return (tmp_path / f"elsewhere{extension}").read_bytes()


def test_flags_that_do_not_fit(run, photographs, tmp_path):
    for flags, error in (
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"resume": True, "output": tmp_path / "a.json"}, r"must go with a file that ends in \.csv or \.jsonl"),
    ):
        with pytest.raises(UserError, match=error):
            predict(run, photographs, **{"output": tmp_path / "a.csv", **flags})
    with pytest.raises(UserError, match="go with --output"):
        predict_images([str(photographs)], workdir=str(run), resume=True)
    assert list(tmp_path.iterdir()) == []


def test_another_network_is_noticed(run, photographs, tmp_path, capsys):
    output = tmp_path / "whole.csv"
    predict(run, photographs, output)
    output.write_bytes(output.read_bytes()[:-2] + b"\n")
    predict(run, photographs, output, resume=True)
    assert "the last images that it had are predicted otherwise now" in capsys.readouterr().err


BOXES = DetectionSpec(CLASSES, (8, 8, 3), DetectionPreprocessing((0.0,) * 3, (1.0,) * 3, (8, 8)), (7, 3, 9))


def boxes(image, count):
    found = {"boxes": np.ones((count, 4), np.float32), "confidence": np.full(count, 0.5), "labels": np.ones(count, int)}
    return Prediction(image, (40, 50), found)


def test_images_without_a_box_are_no_gap_in_json_lines(tmp_path):
    """And one in a table, whose images without a line are predicted once more at most within the last batch."""
    images = list("abcdefgh")
    predictions = [boxes(image, count) for image, count in zip(images, (2, 0, 1, 0, 0, 0, 1, 0), strict=True)]
    for extension, start, lacking in ((".jsonl", 6, 0), (".csv", 6, 4)):
        path = tmp_path / f"boxes{extension}"
        with writers.GrowingFile(path, BOXES, 5) as file:
            for begin in range(0, 8, 2):
                file.write(predictions[begin : begin + 2])
        resumed = resuming.resume(path, BOXES, images, batch_size=2)
        assert (resumed.images, resumed.lacking) == (start, lacking)
        text = path.read_bytes()
        assert text[resumed.size :] == resumed.dropped
        assert resumed.dropped.count(b"\n") == (2 if extension == ".jsonl" else 1)


def test_two_processes_do_not_write_one_file(tmp_path):
    images = [boxes("a", 1)]
    with writers.GrowingFile(tmp_path / "a.csv", BOXES, 5) as first:
        first.write(images)
        with writers.GrowingFile(tmp_path / "a.csv", BOXES, 5) as second, pytest.raises(UserError, match="by another"):
            second.write(images)
        first.write(images)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3


def test_a_file_that_is_removed_while_it_is_written(tmp_path):
    with writers.GrowingFile(tmp_path / "a.csv", BOXES, 5) as file:
        file.write([boxes("a", 1)])
        (tmp_path / "a.csv").unlink()
        with pytest.raises(UserError, match="was removed, or replaced, while it was written"):
            file.write([boxes("b", 1)])


class FullDisk:
    """A file on a disk that takes some bytes more."""

    def __init__(self, file, space):
        self._file, self._space = file, space

    def write(self, content):
        if not self._space:
            raise OSError(28, "No space left on device")
        written = self._file.write(content[: self._space])
        self._space -= written
        return written

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_what_is_written_before_the_disk_is_full_stays(tmp_path):
    with writers.GrowingFile(tmp_path / "a.csv", BOXES, 5) as file:
        file.write([boxes("a", 1)])
        before = (tmp_path / "a.csv").read_bytes()
        file._file = FullDisk(file._file, 10)
        with pytest.raises(UserError, match=r"a\.csv: No space left on device: what is written stays, .*--resume"):
            file.write([boxes("b", 1)])
    assert (tmp_path / "a.csv").read_bytes().startswith(before)
    assert len((tmp_path / "a.csv").read_bytes()) == len(before) + 10


def test_a_folder_that_is_removed_while_its_images_are_read(run, tmp_path, monkeypatch):
    """One line instead of one for each image."""
    folder = odd_images.write_images(tmp_path / "folder", {f"{n}.jpg": odd_images.WHOLE for n in range(20)})
    write = writers.GrowingFile.write

    def write_and_remove(file, predictions):
        write(file, predictions)
        shutil.rmtree(folder, ignore_errors=True)

    monkeypatch.setattr(writers.GrowingFile, "write", write_and_remove)
    with pytest.raises(UserError, match=r"folder was removed while its images were read"):
        predict(run, folder, tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert len(lines) >= 3
    assert json.loads(lines[0])["image"] == f"{folder}/0.jpg"


def test_the_status_of_the_program(run, tmp_path):
    Image.fromarray(odd_images.picture()).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    command = [sys.executable, "-m", "aa_keras", "predict", f"--workdir={run}", f"--output={tmp_path}/a.jsonl"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == SKIPPED == 3
    assert done.stdout.splitlines() == [f"{tmp_path}/a.jsonl: 1 images read, 1 skipped"]
    assert done.stderr.splitlines() == [
        f"Skipping the corrupt image {tmp_path}/b.png: it is not an image of a known format"
    ]
