"""Runs that are killed with -9, at random moments and while a checkpoint is written, end as if nothing had happened."""

import csv
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.jax

ROOT = pathlib.Path(__file__).parents[2]
# `KILLED_RUNS=20 python -m pytest -m slow tests/training/test_kill.py -s` prints what each kill hit. More runs follow
# until both kinds of moments were hit.
RUNS = int(os.environ.get("KILLED_RUNS", "2"))
WRITING, ELSEWHERE = "while writing a checkpoint", "elsewhere"
# The digits' recipe, shortened so that most of a run is what a kill could spoil.
FIELDS = ("epochs=8", "steps_per_epoch=5", "export=False")


def start(workdir):
    command = [sys.executable, ROOT / "train.py", f"--workdir={workdir}"]
    command += [f"--config.{field}" for field in FIELDS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(workdir):
    """The outcome of a run: its metrics by epoch without the time that they took, and its result."""
    with (workdir / "metrics.csv").open() as file:
        metrics = [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]
    result = json.loads((workdir / "result.json").read_text())
    return metrics, [result[key] for key in ("top1", "top5", "cross_entropy", "best_validation_top1", "epochs")]


def wait_for(condition, process):
    while process.poll() is None and not condition():
        time.sleep(0.001)


def run_with_kills(workdir, chance, seconds_in_all):
    """Runs to the end, with up to three kills before it; returns what was happening at each of them."""
    kills = []
    for _ in range(3):
        process = start(workdir)
        if chance.random() < 0.5:
            partial = workdir / "checkpoints" / "partial"
            for _ in range(chance.randint(1, 2)):
                wait_for(lambda partial=partial: not partial.exists(), process)
                wait_for(partial.exists, process)
            time.sleep(chance.uniform(0, 0.02))
        else:
            deadline = time.monotonic() + chance.uniform(0.3, 1) * seconds_in_all
            wait_for(lambda deadline=deadline: time.monotonic() > deadline, process)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills.append(WRITING if (workdir / "checkpoints" / "partial").exists() else ELSEWHERE)
    process = start(workdir)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return kills


@pytest.mark.slow
def test_killed_runs_end_with_the_metrics_of_an_uninterrupted_one(tmp_path):
    begin = time.monotonic()
    process = start(tmp_path / "uninterrupted")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    seconds = time.monotonic() - begin
    expected = finished(tmp_path / "uninterrupted")

    chance = random.Random(0)
    kills = []
    while len(kills) < RUNS or not {WRITING, ELSEWHERE} <= {kill for run in kills for kill in run}:
        workdir = tmp_path / "killed"
        kills_of_run = run_with_kills(workdir, chance, seconds)
        assert finished(workdir) == expected
        shutil.rmtree(workdir)
        if kills_of_run:  # otherwise it was done before the first kill
            kills.append(kills_of_run)
            print(f"run {len(kills)}: killed {kills_of_run}", flush=True)
