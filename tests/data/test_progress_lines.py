"""The lines of what takes long."""

import sys
import time

import pytest

from aa_keras.data import Progress, progress


@pytest.mark.parametrize(
    ("done", "total", "line"),
    [
        (0, 50, "Evaluating: 0:01:30 so far"),
        (1200, None, "Evaluating: 1,200 images in 0:01:30"),
        (1200, 4800, "Evaluating: 1,200 of 4,800 images in 0:01:30, about 0:04:30 left"),
    ],
)
def test_a_line(done, total, line):
    evaluating = Progress("Evaluating", total)
    evaluating.done = done
    assert evaluating.line(90) == line


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_innermost_prints_until_it_ends(monkeypatch, capsys):
    monkeypatch.setattr(progress, "IN_A_FILE", 0.01)
    lines = []

    def printed(title):
        lines.extend(capsys.readouterr().err.splitlines())
        return any(line.startswith(title) for line in lines)

    with Progress("Outer", 4):
        wait_for(lambda: printed("Outer: 0:00:00 so far"))
        with Progress("Inner", 4) as inner:
            inner.done = 2
            wait_for(lambda: printed("Inner: 2 of 4 images in 0:00:00, about"))
            lines.clear()
            time.sleep(0.05)
            assert printed("Inner")
            assert not printed("Outer")
        wait_for(lambda: printed("Outer"))
    capsys.readouterr()
    time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_what_ends_at_once_prints_nothing_and_its_error_passes(monkeypatch, capsys):
    with pytest.raises(KeyError), Progress("Evaluating"):
        raise KeyError
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "ON_A_TERMINAL", 0.01)
    with Progress("Evaluating", 10) as evaluating:
        evaluating.done = 5
        time.sleep(0.1)
    *_, shown, cleared, end = capsys.readouterr().err.split("\r")
    assert shown.startswith("Evaluating: 5 of 10 images")
    assert (cleared.strip(), end) == ("", "")
