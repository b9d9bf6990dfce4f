"""Detectors that are compiled, fitted, saved and loaded without the programs of this library."""

import keras
import numpy as np
import pytest
from helpers.builders import images

from aa_keras._startup import quiet_import
from aa_keras.applications import AARetinaNet

with quiet_import():
    pytest.importorskip("keras_hub", reason="the extra `detection` is not installed")


def small():
    size = {"depth": 18, "width": 8, "blocks": (1, 1, 1, 1), "max_level": 5, "head_convolutions": 1}
    return AARetinaNet(**size, input_shape=(64, 96, 3), classes=3)


def test_a_batch_without_boxes_has_the_loss_of_padding():
    """Its labels have no row at all, as data by hand have."""
    model, x = small(), images(2, 64, 96, 3)
    outputs = model(x)
    losses = []
    model.compile("sgd")
    for rows in (0, 3):
        labels = {"boxes": -np.ones((2, rows, 4), "float32"), "labels": -np.ones((2, rows), "float32")}
        losses.append(float(model.compute_loss(x, labels, outputs)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] > 0


def test_a_compiled_detector_goes_on_after_it_was_saved(tmp_path):
    """With the same losses and the state of the optimizer."""
    x = images(2, 64, 96, 3)
    y = {"boxes": np.tile(np.float32([[[10, 10, 40, 40]]]), (2, 1, 1)), "labels": np.ones((2, 1), "float32")}
    model = small()
    assert model.get_compile_config() is None
    loss = keras.losses.MeanAbsoluteError(reduction="sum")
    model.compile(keras.optimizers.Adam(1e-3), box_loss=loss, run_eagerly=True)
    model.fit(x, y, batch_size=2, verbose=0)
    model.save(tmp_path / "detector.keras")
    loaded = keras.models.load_model(tmp_path / "detector.keras")
    assert int(loaded.optimizer.iterations) == 1
    assert loaded.run_eagerly
    expected, found = (network.fit(x, y, batch_size=2, verbose=0).history for network in (model, loaded))
    assert found["bbox_regression_loss"] == pytest.approx(expected["bbox_regression_loss"], rel=1e-5)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_compile_makes_the_means_of_the_losses():
    """TensorFlow traces a step twice that makes variables."""
    model = small()
    model.compile("sgd")
    assert {metric.name for metric in model.metrics} == {"loss", "bbox_regression_loss", "cls_logits_loss"}
