"""The dry run, and the batch size that is found by trial."""

import json
import pathlib

import numpy as np
import pytest
from helpers.training import tiny_config
from PIL import Image

from aa_keras.errors import UserError
from aa_keras.training import batch_size, check_before_training, memory, train_and_evaluate
from aa_keras.training.distribution import Distribution
from aa_keras.training.run_directory import RunDirectory


@pytest.mark.backend
def test_a_dry_run_prints_what_to_expect_and_leaves_its_pictures_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_before_training(tiny_config(export=False, mixup_alpha=0.3), output=tmp_path / "look")
    output = capsys.readouterr().out
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "look",
        "look/augmented.png",
    ]
    for part in (
        "tiny: 1,257 training, 180 validation and 360 test images of 8x8x1, 10 classes",
        "Training images of a class: 115 (2) to 137 (3)",
        "Memory of a step, estimated: ",
        "Steps: 3 in each of 2 epochs, of 50 images; ",
        f"The run would write into {tmp_path / 'runs' / 'tiny'}. Nothing was written there",
    ):
        assert part in output
    with Image.open(tmp_path / "look" / "augmented.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(2**24)) > 20


def test_a_dry_run_fails_as_the_run_would(finished, tmp_path, capsys):
    with pytest.raises(UserError, match="holds a run of another config: seed is 5 there and 6 here"):
        check_before_training(tiny_config(seed=6), finished[0])
    check_before_training(tiny_config(), finished[0], output=tmp_path / "look")
    assert "has the finished run" in capsys.readouterr().out
    assert not (tmp_path / "look").exists()


@pytest.mark.backend
def test_the_estimate_counts_variables_and_the_outputs_of_all_layers():
    import keras

    image = keras.Input((10, 12, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(image)  # 960 numbers, of 224 weights
    x = keras.layers.GlobalAveragePooling2D()(x)  # 8
    model = keras.Model(image, keras.layers.Dense(5)(x))  # 5, of 45 weights
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    estimated = memory.training_memory(model)
    inputs = 10 * 12 * 3
    assert estimated.of_image in (4 * (960 + 8 + 5), 4 * (960 + 8 + 5 + inputs))
    momenta_weights_and_gradients = 4 * 3 * 269
    assert 0 <= estimated.of_variables - momenta_weights_and_gradients <= 16  # and the optimizer's counters
    assert estimated.of_step(3) == estimated.of_variables + 3 * estimated.of_image


@pytest.mark.backend
def test_the_memory_of_a_cpu_is_known_here():
    if pathlib.Path("/proc/meminfo").exists():
        assert 2**28 < memory.available_memory() < 2**50


class TooLittle:
    """Makes steps of more images than a number fail, as on a device without the memory."""

    def __init__(self, monkeypatch, images, error):
        self.tried = []
        original = batch_size.compile_model

        def compiled(model, task, steps):
            original(model, task, steps)
            self.tried.append(task.config.batch_size)
            if task.config.batch_size > images:
                raise error

        monkeypatch.setattr(batch_size, "compile_model", compiled)


class ResourceExhaustedError(Exception):
    """The name of TensorFlow's error."""


@pytest.mark.backend
def test_the_largest_power_of_two_that_fits_is_found_and_kept(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        limited = TooLittle(patch, 100, ResourceExhaustedError("OOM when allocating"))
        result = train_and_evaluate(tiny_config(batch_size="auto", export=False), tmp_path / "run")
    assert limited.tried == [256, 128, 64]
    assert "config.batch_size=auto: 64, the largest power of two up to 256" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "config.json").read_text())["batch_size"] == 64
    # The same command keeps the size, whatever fits now.
    assert train_and_evaluate(tiny_config(batch_size="auto", export=False), tmp_path / "run") == result
    # The run is that of this number: layers have the same names and weights.
    same = train_and_evaluate(tiny_config(batch_size=64, export=False), tmp_path / "same")
    assert same["cross_entropy"] == result["cross_entropy"]


def chosen(tmp_path, **fields):
    config = tiny_config(batch_size="auto", **fields)
    return batch_size.chosen(config, Distribution(), RunDirectory(tmp_path / "run"), False).batch_size


def test_an_estimate_above_the_memory_of_a_cpu_is_not_tried(tmp_path, monkeypatch):
    limited = TooLittle(monkeypatch, 10**9, None)
    free = []
    original = batch_size.training_memory

    def estimated(model):
        free.append(original(model).of_step(40))  # enough for 40 images
        return original(model)

    monkeypatch.setattr(batch_size, "training_memory", estimated)
    monkeypatch.setattr(batch_size, "available_memory", lambda: free[-1] if free else 0)
    assert chosen(tmp_path) == 32
    assert limited.tried == [256, 128, 64, 32]


def test_other_errors_are_not_taken_for_too_little_memory(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        TooLittle(patch, 0, ResourceExhaustedError())
        with pytest.raises(UserError, match="found no batch that fits: not even one of 1 examples"):
            chosen(tmp_path)
    TooLittle(monkeypatch, 0, RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        chosen(tmp_path)


def test_devices_share_the_batch_that_is_found(tmp_path):
    distribution = Distribution()
    distribution.devices = 3
    with pytest.raises(UserError, match="found no batch that fits"):
        batch_size.chosen(tiny_config(batch_size="auto"), distribution, RunDirectory(tmp_path / "run"), False)
    assert np.all(np.array(batch_size.SIZES) == 2 ** np.arange(8, -1, -1))
