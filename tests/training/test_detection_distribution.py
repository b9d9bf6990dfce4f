"""Detectors on several devices and in several processes train as on one device."""

import csv
import json

import numpy as np
import pytest
from helpers.detection import squares
from helpers.distributed import end, start, start_two

pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("squares"), train=16)


@pytest.fixture(autouse=True)
def _train_on_squares(folder, monkeypatch):
    monkeypatch.setenv("SQUARES", str(folder))


def training_of(workdir):
    with (workdir / "metrics.csv").open() as file:
        return {
            name: [float(row[name]) for row in csv.DictReader(file.seek(0) or file)]
            for name in ("loss", "val_loss", "bbox_regression_loss", "cls_logits_loss", "val_ap")
        }


def assert_same(workdir, expected):
    ours, theirs = training_of(workdir), training_of(expected)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=2e-3, atol=2e-3, err_msg=name)
    result = json.loads((workdir / "result.json").read_text())
    assert result["test_examples"] == 5
    assert (workdir / "model.keras").exists()


def test_mirrored_on_two_devices(tmp_path):
    end(start("tensorflow", tmp_path / "one", "none", "clip_norm=0.0"))
    end(start("tensorflow", tmp_path / "two", "mirrored", "clip_norm=0.0"))
    assert_same(tmp_path / "two", tmp_path / "one")


def test_data_parallel_and_two_processes(tmp_path):
    end(start("jax", tmp_path / "one", "none"))
    end(start("jax", tmp_path / "two", "data_parallel"))
    assert_same(tmp_path / "two", tmp_path / "one")
    end(*start_two(tmp_path / "hosts"))
    assert_same(tmp_path / "hosts", tmp_path / "one")
