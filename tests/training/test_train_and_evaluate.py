"""A run from end to end: the files in its folder, its result, and evaluating it again."""

import csv
import dataclasses
import json
import math

import keras
import numpy as np
import pytest
from helpers.training import tiny_config

from aa_keras.commands.evaluate import evaluate_run
from aa_keras.commands.trained import servable_of_run
from aa_keras.complexity import model_complexity
from aa_keras.data import LabelledImages, load_dataset
from aa_keras.errors import UserError
from aa_keras.export import load_predictor
from aa_keras.tasks import Classification
from aa_keras.training import train_and_evaluate

pytestmark = pytest.mark.jax

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"  # only TensorFlow writes a SavedModel
DIGITS = load_dataset("digits")


def metrics_of(workdir):
    with (workdir / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def accuracy_and_loss(model, examples):
    """Measured here: top-1, top-5 and cross-entropy of the images as the training set's statistics normalize them."""
    pixels = DIGITS.train.images.astype("float64")
    probabilities = model.predict((examples.images - pixels.mean()) / pixels.std(), verbose=0).astype("float64")
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    right = probabilities[np.arange(len(examples)), examples.labels]
    top5 = np.mean(np.any(ranked[:, :5] == examples.labels[:, None], axis=1))
    return np.mean(ranked[:, 0] == examples.labels), top5, -np.mean(np.log(right))


def test_the_folder_holds_everything_that_a_run_writes(finished):
    workdir, _ = finished
    assert {path.name for path in workdir.iterdir()} == {
        *("config.json", "data.json", "checkpoints", "metrics.csv", "tensorboard", "curves.png", "model.keras"),
        *("best.keras", "aa_keras.json", "result.json"),
        *(("saved_model",) if ON_TENSORFLOW else ()),
    }
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir()) == ["epoch_0001", "epoch_0002"]
    assert (workdir / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert {path.parent.name for path in (workdir / "tensorboard").rglob("events*")} == {"train", "validation"}
    if ON_TENSORFLOW:
        assert (workdir / "saved_model" / "labels.txt").read_text() == "".join(f"{digit}\n" for digit in range(10))
    config = json.loads((workdir / "config.json").read_text())
    assert (config["seed"], config["builder_arguments"]["attention_stages"]) == (5, [3])


def test_the_result_says_what_was_measured(finished):
    workdir, result = finished
    assert json.loads((workdir / "result.json").read_text()) == result
    assert (result["test_examples"], result["epochs"], result["backend"]) == (360, 2, keras.backend.backend())
    model = keras.models.load_model(workdir / "model.keras")
    measured = accuracy_and_loss(model, DIGITS.test)
    assert (result["top1"], result["top5"]) == pytest.approx(measured[:2], abs=1e-9)
    assert result["cross_entropy"] == pytest.approx(measured[2], rel=1e-4)
    complexity = model_complexity(model)
    assert (result["parameters"], result["flops"]) == (complexity.parameters, complexity.flops)
    assert result["training_seconds"] > 0
    assert result["training_examples_per_second"] > 0
    assert result["versions"]["keras"] == keras.__version__
    assert set(result) >= {"date", "machine", "git_revision"}


def test_the_metrics_have_a_line_for_each_epoch(finished):
    workdir, result = finished
    rows = metrics_of(workdir)
    assert [row["epoch"] for row in rows] == [1, 2]
    names = {"loss", "cross_entropy", "top1", "top5"}
    assert set(rows[0]) == {"epoch", "seconds", "learning_rate", *names, *(f"val_{name}" for name in names)}
    # Six steps of 0.5 * 50 / 256, of which 5 % make no warm-up: half of it in the middle, nothing at the end.
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.5 * 50 / 256 / 2, 0], abs=1e-8)
    assert result["best_validation_top1"] == max(row["val_top1"] for row in rows)
    for row in rows:
        assert row["loss"] > row["cross_entropy"] > 0  # with the decay of weights
        assert row["top5"] >= row["top1"]
        assert all(math.isfinite(value) for value in row.values())


def test_the_best_and_the_last_network_are_those_of_the_metrics(finished):
    workdir, _ = finished
    rows = metrics_of(workdir)
    best = max(rows, key=lambda row: row["val_top1"])
    for name, row in (("model", rows[-1]), ("best", best)):
        model = keras.models.load_model(workdir / f"{name}.keras")
        top1, _, loss = accuracy_and_loss(model, DIGITS.validation)
        assert top1 == pytest.approx(row["val_top1"], abs=1e-6)
        assert loss == pytest.approx(row["val_cross_entropy"], rel=1e-3)


def test_a_finished_run_reports_and_trains_no_more(finished, monkeypatch, capsys):
    workdir, result = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    monkeypatch.setattr(keras.Model, "fit", None)
    assert train_and_evaluate(tiny_config(), workdir) == result
    assert f"the finished run: top-1 {result['top1']:.2%}" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


def test_a_run_predicts_without_its_task(finished):
    workdir, _ = finished
    by_task = servable_of_run(str(workdir))
    for name in (workdir, workdir / "best.keras"):
        predictor = load_predictor(name)
        assert predictor.spec == by_task.spec
    image = DIGITS.test.images[0]
    (expected,) = by_task.predictor().predict([image])
    (found,) = load_predictor(workdir).predict([image])
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)


def test_another_config_is_refused(finished):
    workdir, _ = finished
    with pytest.raises(UserError, match=r"seed is 5 there and 6 here.*--overwrite"):
        train_and_evaluate(tiny_config(seed=6), workdir)


@pytest.mark.parametrize("way", ["workdir", "weights", *(["saved_model"] if ON_TENSORFLOW else [])])
def test_evaluating_it_again_gives_the_same_numbers(finished, tmp_path, way, capsys):
    workdir, result = finished
    arguments = {
        "workdir": {"workdir": str(workdir)},
        "saved_model": {"saved_model": str(workdir / "saved_model")},
        "weights": {"weights": str(workdir / "model.keras"), "config": tiny_config(batch_size=400)},
    }[way]
    evaluation = evaluate_run(**arguments, output=tmp_path / "output")
    assert (evaluation.examples, evaluation.top1, evaluation.top5) == (360, result["top1"], result["top5"])
    assert evaluation.cross_entropy == pytest.approx(result["cross_entropy"], rel=1e-5)
    written = json.loads((tmp_path / "output" / "evaluation.json").read_text())
    assert (written["dataset"], written["examples"], written["top1"]) == ("digits", 360, result["top1"])
    assert list(written["per_class_accuracy"]) == list("0123456789")
    assert list(written["per_class_accuracy"].values()) == pytest.approx(evaluation.per_class_accuracy.tolist())
    assert (tmp_path / "output" / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
    assert f"top-1 {result['top1']:.2%}" in capsys.readouterr().out


def test_a_run_without_validation_in_half_precision(tmp_path, monkeypatch):
    nothing = LabelledImages(DIGITS.validation.images[:0], DIGITS.validation.labels[:0])
    without = dataclasses.replace(DIGITS, validation=nothing)
    monkeypatch.setattr(Classification, "dataset", without)
    config = tiny_config(epochs=1, steps_per_epoch=1, export=False, precision="mixed_float16")
    result = train_and_evaluate(config, tmp_path / "run")
    assert result["best_validation_top1"] is None
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.json", "data.json", "checkpoints", "metrics.csv", "tensorboard", "curves.png", "model.keras"),
        *("aa_keras.json", "result.json"),
    }
    (row,) = metrics_of(tmp_path / "run")
    assert set(row) == {"epoch", "seconds", "learning_rate", "loss", "cross_entropy", "top1", "top5"}
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert model.get_layer("stem_conv").compute_dtype == "float16"
    assert all(variable.dtype == "float32" for variable in model.weights)


@pytest.mark.parametrize("fields", [{"steps_per_epoch": 26}, {"batch_size": 1258, "steps_per_epoch": None}])
def test_more_steps_than_there_are_images_for(tmp_path, fields):
    with pytest.raises(UserError, match=r"config\.batch_size times config\.steps_per_epoch must be at most 1257"):
        train_and_evaluate(tiny_config(**fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_field_out_of_range_leaves_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"config\.momentum"):
        train_and_evaluate(tiny_config(momentum=1.0), tmp_path / "run")
    with pytest.raises(UserError, match="`depth` must be"):
        train_and_evaluate(tiny_config(builder_arguments={"depth": 11, "width": 1}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
