"""`benchmarks/ablate.py`: its table, its picture, and that it resumes."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def ablate(*arguments):
    return subprocess.run(
        [sys.executable, "benchmarks/ablate.py", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


@pytest.mark.slow
def test_a_sweep_trains_each_variant_with_each_seed_and_resumes(tmp_path):
    arguments = (
        *("--sweep=models", "--config=digits_aa_wide_resnet10_2", f"--workdir={tmp_path}", "--seeds=0,3"),
        *("--config.epochs=1", "--config.steps_per_epoch=2", "--parallel=2"),
    )
    completed = ablate(*arguments)
    assert completed.returncode == 0, completed.stderr
    folder = tmp_path / "digits_models"
    with (folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    variants = ["plain", "squeeze-excite", "gather-excite", "attention"]
    assert [(row["variant"], row["seed"]) for row in rows] == [(name, seed) for name in variants for seed in "03"]
    parameters = [int(row["parameters"]) for row in rows[::2]]
    assert parameters[0] == parameters[2] != parameters[1] != parameters[3]
    table = (folder / "table.md").read_text()
    top1 = [100 * float(row["top1"]) for row in rows[:2]]
    assert f"| plain | {parameters[0]:,} |" in table
    assert f"| {sum(top1) / 2:.2f} |" in table
    assert (folder / "plot.png").stat().st_size > 5000

    # Finished runs are not trained again; a missing one is.
    before = (folder / "plain_seed0" / "result.json").read_text()
    for path in (folder / "plain_seed3").rglob("result.json"):
        path.unlink()
    again = ablate(*arguments)
    assert again.returncode == 0, again.stderr
    assert (folder / "plain_seed0" / "result.json").read_text() == before
    assert (folder / "plain_seed3" / "result.json").exists()


@pytest.mark.slow
def test_a_run_that_is_killed_costs_no_other(tmp_path):
    command = [sys.executable, "benchmarks/ablate.py", "--sweep=models", "--seeds=0", f"--workdir={tmp_path}"]
    command += ["--config=digits_aa_wide_resnet10_2", "--config.epochs=1", "--config.steps_per_epoch=2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    folder = tmp_path / "digits_models"
    while not (folder / "squeeze-excite_seed0").exists():
        assert process.poll() is None
        time.sleep(0.05)
    children = pathlib.Path(f"/proc/{process.pid}/task").glob("*/children")
    for child in {int(number) for path in children for number in path.read_text().split()}:
        if "spawn_main" in pathlib.Path(f"/proc/{child}/cmdline").read_text():
            os.kill(child, signal.SIGKILL)
    output, errors = process.communicate()
    assert process.returncode == 1
    assert "squeeze-excite, seed 0: the run ended with status -9" in output
    assert "1 of 4 runs failed, and the same command tries them again" in errors.splitlines()[-1]
    with (folder / "runs.csv").open(newline="") as file:
        assert [row["variant"] for row in csv.DictReader(file)] == ["plain", "gather-excite", "attention"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep=positions", "--seeds=a"], "--seeds must be whole numbers"),
        (["--sweep=positions", "--config.builder=WideResNet"], "config.builder must be of an augmented network"),
        (["--sweep=depths"], "sweep"),
    ],
)
def test_mistakes_are_reported_in_a_line(warm_python, arguments, message, tmp_path):
    command = [ROOT / "benchmarks" / "ablate.py", "--config=digits_aa_wide_resnet10_2", f"--workdir={tmp_path}"]
    completed = warm_python.run(*command, *arguments, folder=ROOT)
    assert completed.returncode == 1
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
    assert list(tmp_path.iterdir()) == []
