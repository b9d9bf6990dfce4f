"""Interrupted runs that are started again end as without the interruption."""

import csv
import hashlib
import json
import shutil
import types

import keras
import numpy as np
import pytest
from helpers.training import tiny_config

from aa_keras.commands.evaluate import evaluate_run
from aa_keras.errors import UserError
from aa_keras.recipes.fields import as_dictionary
from aa_keras.tasks import classification
from aa_keras.training import callbacks, train_and_evaluate
from aa_keras.training.checkpoints import Checkpoints, TrainingState
from aa_keras.training.non_finite import StopOnNonFinite
from aa_keras.training.run_directory import fingerprint


class Interrupted(BaseException):
    """Like KeyboardInterrupt, but nobody else raises it."""


def interrupt_after_checkpoint(monkeypatch, epochs):
    """Ends training after the checkpoint of a number of epochs, before anything else is written."""
    write_metrics = callbacks.write_metrics

    def interrupted(path, history):
        if len(history) == epochs:
            raise Interrupted
        write_metrics(path, history)

    monkeypatch.setattr(callbacks, "write_metrics", interrupted)


def metrics_of(workdir):
    """The metrics of each epoch in `metrics.csv`, without the time."""
    with (workdir / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def weights_of(workdir, name):
    return keras.models.load_model(workdir / f"{name}.keras").get_weights()


@pytest.mark.backend
def test_an_interrupted_run_ends_as_it_would_have(finished, tmp_path, monkeypatch, capsys):
    uninterrupted, expected = finished
    workdir = tmp_path / "run"
    for epochs in (1, 2):
        with monkeypatch.context() as patch:
            interrupt_after_checkpoint(patch, epochs)
            with pytest.raises(Interrupted):
                train_and_evaluate(tiny_config(), workdir)
        assert not (workdir / "result.json").exists()
        keras.utils.set_random_seed(99)  # what another process would start with
    assert "Resuming after epoch 1 of 2" in capsys.readouterr().out
    with pytest.raises(UserError, match="epochs is 2 there and 3 here"):
        train_and_evaluate(tiny_config(epochs=3), workdir)

    result = train_and_evaluate(tiny_config(), workdir)
    assert "Resuming after epoch 2 of 2" in capsys.readouterr().out
    for name in ("model", "best"):
        for resumed, whole in zip(weights_of(workdir, name), weights_of(uninterrupted, name), strict=True):
            np.testing.assert_array_equal(resumed, whole)
    for key in ("top1", "top5", "cross_entropy", "best_validation_top1", "epochs"):
        assert result[key] == expected[key]
    assert metrics_of(workdir) == metrics_of(uninterrupted)


@pytest.mark.backend
@pytest.mark.slow
def test_the_moving_average_is_evaluated_too_and_resumes(finished, tmp_path, monkeypatch, capsys):
    config = tiny_config(ema_momentum=0.5, export=False)
    expected = train_and_evaluate(config, tmp_path / "uninterrupted")
    assert capsys.readouterr().out.count("Test, averaged weights: top-1") == 1
    measured = evaluate_run(config=config, weights=tmp_path / "uninterrupted" / "averaged.keras", output=tmp_path / "o")
    assert expected["averaged"]["top1"] == pytest.approx(measured.top1, abs=1e-9)
    assert expected["averaged"]["cross_entropy"] == pytest.approx(measured.cross_entropy, rel=1e-5)
    assert expected["averaged"]["cross_entropy"] != expected["cross_entropy"]

    with monkeypatch.context() as patch:
        interrupt_after_checkpoint(patch, 1)
        with pytest.raises(Interrupted):
            train_and_evaluate(config, tmp_path / "run")
    result = train_and_evaluate(config, tmp_path / "run")
    assert (result["averaged"], result["cross_entropy"]) == (expected["averaged"], expected["cross_entropy"])
    for resumed, whole in zip(
        *(weights_of(tmp_path / run, "averaged") for run in ("run", "uninterrupted")), strict=True
    ):
        np.testing.assert_array_equal(resumed, whole)
    # Nor is it lost where all epochs were finished, and the evaluation was not.
    (tmp_path / "run" / "result.json").unlink()
    assert train_and_evaluate(config, tmp_path / "run")["averaged"] == expected["averaged"]
    # The last network is that of a run without it.
    plain = finished[1]
    assert (plain["cross_entropy"], plain["averaged"]) == (expected["cross_entropy"], None)


@pytest.mark.jax
def test_overwriting_starts_over_and_a_loss_that_is_no_number_ends_training(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    with pytest.raises(UserError, match=r"became (nan|-?inf) in step 2 of epoch 1.*no checkpoint yet.*learning_rate"):
        train_and_evaluate(tiny_config(learning_rate_per_256=1e30, warmup_fraction=0.0), workdir, overwrite=True)
    # Nothing is left of the previous run, and NaN was not saved in a checkpoint.
    assert not list(workdir.glob("checkpoints/epoch_*"))
    assert not {path.name for path in workdir.iterdir()} - {"config.json", "data.json", "checkpoints", "tensorboard"}
    assert json.loads((workdir / "config.json").read_text())["learning_rate_per_256"] == 1e30


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rand_augment_operations": 2}, r"config\.rand_augment_operations must be 0 for grey images"),
        ({"batch_size": 2000, "steps_per_epoch": None}, r"config\.batch_size"),
        ({"builder_arguments": {"depth": 10, "width": 1, "num_heads": 65}}, "num_heads"),
        ({"dataset": "image_folder"}, r"config\.image_size"),
    ],
)
def test_a_config_that_cannot_be_trained_overwrites_nothing(finished, fields, message):
    before = {path: path.stat().st_mtime_ns for path in finished[0].rglob("*")}
    with pytest.raises(UserError, match=message):
        train_and_evaluate(tiny_config(**fields), finished[0], overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in finished[0].rglob("*")} == before


@pytest.mark.jax
@pytest.mark.parametrize("function", ["training_dataset", "validation_dataset"])
def test_data_that_fails_overwrites_nothing(finished, monkeypatch, function):
    """Whatever fails in the pipelines, they are tried before anything is removed."""
    import tensorflow as tf

    original = getattr(classification, function)

    def failing(*arguments, **keywords):
        return original(*arguments, **keywords).map(
            lambda images, *rest: (images + tf.strings.to_number("nothing"), *rest)
        )

    before = {path: path.stat().st_mtime_ns for path in finished[0].rglob("*")}
    monkeypatch.setattr(classification, function, failing)
    with pytest.raises(Exception, match="nothing"):
        train_and_evaluate(tiny_config(), finished[0], overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in finished[0].rglob("*")} == before


@pytest.mark.jax
def test_a_new_folder_is_empty_until_the_first_step_is_done_and_goes_if_it_is_not(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        assert list((tmp_path / "deep" / "run").iterdir()) == []
        raise Interrupted

    monkeypatch.setattr(StopOnNonFinite, "on_train_batch_end", interrupted)
    with pytest.raises(Interrupted):
        train_and_evaluate(tiny_config(), tmp_path / "deep" / "run")
    assert list(tmp_path.iterdir()) == []


def test_other_content_in_a_result_is_named(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text('{"top1": "high"}')
    with pytest.raises(UserError, match=r"result\.json was not written by train\.py: its field 'top1' is 'high'"):
        train_and_evaluate(tiny_config(), tmp_path / "run")


def test_a_loss_that_is_no_number_names_the_last_checkpoint(tmp_path):
    state = TrainingState(history=[{"epoch": epoch} for epoch in (1, 2, 3)])
    stop = StopOnNonFinite(types.SimpleNamespace(config=tiny_config(), checkpoints=Checkpoints(tmp_path), state=state))
    stop.set_model(keras.Sequential())
    stop.on_epoch_begin(3)
    stop.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(UserError, match=r"nan in one of the steps 1 to 51 of epoch 4.*is .*epoch_0003\. What may help"):
        stop.on_train_batch_end(50, {"loss": float("nan")})


@pytest.mark.backend
def test_the_best_network_is_that_of_its_checkpoint_and_not_the_last(finished, tmp_path):
    """A run that was interrupted after its last epoch, and whose first epoch was the best."""
    workdir, config = tmp_path / "run", tiny_config(export=False)
    shutil.copytree(finished[0] / "checkpoints", workdir / "checkpoints")
    (workdir / "config.json").write_text(json.dumps(as_dictionary(config)))
    first, last = (workdir / "checkpoints" / name for name in ("epoch_0001", "epoch_0002"))
    shutil.copyfile(first / "model.weights.h5", last / "best.weights.h5")
    state = json.loads((last / "state.json").read_text())
    state["run"] = fingerprint(as_dictionary(config))
    state["checksums"]["best.weights.h5"] = hashlib.sha256((last / "best.weights.h5").read_bytes()).hexdigest()
    (last / "state.json").write_text(json.dumps(state))

    train_and_evaluate(config, workdir)
    for name, checkpoint in (("best", first), ("model", last)):
        network = classification.Classification(config).training_model()
        network.load_weights(checkpoint / "model.weights.h5")
        for ours, theirs in zip(weights_of(workdir, name), network.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
