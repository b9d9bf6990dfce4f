"""The progress lines in a job's log, without a terminal."""

import time

import pytest

from aa_keras.training.callbacks import Progress

pytestmark = pytest.mark.jax


def printed(monkeypatch, capsys, times):
    """The lines of an epoch of 100 steps, the second of three, whose steps end at these times."""
    clock = iter(times)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    progress = Progress(epochs=3, steps_per_epoch=100, batch_size=50, seconds=30)
    progress.on_epoch_begin(1)
    for step in range(len(times) - 1):
        progress.on_train_batch_end(step)
    progress.on_epoch_end(1, {"loss": 0.25})
    return capsys.readouterr().out.splitlines()


def test_a_line_every_so_often_and_one_an_epoch(monkeypatch, capsys):
    # The first step takes a minute, to be compiled; then ten seconds each.
    *within, last = printed(monkeypatch, capsys, [0, *range(60, 150, 10)])
    assert within == [
        "Epoch 2/3: step 2/100, 5 images a second, about 0:33:00 left",
        "Epoch 2/3: step 5/100, 5 images a second, about 0:32:30 left",
        "Epoch 2/3: step 8/100, 5 images a second, about 0:32:00 left",
    ]
    assert last == "Epoch 2/3, 0:02:20: loss 0.2500"


def test_short_epochs_have_one_line(monkeypatch, capsys):
    assert printed(monkeypatch, capsys, [0, *(0.2 * step for step in range(1, 101))]) == [
        "Epoch 2/3, 20.0 s: loss 0.2500"
    ]
