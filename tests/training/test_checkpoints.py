"""Checkpoints: everything that training resumes from, whole or missing."""

import dataclasses
import json
import os
import pathlib
import resource

import keras
import numpy as np
import pytest

from aa_keras.training.checkpoints import Checkpoints, TrainingState
from aa_keras.training.distribution import Distribution

pytestmark = pytest.mark.backend

ONE_DEVICE = Distribution()


def compiled_model():
    layers = [
        keras.layers.Dense(4, name="first"),
        keras.layers.BatchNormalization(name="normalization"),
        keras.layers.Dense(2, name="last"),
    ]
    model = keras.Sequential([keras.Input((3,)), *layers], name="network")
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    model.compile(optimizer=keras.optimizers.SGD(schedule, momentum=0.9, name="sgd"), loss="mse", run_eagerly=True)
    return model


def train(model, steps, seed=0):
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        model.train_on_batch(generator.normal(size=(8, 3)), generator.normal(size=(8, 2)))


def everything(model):
    """Everything that a step depends on: weights, batch statistics, momenta and the number of the step."""
    return {variable.path: np.array(variable) for variable in [*model.weights, *model.optimizer.variables]}


def differences(first, second):
    return [path for path in {**first, **second} if not np.array_equal(first.get(path), second.get(path))]


def state_of(epochs, best=None):
    return TrainingState(
        history=[{"epoch": epoch + 1, "seconds": 1.0, "loss": 0.1 * epoch} for epoch in range(epochs)], best=best
    )


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def saved_epochs(checkpoints, epochs, best=None):
    """Trains and saves a number of epochs; returns the model and its state after each of them."""
    model, was = compiled_model(), []
    for epoch in range(1, epochs + 1):
        train(model, 2, seed=epoch)
        checkpoints.save(model, state_of(epoch, best), is_best=best is not None and epoch == 1)
        was.append(everything(model))
    return model, was


def test_weights_momenta_and_step_are_restored(checkpoints):
    model, (was,) = saved_epochs(checkpoints, 1)
    assert any("momentum" in path and np.any(value) for path, value in was.items())
    resumed = compiled_model()
    state = checkpoints.restore(resumed, ONE_DEVICE)
    assert differences(everything(resumed), was) == []
    assert dataclasses.asdict(state) == dataclasses.asdict(state_of(1))
    assert state.epochs == 1
    # So the next epochs are the same.
    train(model, 2, seed=9)
    train(resumed, 2, seed=9)
    assert differences(everything(resumed), everything(model)) == []


def test_without_a_checkpoint_the_model_stays_as_it_is(checkpoints):
    model = compiled_model()
    before = everything(model)
    state = checkpoints.restore(model, ONE_DEVICE)
    assert (state.history, state.best, state.epochs) == ([], None, 0)
    assert differences(everything(model), before) == []


def test_only_the_last_two_are_kept(checkpoints):
    saved_epochs(checkpoints, 1)
    assert names(checkpoints) == ["epoch_0001"]
    model, _ = saved_epochs(checkpoints, 4)
    assert names(checkpoints) == ["epoch_0003", "epoch_0004"]
    # By number, not by name.
    checkpoints.save(model, state_of(9999), is_best=False)
    checkpoints.save(model, state_of(10000), is_best=False)
    assert names(checkpoints) == ["epoch_10000", "epoch_9999"]
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).epochs == 10000


def test_one_that_was_being_written_is_ignored(checkpoints):
    model, (was,) = saved_epochs(checkpoints, 1)
    partial = checkpoints.folder / "partial"
    partial.mkdir()
    (partial / "model.weights.h5").write_text("half of it")
    resumed = compiled_model()
    assert checkpoints.restore(resumed, ONE_DEVICE).epochs == 1
    assert differences(everything(resumed), was) == []
    checkpoints.save(model, state_of(2), is_best=False)
    assert names(checkpoints) == ["epoch_0001", "epoch_0002"]


def test_an_interruption_while_writing_leaves_the_one_before(checkpoints, monkeypatch):
    model, (was,) = saved_epochs(checkpoints, 1)
    train(model, 1)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(model, state_of(2), is_best=False)
    monkeypatch.undo()
    resumed = compiled_model()
    assert checkpoints.restore(resumed, ONE_DEVICE).epochs == 1
    assert differences(everything(resumed), was) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.weights.h5").unlink(),
        lambda folder: (folder / "model.weights.h5").write_bytes((folder / "model.weights.h5").read_bytes()[:-100]),
        lambda folder: (folder / "best.weights.h5").write_bytes(b"damaged"),
        lambda folder: (folder / "state.json").write_text("{"),
        lambda folder: (folder / "state.json").unlink(),
        lambda folder: (folder / "model.weights.h5").unlink() or os.mkfifo(folder / "model.weights.h5"),
        lambda folder: (folder / "state.json").unlink() or (folder / "state.json").mkdir(),
    ],
    ids=[
        "weights gone",
        "weights cut off",
        "best weights damaged",
        "state cut off",
        "state gone",
        "a pipe",
        "a folder",
    ],
)
def test_a_damaged_one_is_reported_and_the_one_before_taken(checkpoints, capsys, damage):
    model, was = saved_epochs(checkpoints, 2, best=0.5)
    damage(checkpoints.folder / "epoch_0002")
    resumed = compiled_model()
    state = checkpoints.restore(resumed, ONE_DEVICE)
    assert state.epochs == 1
    assert differences(everything(resumed), was[0]) == []
    assert "epoch_0002 is damaged" in capsys.readouterr().out
    # Going on writes over it.
    checkpoints.save(model, state_of(2, best=0.5), is_best=False)
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).epochs == 2


def test_swapped_ones_are_both_damaged(checkpoints, capsys):
    saved_epochs(checkpoints, 2)
    first, second = (checkpoints.folder_of(epochs) for epochs in (1, 2))
    first.rename(checkpoints.folder / "aside")
    second.rename(first)
    (checkpoints.folder / "aside").rename(second)
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).epochs == 0
    assert capsys.readouterr().out.count("is damaged") == 2


def test_one_of_another_run_is_damaged(checkpoints, capsys):
    saved_epochs(checkpoints, 1)
    other = Checkpoints(checkpoints.folder, run="of another seed")
    assert other.restore(compiled_model(), ONE_DEVICE).epochs == 0
    assert "epoch_0001 is damaged" in capsys.readouterr().out


def test_the_first_checkpoints_do_not_name_their_run(checkpoints):
    saved_epochs(checkpoints, 1)
    path = checkpoints.folder_of(1) / "state.json"
    state = json.loads(path.read_text())
    del state["run"]
    path.write_text(json.dumps(state))
    assert Checkpoints(checkpoints.folder, run="of any seed").restore(compiled_model(), ONE_DEVICE).epochs == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"history": "epoch"},
        {"history": [3]},
        {"history": [{"epoch": 2, "seconds": 1.0, "loss": 0.0}]},
        {"history": [{"epoch": 1, "loss": 0.0}]},
        {"history": [{"epoch": 1, "seconds": "one", "loss": 0.0}]},
        {"best": "first", "checksums": {}},
        {"skipped": []},
        {"checksums": {}},
        {"checksums": None},
    ],
)
def test_a_state_of_another_content_is_damaged(checkpoints, changes):
    saved_epochs(checkpoints, 1)
    path = checkpoints.folder_of(1) / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).epochs == 0


def test_folders_of_other_names_are_passed_over(checkpoints):
    saved_epochs(checkpoints, 1)
    for name in ("epoch_\u00b2", "epoch_", "epoch_1x", "epoch_best"):
        (checkpoints.folder / name).mkdir()
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).epochs == 1


@pytest.mark.parametrize("function", ["read_bytes", "open"])
def test_what_may_not_be_read_is_no_damage(checkpoints, monkeypatch, function):
    saved_epochs(checkpoints, 2)
    path = checkpoints.folder_of(2) / "state.json"

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, function, refused)
    with pytest.raises(PermissionError, match=r"state\.json"):
        checkpoints.restore(compiled_model(), ONE_DEVICE)


def test_a_folder_that_may_not_be_listed_is_not_empty(checkpoints, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(PermissionError, match="checkpoints"):
        checkpoints.restore(compiled_model(), ONE_DEVICE)


@pytest.mark.parametrize("name", ["model.weights.h5", "state.json"])
def test_with_nothing_but_damaged_ones_a_run_starts_over_and_says_so(checkpoints, capsys, name):
    saved_epochs(checkpoints, 2)
    for folder in checkpoints.folder.iterdir():
        (folder / name).write_bytes(b"\xff\xfedamaged")
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).epochs == 0
    words = capsys.readouterr().out
    assert "epoch_0001 is damaged" in words
    assert "epoch_0002 is damaged" in words


def test_damaged_ones_of_later_epochs_are_no_longer_there_when_a_run_started_over(checkpoints):
    saved_epochs(checkpoints, 4, best=0.5)
    for folder in checkpoints.folder.iterdir():
        (folder / "model.weights.h5").unlink()
    model = compiled_model()
    assert checkpoints.restore(model, ONE_DEVICE).epochs == 0
    assert names(checkpoints) == ["epoch_0003", "epoch_0004"]  # they may be needed, until there is another
    checkpoints.save(model, state_of(1, best=0.5), is_best=True)
    assert names(checkpoints) == ["epoch_0001"]
    checkpoints.save(model, state_of(2, best=0.5), is_best=False)
    assert names(checkpoints) == ["epoch_0001", "epoch_0002"]
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).epochs == 2


def test_the_best_weights_are_carried_over_until_there_are_better_ones(checkpoints):
    model = compiled_model()
    best = None
    story = [(0.5, True), (0.5, False), (0.5, False), (0.7, True), (0.7, False)]
    for epoch, (accuracy, is_best) in enumerate(story, start=1):
        train(model, 1, seed=epoch)
        best = model.get_weights() if is_best else best
        state = state_of(epoch, best=accuracy)
        checkpoints.save(model, state, is_best)
        other = compiled_model()
        other.load_weights(checkpoints.best_weights(state))
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(other.get_weights(), best, strict=True))
    assert checkpoints.restore(compiled_model(), ONE_DEVICE).best == 0.7


def test_where_nothing_was_validated_there_are_no_best_weights(checkpoints):
    saved_epochs(checkpoints, 2)
    assert checkpoints.best_weights(state_of(2)) is None
    assert {path.name for path in (checkpoints.folder / "epoch_0002").iterdir()} == {"model.weights.h5", "state.json"}
    content = json.loads((checkpoints.folder / "epoch_0002" / "state.json").read_text())
    assert content["history"] == state_of(2).history


def test_a_full_disk_is_an_error_of_the_operating_system_and_costs_no_checkpoint(checkpoints):
    """HDF5 would crash. A file size limit stands in for the disk's."""
    model, (was,) = saved_epochs(checkpoints, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="partial"):
            checkpoints.save(model, state_of(2), is_best=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    resumed = compiled_model()
    assert checkpoints.restore(resumed, ONE_DEVICE).epochs == 1
    assert differences(everything(resumed), was) == []
    checkpoints.save(model, state_of(2), is_best=False)
    assert names(checkpoints) == ["epoch_0001", "epoch_0002"]
