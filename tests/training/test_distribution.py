"""Several devices and several processes train as one device does, and survive the same faults."""

import csv
import json
import resource
import shutil
import signal
import socket
import time

import keras
import numpy as np
import pytest
from helpers.distributed import PATIENCE, end, start, start_two, start_two_by_slurm
from helpers.training import tiny_config

from aa_keras.commands.evaluate import evaluate_run
from aa_keras.errors import UserError
from aa_keras.recipes.checks import check_backend, check_config
from aa_keras.training import Hosts, hosts
from aa_keras.training.distribution import distribution_for

LONGER = ("epochs=12",)  # long enough for something to happen during it
SOON = {"HEARTBEAT_TIMEOUT": "20"}  # seconds


def metrics_of(workdir):
    with (workdir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(value) for name, value in row.items() if name != "seconds"] for row in rows])


def result_of(workdir):
    result = json.loads((workdir / "result.json").read_text())
    measured = [result[key] for key in ("top1", "top5", "cross_entropy", "epochs")]
    return measured + [result["averaged"][key] for key in ("top1", "top5", "cross_entropy")]


def assert_same_training(workdir, expected):
    # Digits have validation images, the last batch of which is not full.
    np.testing.assert_allclose(metrics_of(workdir), metrics_of(expected), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(result_of(workdir), result_of(expected), rtol=2e-5, atol=1e-6)


@pytest.fixture(scope="module")
def on_one_device(tmp_path_factory):
    """Returns the folder of the same run on one device, by backend."""
    folder = tmp_path_factory.mktemp("one_device")

    def run(backend):
        if not (folder / backend).exists():
            end(start(backend, folder / backend, "none"))
        return folder / backend

    return run


@pytest.mark.slow
def test_mirrored_on_two_devices(on_one_device, tmp_path):
    end(start("tensorflow", tmp_path / "run", "mirrored"))
    assert_same_training(tmp_path / "run", on_one_device("tensorflow"))
    # Nothing of it is left in what is saved, which so trains elsewhere.
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    normalizations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert normalizations
    assert not any(layer.synchronized for layer in normalizations)


@pytest.mark.slow
def test_data_parallel_on_two_devices(on_one_device, tmp_path):
    end(start("jax", tmp_path / "run", "data_parallel"))
    assert_same_training(tmp_path / "run", on_one_device("jax"))


@pytest.mark.slow
def test_two_processes_that_slurm_starts_and_only_the_first_one_writes(on_one_device, tmp_path):
    printed = end(*start_two_by_slurm(tmp_path / "run"))
    assert_same_training(tmp_path / "run", on_one_device("jax"))
    assert "Test: top-1" in printed[0]
    assert [line for line in printed[1].splitlines() if "Gloo" not in line] == [  # JAX's own word of connections
        "Process 1 of 2 compiles the first step, which may take a minute; process 0 prints the progress",
        f"Process 1 of 2 is done. Process 0 has the result in {tmp_path / 'run'}",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    # The files load on this backend.
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert model.output_shape == (None, 10)
    evaluation = evaluate_run(workdir=tmp_path / "run", output=tmp_path / "evaluation")
    np.testing.assert_allclose(
        (evaluation.top1, evaluation.cross_entropy), np.array(result_of(tmp_path / "run"))[[0, 2]], 1e-5
    )


PRACTICE = (
    *('class_weights="balanced"', 'sampling="balanced"', 'optimizer="adamw"', "weight_decay=0.05"),
    *('best_metric="macro_f1"', "early_stopping_epochs=1", 'time_limit="1h"', "learning_rate_per_256=0.005"),
)


@pytest.mark.slow
@pytest.mark.parametrize("distribution", ["mirrored", "data_parallel", "multihost"])
def test_uneven_classes_and_stopping_are_those_of_one_device(distribution, tmp_path):
    backend = "tensorflow" if distribution == "mirrored" else "jax"
    fields = (*PRACTICE, *(["gradient_accumulation_steps=2"] if backend == "jax" else []))
    end(start(backend, tmp_path / "one", "none", *fields))
    if distribution == "multihost":
        end(*start_two(tmp_path / "run", *fields))
    else:
        end(start(backend, tmp_path / "run", distribution, *fields))
    assert_same_training(tmp_path / "run", tmp_path / "one")
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert {"val_macro_f1", "val_balanced_accuracy"} <= set(header.split(","))


def wait_for(path, processes, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            for process in processes:
                process.kill()
            pytest.fail(f"no {path} within {seconds} seconds: {[each.communicate() for each in processes]}")
        assert all(process.poll() is None for process in processes), [each.communicate() for each in processes]
        time.sleep(0.005)


@pytest.fixture(scope="module")
def uninterrupted_by_two(tmp_path_factory):
    """The folder of an undisturbed run of two processes."""
    folder = tmp_path_factory.mktemp("two_processes") / "run"
    end(*start_two(folder, *LONGER))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("lost", [0, 1])
def test_when_one_of_two_processes_ends_so_does_the_other_and_both_go_on(
    tmp_path, uninterrupted_by_two, lost, signal_number
):
    processes = start_two(tmp_path / "run", *LONGER, variables=SOON)
    wait_for(tmp_path / "run" / "checkpoints" / "epoch_0002", processes)
    processes[lost].send_signal(signal_number)
    begin = time.monotonic()
    _, errors = processes[1 - lost].communicate(timeout=PATIENCE)
    print(f"{time.monotonic() - begin:.1f} seconds: {errors[-300:]}")
    assert processes[1 - lost].returncode not in (0, None)
    assert "another of the 2 processes ended" in errors or "another task died" in errors
    processes[lost].communicate(timeout=PATIENCE)
    assert processes[lost].returncode == (-signal.SIGKILL if signal_number == signal.SIGKILL else 128 + signal.SIGTERM)

    printed = end(*start_two(tmp_path / "run", *LONGER))
    assert "Resuming after epoch" in printed[0]
    assert_same_training(tmp_path / "run", uninterrupted_by_two)


@pytest.mark.slow
def test_both_are_stopped_at_once_and_go_on(tmp_path, uninterrupted_by_two):
    """As a scheduler stops them."""
    processes = start_two(tmp_path / "run", *LONGER)
    wait_for(tmp_path / "run" / "checkpoints" / "epoch_0002", processes)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    codes = [process.returncode for process in processes]
    # The later one may be in a step that the other no longer takes part in; XLA may then abort it.
    assert 143 in codes, errors
    assert set(codes) <= {143, -signal.SIGABRT}, errors
    assert any("stopped by SIGTERM; the same command resumes after epoch" in words for words in errors)

    printed = end(*start_two(tmp_path / "run", *LONGER))
    assert "Resuming after epoch" in printed[0]
    assert_same_training(tmp_path / "run", uninterrupted_by_two)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_hangs_ends_the_other(tmp_path, lost):
    """As one does whose host or network is gone, so that no connection is closed: by its heart's beat."""
    assert hosts.HEARTBEAT_TIMEOUT <= 60
    processes = start_two(tmp_path / "run", "epochs=1000", variables=SOON)
    wait_for(tmp_path / "run" / "checkpoints" / "epoch_0002", processes)
    processes[lost].send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    try:
        _, errors = processes[1 - lost].communicate(timeout=PATIENCE)
    finally:
        processes[lost].kill()
    print(f"{time.monotonic() - begin:.1f} seconds: {errors[:300]}")
    assert processes[1 - lost].returncode not in (0, None)
    assert "another task died" in errors
    assert "Fatal Python error" not in errors  # whose stacks would bury that


@pytest.mark.slow
def test_what_stops_the_first_process_stops_both_with_one_line(tmp_path):
    """A folder that holds something else, and a loss that is no number."""

    def check(words, *fields, content=()):
        # About every third time, a race in JAX ends the second process with SIGABRT: they start again, up to six times.
        for attempt in range(6):
            folder = tmp_path / f"{len(fields)} fields, {attempt}"
            for name in content:
                folder.mkdir()
                (folder / name).write_text("mine")
            processes = start_two(folder, *fields)
            errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
            if -signal.SIGABRT not in [process.returncode for process in processes]:
                break
        assert [process.returncode for process in processes] == [1, 1], errors
        assert [words in each.splitlines()[-1] for each in errors] == [True, True], errors

    check("--workdir must be a new or empty folder", content=("mine.txt",))
    check("of epoch 1, and training stopped", "learning_rate_per_256=1e30", "warmup_fraction=0.0")


@pytest.mark.slow
def test_two_processes_fall_back_to_a_checkpoint_that_is_whole(tmp_path):
    run = tmp_path / "run"
    end(*start_two(run))
    expected = tmp_path / "expected"
    shutil.copytree(run, expected)
    (run / "result.json").unlink()
    weights = run / "checkpoints" / "epoch_0002" / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-100])
    printed = end(*start_two(run))
    assert "epoch_0002 is damaged" in printed[0]
    assert "Resuming after epoch 1 of 2" in printed[0]
    assert_same_training(run, expected)


@pytest.mark.slow
def test_a_full_disk_ends_both_processes_and_costs_no_checkpoint(tmp_path):
    """A limit of file sizes stands in for the disk's."""
    processes = start_two(tmp_path / "run", *LONGER)
    wait_for(tmp_path / "run" / "checkpoints" / "epoch_0002", processes)
    resource.prlimit(processes[0].pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert "File too large" in errors.splitlines()[-1]
    printed = end(*start_two(tmp_path / "run", *LONGER))
    assert "is damaged" not in printed[0]
    assert "Resuming after epoch" in printed[0]
    assert len(metrics_of(tmp_path / "run")) == 12


def test_processes_with_other_recipes_are_refused_in_one_line(tmp_path):
    for process in start_two(tmp_path / "run", of_second=("seed=7",)):
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        words = "all processes must have the same recipe. Received: seed 7 in process 1, 5 in process 0"
        assert words in errors.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_and_an_address_where_nobody_is(monkeypatch):
    monkeypatch.setattr(hosts, "START_TIMEOUT", 1)
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"a free port of process 0: .*in use.*localhost:{port}"):
            hosts.join(Hosts(f"localhost:{port}", 2, 0))
    with pytest.raises(UserError, match=rf"no process 0 at --coordinator_address=localhost:{port}, .* process 1 can"):
        hosts.join(Hosts(f"localhost:{port}", 2, 1))


def test_hosts_and_the_distribution_go_together():
    with pytest.raises(UserError, match=r"go with --config\.distribution=multihost"):
        distribution_for(tiny_config(), Hosts("localhost:1", 2, 0))
    assert Hosts.from_flags(None, None, None) is None
    assert Hosts.from_flags("10.0.0.1:1234", 2, 1) == Hosts("10.0.0.1:1234", 2, 1)
    for flags in [("10.0.0.1:1234", 2, None), (None, 2, 1), ("10.0.0.1", 2, 1), ("10.0.0.1:1234", 2, 2)]:
        with pytest.raises(UserError, match=r"must be given together\. Received: --coordinator_address="):
            Hosts.from_flags(*flags)


def test_there_are_four_of_them():
    with pytest.raises(UserError, match=r"must be one of none, mirrored, data_parallel, multihost"):
        check_config(tiny_config(distribution="parallel"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distribution": "mirrored", "jit_compile": True}, "config.jit_compile must be False with"),
        ({"distribution": "mirrored", "clip_norm": 10.0}, "config.clip_norm must be 0 with"),
        ({"distribution": "data_parallel"}, "needs KERAS_BACKEND=jax"),
        ({"distribution": "multihost"}, "needs KERAS_BACKEND=jax"),
    ],
)
def test_what_keras_cannot_do_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        check_backend(tiny_config(**fields))
