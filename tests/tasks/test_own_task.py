"""A third task in one file, docs/own_task.py: trained, killed and resumed, evaluated, exported, and asked."""

import csv
import json
import pathlib
import runpy
import signal

import keras
import numpy as np
import pytest
from helpers.exports import LITERT, ONNX
from helpers.once import once
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
FILE = ROOT / "docs" / "own_task.py"
TRAIN = ("train", f"--config={FILE}", "--config.epochs=2", "--config.steps_per_epoch=4")
TRAIN = (*TRAIN, "--config.builder_arguments.attention_stages=(3,)", "--config.export=True", "--workdir=run")
# Ends the process after the first epoch, without a chance to do anything about it.
KILLED = """
import os, runpy, signal, sys
from aa_keras.training.callbacks import Progress
Progress.on_epoch_end = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def own_task(warm_python):
    """Runs a command of the file in a folder, and returns what it printed."""

    def run(folder, *command):
        completed = warm_python.run(FILE, *command, folder=folder)
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory, warm_python, own_task):
    """A folder with a run that was killed and resumed, and with images."""

    def make(folder):
        killed = warm_python.run("-c", KILLED, FILE, *TRAIN, folder=folder)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (folder / "run" / "result.json").exists()
        assert "Resuming after epoch 1 of 2, the last finished one" in own_task(folder, *TRAIN)
        (folder / "images").mkdir()
        for number, image in enumerate(examples().images[:3]):
            Image.fromarray(image[..., 0]).save(folder / "images" / f"{number}.png")

    return once(tmp_path_factory, "own_task", make)


@pytest.fixture(scope="module")
def predicted(folder):
    """The number of dots in each test image, in Keras by hand."""
    pixels = (examples().images.astype("float32") - 128) / 64
    return keras.models.load_model(folder / "run" / "model.keras").predict(pixels, verbose=0)[:, 0]


def examples():
    return runpy.run_path(str(FILE))["draw"](400, seed=3)


def test_it_is_one_file():
    assert len(FILE.read_text(encoding="utf-8").splitlines()) < 150
    others = [*(ROOT / "aa_keras").rglob("*.py"), *(ROOT / "applications").rglob("*.py")]
    assert [path for path in others if "ounting(" in path.read_text(encoding="utf-8")] == []


def test_it_is_evaluated_and_reported(folder, own_task, predicted):
    expected = float(np.abs(predicted - examples().labels[:, 0]).mean())
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["error"] == pytest.approx(expected, abs=1e-4)
    assert result["test_examples"] == 400
    phrase = f"wrong by {result['error']:.3f} dots on average"
    assert f"run has the finished run: {phrase} (400 test images)\n" in own_task(folder, *TRAIN)
    printed = own_task(folder, "evaluate", "--workdir=run", "--report")
    assert printed.startswith(f"Test: {phrase} (400 images)\nAAWideResNet(")
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert f"<td>error</td><td>{result['error']}</td>" in page
    assert page.count("<img ") == 2  # counts and curves
    printed = own_task(folder, "evaluate", "--saved_model=run/saved_model", "--output=again")
    again = json.loads((folder / "again" / "evaluation.json").read_text())
    assert again["error"] == pytest.approx(expected, abs=1e-4)


def answers(folder, own_task, flag):
    own_task(folder, "predict", flag, "--output=answers.json", "--overwrite", "images")
    return json.loads((folder / "answers.json").read_text())


def test_it_predicts(folder, own_task, predicted):
    for flag in ("--workdir=run", "--saved_model=run/saved_model"):
        found = answers(folder, own_task, flag)
        assert [each["image"] for each in found] == [f"images/{number}.png" for number in range(3)]
        np.testing.assert_allclose([each["count"] for each in found], predicted[:3], atol=1e-4)
    table = own_task(folder, "predict", "--saved_model=run/saved_model", "images/0.png").splitlines()
    assert [line.split() for line in table] == [["image", "count"], ["images/0.png", f"{found[0]['count']:.6f}"]]


def test_without_its_file_it_is_not_known(folder, warm_python):
    for command, message in (
        (("evaluate", "--workdir=run"), "config.task must be one of classification, detection, or a task of your own"),
        (
            ("predict", "--saved_model=run/saved_model", "images"),
            "--saved_model=run/saved_model: the network is for the",
        ),
    ):
        completed = warm_python.run("-m", "aa_keras", *command, folder=folder)
        assert completed.returncode == 1
        assert message in completed.stderr
        assert len(completed.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("export_format", ["saved_model", ONNX, LITERT])
def test_it_is_exported(export_format, folder, own_task, predicted, tmp_path):
    path = tmp_path / "exported"
    printed = own_task(folder, "export", "--workdir=run", f"--format={export_format}", f"--output={path}")
    assert "largest difference" in printed
    assert "13 predictions compared" in printed
    found = answers(folder, own_task, f"--{export_format}={path}")
    np.testing.assert_allclose([each["count"] for each in found], predicted[:3], atol=1e-4)


@pytest.mark.slow
def test_the_kill_made_no_difference(folder, own_task, tmp_path):
    own_task(tmp_path, *TRAIN)

    def metrics(workdir):
        with (workdir / "run" / "metrics.csv").open() as file:
            return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]

    assert len(metrics(folder)) == 2
    assert metrics(folder) == metrics(tmp_path)
