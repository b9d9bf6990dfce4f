"""Runs with what practitioners set: they resume exactly, stop where they should, and say what to do."""

import json
import time
import types

import keras
import numpy as np
import pytest
from helpers.training import tiny_config

from aa_keras.errors import UserError
from aa_keras.training import callbacks, stopping, train_and_evaluate
from aa_keras.training.advice import Curves, advice


class Interrupted(BaseException):
    """Like KeyboardInterrupt, but nobody else raises it."""


def metrics_of(workdir):
    lines = (workdir / "metrics.csv").read_text().splitlines()
    seconds = lines[0].split(",").index("seconds")
    return [[cell for index, cell in enumerate(line.split(",")) if index != seconds] for line in lines]


def interrupted_after(epochs, monkeypatch, config, workdir):
    """Trains until the checkpoint of an epoch is written, and nothing after it."""
    write_metrics = callbacks.write_metrics

    def interrupt(path, history):
        write_metrics(path, history)
        if len(history) == epochs:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "write_metrics", interrupt)
        with pytest.raises(Interrupted):
            train_and_evaluate(config, workdir)
    keras.utils.set_random_seed(99)  # what another process would start with


EVERYTHING = {
    "class_weights": "balanced",
    "sampling": "balanced",
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "learning_rate_per_256": 0.02,
    "gradient_accumulation_steps": 2,  # of three steps in an epoch: what was accumulated goes on in the next one
    "final_learning_rate_fraction": 0.1,
    "color_jitter": 0.2,
    "random_erasing": 0.5,
    "mixup_alpha": 0.4,
    "export": False,
}


@pytest.mark.backend
def test_a_run_with_everything_resumes_as_without_the_interruption(tmp_path, monkeypatch):
    config = tiny_config(**EVERYTHING, best_metric="macro_f1")
    config.builder_arguments.update({"drop_path_rate": 0.4, "dropout_rate": 0.3})
    expected = train_and_evaluate(config, tmp_path / "whole")
    interrupted_after(1, monkeypatch, config, tmp_path / "run")
    result = train_and_evaluate(config, tmp_path / "run")
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    assert {"val_balanced_accuracy", "val_macro_f1", "balanced_accuracy"} <= set(metrics_of(tmp_path / "run")[0])
    for name in ("top1", "balanced_accuracy", "macro_f1", "cross_entropy", "best_validation_macro_f1"):
        assert result[name] == expected[name], name


@pytest.mark.backend
def test_dropout_draws_as_if_there_had_been_no_interruption_and_differently_in_each_epoch():
    layer = keras.layers.Dropout(0.5, noise_shape=(None, None))
    model = keras.Sequential([keras.Input((50,)), layer])
    seeds, ones = callbacks.SeedsOfEpochs(steps_per_epoch=2), np.ones((1, 50), "float32")
    seeds.set_model(model)

    def epoch(number):
        seeds.on_epoch_begin(number)
        return [keras.ops.convert_to_numpy(model(ones, training=True)) for _ in range(2)]

    first, second = epoch(0), epoch(1)
    np.testing.assert_array_equal(epoch(1), second)
    np.testing.assert_array_equal(epoch(0), first)
    assert len(np.unique(np.concatenate([*first, *second]), axis=0)) == 4
    # As without the callback.
    epoch(0)
    following = [keras.ops.convert_to_numpy(model(ones, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(following, second)


def scripted(monkeypatch, values):
    """Makes the epochs' validation metric these values."""
    remaining = dict(enumerate(values))
    original = callbacks.EpochRecorder.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        logs["val_top1"] = remaining[epoch]
        original(self, epoch, logs)

    monkeypatch.setattr(callbacks.EpochRecorder, "on_epoch_end", on_epoch_end)


def short_config(**fields):
    return tiny_config(epochs=8, steps_per_epoch=1, export=False, **fields)


def test_a_resumed_run_stops_early_where_the_uninterrupted_one_does(tmp_path, monkeypatch, capsys):
    config = short_config(early_stopping_epochs=2)
    scripted(monkeypatch, [0.2, 0.5, 0.5, 0.6, 0.3, 0.59, 0.9, 0.9])
    whole = train_and_evaluate(config, tmp_path / "whole")
    assert (whole["epochs"], whole["stopped"], whole["best_validation_top1"]) == (6, "early stopping", 0.6)
    assert "Stopped after epoch 6 of 8: val_top1 did not get better in 2 epochs" in capsys.readouterr().out
    for epochs in (5, 6):  # before it stopped, and between its last checkpoint and its end
        workdir = tmp_path / f"run{epochs}"
        interrupted_after(epochs, monkeypatch, config, workdir)
        assert train_and_evaluate(config, workdir)["epochs"] == 6
        assert metrics_of(workdir) == metrics_of(tmp_path / "whole")
        assert (workdir / "best.keras").exists()
    # It is finished: the same command trains nothing.
    before = (workdir / "result.json").read_text()
    train_and_evaluate(config, workdir)
    assert (workdir / "result.json").read_text() == before


def test_early_stopping_needs_validation_images(tmp_path, monkeypatch):
    from aa_keras.tasks import Classification

    monkeypatch.setattr(
        Classification, "check_trainable", lambda task: object.__setattr__(task.dataset, "validation", ())
    )
    with pytest.raises(UserError, match=r"config\.early_stopping_epochs must be unset without validation images"):
        train_and_evaluate(short_config(early_stopping_epochs=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_lower_loss_is_better(tmp_path):
    config = tiny_config(export=False, best_metric="loss")
    result = train_and_evaluate(config, tmp_path / "run")
    header, *rows = metrics_of(tmp_path / "run")
    losses = [float(row[header.index("val_loss")]) for row in rows]
    assert result["best_validation_loss"] == min(losses) != max(losses)
    best, last = (keras.models.load_model(tmp_path / "run" / f"{name}.keras") for name in ("best", "model"))
    is_last = all(np.array_equal(a, b) for a, b in zip(best.get_weights(), last.get_weights(), strict=True))
    assert is_last == (losses[-1] == min(losses))


def test_metrics_that_are_not_measured_cannot_choose(tmp_path):
    with pytest.raises(UserError, match=r"best_metric must be unset or one of top1, balanced_accuracy, macro_f1, loss"):
        train_and_evaluate(tiny_config(best_metric="ap"), tmp_path / "run")


@pytest.mark.backend
def test_a_time_limit_ends_a_call_and_the_same_command_resumes(tmp_path, capsys, monkeypatch):
    expected = train_and_evaluate(tiny_config(export=False), tmp_path / "whole")
    capsys.readouterr()
    config = tiny_config(export=False, time_limit="1h")
    with monkeypatch.context() as patch:  # an hour passes in the first epoch, however fast the machine is
        patch.setattr(stopping, "time", types.SimpleNamespace(monotonic=lambda: time.monotonic() + 3600))
        first = train_and_evaluate(config, tmp_path / "run")
    assert (first["epochs"], first["stopped"]) == (1, "time limit")
    assert "Stopped after epoch 1 of 2, at config.time_limit=1h: the same command resumes" in capsys.readouterr().out
    assert {"best.keras", "model.keras", "result.json"} <= {path.name for path in (tmp_path / "run").iterdir()}
    # Another limit is not another run.
    second = train_and_evaluate(tiny_config(export=False, time_limit="2h"), tmp_path / "run")
    assert (second["epochs"], second["stopped"]) == (2, None)
    assert second["cross_entropy"] == expected["cross_entropy"]
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    train_and_evaluate(config, tmp_path / "run")
    assert "has the finished run" in capsys.readouterr().out


def test_an_epoch_that_would_exceed_the_limit_is_not_begun(monkeypatch):
    class Run:
        stopped, started = None, 100.0
        config = short_config(time_limit="1m")
        state = type("State", (), {"epochs": 1, "history": [{}]})

        class distribution:  # noqa: N801
            on_first = staticmethod(lambda function: function())

    clock = [100.0]
    monkeypatch.setattr(stopping, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    for ends, expected in (((120, 139), None), ((121, 141), "time limit"), ((119, 161), "time limit")):
        Run.stopped, clock[0] = None, 100.0
        callback = stopping.StopBeforeTheLast(Run)
        callback.set_model(type("Model", (), {"stop_training": False})())
        for end in ends:
            callback.on_epoch_begin(0)
            clock[0] = float(end)
            callback.on_epoch_end(0)
        assert (Run.stopped, callback.model.stop_training) == (expected, expected is not None)


def history(epochs=10, **metrics):
    """The history of a run: metrics are constants or functions of the epoch's share of the run."""
    values = {"loss": lambda share: 1 - share, "top1": 0.5, "val_top1": 0.5, **metrics}
    return [
        {name: value(epoch / epochs) if callable(value) else value for name, value in values.items()}
        for epoch in range(epochs)
    ]


@pytest.mark.parametrize(
    ("metrics", "missed", "beginnings"),
    [
        ({}, [], []),
        ({"top1": 0.66}, [], ["Overfitting: top1 is 66.0% in training and 50.0% in validation"]),
        ({"top1": 0.64}, [], []),
        ({"val_top1": lambda share: 0.3 * share + 0.2}, [], ["val_top1 still rose at the end, by 3.0%"]),
        ({"val_top1": lambda share: 0.05 * share + 0.45}, [], []),
        ({"loss": lambda share: 2 - 0.03 * share}, [], ["The loss hardly fell, by 1.3% from the first epoch"]),
        ({"loss": lambda share: 2 - 0.06 * share}, [], []),
        ({"loss": lambda share: 2 + share}, [], ["The loss hardly fell, by 0.0%"]),
        ({}, ["owl", "cat"], ["No test image of these classes was recognized: owl, cat."]),
    ],
)
def test_curves_say_something_only_beyond_their_thresholds(metrics, missed, beginnings):
    found = advice(Curves(history(**metrics), "top1", missed))
    assert len(found) == len(beginnings)
    for sentence, beginning in zip(found, beginnings, strict=True):
        assert sentence.startswith(beginning)


def test_curves_of_few_epochs_or_without_validation_say_nothing():
    assert advice(Curves(history(2, top1=0.9, loss=2.0), "top1", [])) == []
    rows = [{"loss": row["loss"], "top1": 0.9} for row in history()]
    assert advice(Curves(rows, "top1", [])) == []
    assert advice(Curves(history(val_loss=1.0), "loss", [])) == []


def test_a_run_prints_what_its_curves_say(tmp_path, capsys):
    config = tiny_config(epochs=3, steps_per_epoch=25, export=False, learning_rate_per_256=1e-9)
    train_and_evaluate(config, tmp_path / "run")
    output = capsys.readouterr().out
    assert "The loss hardly fell" in output
    assert "No test image of these classes was recognized: " in output
    assert json.loads((tmp_path / "run" / "result.json").read_text())["stopped"] is None
