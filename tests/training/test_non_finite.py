"""Where a loss that is no longer finite came from, on every backend."""

import types

import keras
import ml_collections
import numpy as np
import pytest
import tensorflow as tf
from helpers.layers import slow_on_jax
from keras import ops

from aa_keras.errors import UserError
from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.training.non_finite import StopOnNonFinite

pytestmark = pytest.mark.backend

STEPS = 26
CONFIG = {"learning_rate_per_256": 0.1, "warmup_fraction": 0.05, "clip_norm": 0.0, "precision": "float32"}
CONFIG["distribution"] = "none"


@keras.saving.register_keras_serializable("tests")
class Overflowing(keras.layers.Layer):
    """Overflows for large inputs alone."""

    def call(self, inputs):
        return inputs * ops.where(ops.max(ops.abs(inputs)) > 100, float("inf"), 1.0)


@keras.saving.register_keras_serializable("tests")
class WithABadGradient(keras.layers.Layer):
    """Has a gradient of 0 times infinity for large inputs alone."""

    def call(self, inputs):
        is_small = ops.floor(ops.minimum(100 / ops.max(ops.abs(inputs)), 1.0))  # 1 or 0, and no select for XLA
        return inputs + 1e-20 * ops.sqrt(ops.abs(is_small * ops.sum(inputs)))


def network(layer, implementation="dense"):
    """A network with a layer behind its augmented convolution."""
    model = keras.Sequential(
        [
            keras.Input((6, 4, 3)),
            AttentionAugmentedConv2D(8, 3, num_heads=2, implementation=implementation, name="augmented"),
            layer,
            keras.layers.BatchNormalization(name="normalized"),
            keras.layers.Conv2D(4, 3, name="plain"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(2, name="head"),
        ],
        name="named",
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss, jit_compile=keras.backend.backend() == "jax")
    return model


class Task:
    """Batches of two maps, one of them with a large value in the middle."""

    def __init__(self, large):
        self.large = large

    def training_batches(self, epochs, steps_per_epoch, shard):
        generator = np.random.default_rng(0)
        maps = generator.normal(size=(STEPS, 2, 6, 4, 3)).astype("float32")
        if self.large is not None:
            maps[self.large, 0, 3, 2] = 1e6
        labels = np.eye(2, dtype="float32")[generator.integers(2, size=(STEPS, 2))]
        return tf.data.Dataset.from_tensor_slices((maps, labels)).repeat(len(epochs))


def message(model, large=None, epochs=1, **changes):
    """The message with which training stops."""
    run = types.SimpleNamespace(
        task=Task(large),
        distribution=types.SimpleNamespace(shard=(0, 1)),
        steps_per_epoch=STEPS,
        state=types.SimpleNamespace(epochs=0),
        config=ml_collections.ConfigDict({**CONFIG, **changes}),
    )
    batches = run.task.training_batches(range(epochs), STEPS, (0, 1))
    with pytest.raises(UserError) as error:
        model.fit(
            batches, epochs=epochs, steps_per_epoch=STEPS, callbacks=[StopOnNonFinite(run)], shuffle=False, verbose=0
        )
    return str(error.value)


@pytest.fixture(autouse=True)
def frequent_checks(monkeypatch):
    monkeypatch.setattr(StopOnNonFinite, "STEPS", 10)


def check_overflow(step):
    text = message(network(Overflowing(name="marker")), large=step)
    assert text.startswith(f"The loss became nan in step {step + 1} of epoch 1, and training stopped before"), text
    assert "no checkpoint yet. The first layer whose output is not finite is marker, with inputs of up to " in text
    assert text.endswith(
        ". What may help, each with another --workdir: --config.learning_rate_per_256=0.05, "
        "--config.warmup_fraction=0.1, --config.clip_norm=10"
    )


def test_a_layer_that_overflows():
    check_overflow(16)


@slow_on_jax
@pytest.mark.parametrize("step", [0, 3, 25])
def test_a_layer_that_overflows_in_another_step(step):
    check_overflow(step)


def test_a_gradient_that_is_not_finite():
    model = network(WithABadGradient(name="marker"), implementation="auto")
    text = message(model, large=16, precision="mixed_bfloat16", clip_norm=1.0)
    assert " in step 17 of epoch 1" in text
    assert (
        "All layers' outputs are finite, and the first gradient that is not, from the loss backwards, is that of "
        "named/augmented/self_attention/output/bias, with inputs of up to 1e+06, logits of attention of up to "
    ) in text
    chosen = "fused" if keras.backend.backend() == "torch" else "dense"
    assert f' and implementation="{chosen}". What may help, each with another' in text
    assert "--config.warmup_fraction=0.1, --config.precision=float32" in text
    assert text.endswith("=dense") == (chosen == "fused")


@slow_on_jax
def test_a_distributed_run_is_not_looked_into():
    text = message(network(Overflowing(name="marker")), large=16, distribution="mirrored")
    assert "in one of the steps 11 to 21 of epoch 1" in text
    assert "there is no checkpoint yet. What may help" in text


@slow_on_jax
def test_what_is_finite_when_it_runs_again(monkeypatch):
    """As where a kernel is at fault in some places only: the batch with the large value is not drawn again."""
    task = Task.training_batches
    model = network(Overflowing(name="marker"))
    calls = []

    def other_batches(self, *arguments):
        calls.append(arguments)
        return task(self if len(calls) == 1 else Task(None), *arguments)

    monkeypatch.setattr(Task, "training_batches", other_batches)
    text = message(model, large=16)
    assert "in one of the steps 11 to 21 of epoch 1" in text
    assert "Run again, these steps are finite. What may help" in text


@slow_on_jax
def test_a_failure_of_the_search_does_not_hide_the_message(monkeypatch):
    monkeypatch.setattr("aa_keras.training.replay.find", lambda *_: 1 / 0)
    text = message(network(Overflowing(name="marker")), large=16)
    assert "in one of the steps 11 to 21" in text
    assert "to find out why, failed (ZeroDivisionError: division by zero). What may help" in text
