"""SIGTERM ends a run with one line that says, truly, what the same command does next."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest
from helpers.training import EXPORT, tiny_config

from aa_keras.data import tfds_images
from aa_keras.errors import Terminated
from aa_keras.tasks import classification
from aa_keras.training import callbacks, loop, run, train_and_evaluate
from aa_keras.training.checkpoints import TrainingState, _whole_state
from aa_keras.training.run_directory import fingerprint

pytestmark = pytest.mark.jax

PATIENCE = 600  # seconds, of a busy machine
ROOT = pathlib.Path(__file__).parents[2]


def terminate(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def default_handler():
    """Restores the signal's handler after each test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("owner", "function"),
    [
        (classification, "load_dataset"),
        (classification.Classification, "training_model"),
        (loop, "model_complexity"),
        (run, "Checkpoints"),
    ],
)
def test_while_starting(tmp_path, monkeypatch, owner, function):
    monkeypatch.setattr(owner, function, terminate)
    with pytest.raises(Terminated, match=r"^stopped by SIGTERM before training; the same command starts or resumes it"):
        train_and_evaluate(tiny_config(), tmp_path / "run")


def test_while_data_are_prepared(tmp_path, monkeypatch):
    """Although the error of the signal becomes one of unreadable data on its way."""
    monkeypatch.setattr(tfds_images, "prepare", terminate)
    (tmp_path / "data").mkdir()
    with pytest.raises(Terminated, match="stopped by SIGTERM before training"):
        train_and_evaluate(tiny_config(dataset="cifar100", data_dir=str(tmp_path / "data")), tmp_path / "run")


def test_after_an_epoch_when_overwriting(finished, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Progress, "on_epoch_end", terminate)  # called after the checkpoint
        with pytest.raises(Terminated) as error:
            train_and_evaluate(tiny_config(), workdir, overwrite=True)
    words = "stopped by SIGTERM; the same command without --overwrite resumes after epoch 1 of 2"
    assert str(error.value) == words
    result = train_and_evaluate(tiny_config(), workdir)
    assert "Resuming after epoch 1 of 2" in capsys.readouterr().out
    assert result["cross_entropy"] == finished[1]["cross_entropy"]
    # One of each of the two, and none of the run that was overwritten.
    events = [path.read_bytes() for path in (workdir / "tensorboard" / "train").iterdir()]
    assert [b"epoch_loss" in content for content in events] == [True, True]


def some_run(state=None, overwrite=False):
    """What a message of `StopOnSigterm` needs of a run of nine epochs."""
    return types.SimpleNamespace(state=state, overwrite=overwrite, config=types.SimpleNamespace(epochs=9))


@pytest.mark.parametrize(
    ("epochs", "overwrite", "words"),
    [
        (0, False, "stopped by SIGTERM in the first epoch; the same command starts over"),
        (0, True, "stopped by SIGTERM in the first epoch; the same command starts over"),
        (3, False, "stopped by SIGTERM; the same command resumes after epoch 3 of 9"),
    ],
)
def test_a_step_is_finished_first(epochs, overwrite, words):
    done = []

    def train():
        state = TrainingState(history=[{"epoch": epoch + 1} for epoch in range(epochs)])
        with callbacks.StopOnSigterm(some_run(state, overwrite)) as stop:
            stop.on_train_begin()
            terminate()
            done.append("step")
            stop.on_train_batch_end(0)
            done.append("another step")

    with pytest.raises(Terminated) as error:
        train()
    assert str(error.value) == words
    assert done == ["step"]


def test_libraries_that_make_another_error_of_it():
    def library():
        try:
            terminate()
        except Terminated:
            raise RuntimeError("in user code") from None

    with pytest.raises(Terminated, match="before training"), callbacks.StopOnSigterm(some_run()):
        library()


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="defect"), callbacks.StopOnSigterm(some_run()):
        raise RuntimeError("defect")


def wait_for(process, part, folder, names):
    """Waits until a program has printed a line with `part` (unless None), and a folder holds one of these names."""
    deadline = time.monotonic() + PATIENCE
    for line in process.stdout if part else ():
        if part in line:
            break
    while time.monotonic() < deadline and process.poll() is None:
        if any((folder / name).exists() for name in names):
            return
        time.sleep(0.01)
    pytest.fail(f"no {part} or none of {names}: {process.communicate()}")


@pytest.mark.slow
def test_the_program_ends_with_status_143_and_resumes(tmp_path):
    workdir, last = tmp_path / "run", 0
    for _ in range(2):
        command = [sys.executable, ROOT / "train.py", f"--workdir={workdir}"]
        command += ["--config.epochs=200", "--config.steps_per_epoch=5", EXPORT]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        resuming = f"Resuming after epoch {last} of 200" if last else None
        names = [f"epoch_{last + more:04d}" for more in (1, 2, 3)]
        wait_for(process, resuming, workdir / "checkpoints", names)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 143
        before, last = last, max(int(path.name[-4:]) for path in (workdir / "checkpoints").glob("epoch_*"))
        assert last > before
        words = f"train.py: stopped by SIGTERM; the same command resumes after epoch {last} of 200\n"
        assert errors == words
        checkpoint = workdir / "checkpoints" / f"epoch_{last:04d}"
        run = fingerprint(json.loads((workdir / "config.json").read_text()))
        assert _whole_state(checkpoint, run).epochs == last
