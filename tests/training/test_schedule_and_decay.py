"""The learning rate by hand at each step that matters, and what weight decay does to a loss and to an update."""

import math

import keras
import numpy as np
import pytest

from aa_keras.applications import AAWideResNet
from aa_keras.recipes import default_config
from aa_keras.tasks import Classification
from aa_keras.training.optimization import add_weight_decay, compile_model

pytestmark = pytest.mark.jax

WEIGHT_DECAY = 0.03


def config_with(**fields):
    config = default_config()
    config.update(epochs=10, batch_size=64, learning_rate_per_256=0.2, momentum=0.9, weight_decay=0.0)
    config.update(fields)
    return config


def dense_model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(6)])


def task_with(**fields):
    return Classification(config_with(**fields))


def learning_rates(steps, at, **fields):
    """The learning rates of a compiled model at some of its steps."""
    model = dense_model()
    compile_model(model, task_with(**fields), steps)
    rates = []
    for step in at:
        model.optimizer.iterations.assign(step)
        rates.append(float(model.optimizer.learning_rate))
    return rates


# 0.2 for each 256 images: 0.05 for 64.
def test_warmup_is_linear_from_zero_and_the_cosine_ends_at_zero():
    steps, warmup = 200, 10  # 5 %
    at = [0, 1, 5, 10, 11, 57, 105, 150, 199, 200]
    expected = [
        0.05 * step / warmup
        if step < warmup
        else 0.05 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
        for step in at
    ]
    np.testing.assert_allclose(learning_rates(steps, at), expected, rtol=1e-5, atol=1e-8)
    # In the middle of the cosine it is half of what it was.
    assert expected[at.index(105)] == pytest.approx(0.025)
    assert (expected[0], expected[3], expected[-1]) == (0, 0.05, 0)


def test_the_rate_grows_with_the_batch():
    assert learning_rates(100, [5], batch_size=256) == pytest.approx([0.2])
    assert learning_rates(100, [5], batch_size=1024) == pytest.approx([0.8])


def test_without_warmup_the_cosine_begins_at_once():
    rates = learning_rates(100, [0, 50, 100], warmup_fraction=0.0)
    np.testing.assert_allclose(rates, [0.05, 0.025, 0], rtol=1e-5, atol=1e-8)


def test_warmup_may_take_any_share_of_the_steps():
    rates = learning_rates(40, [0, 5, 10, 25, 40], warmup_fraction=0.25)
    np.testing.assert_allclose(rates, [0, 0.025, 0.05, 0.025, 0], atol=1e-8)


def test_a_run_of_one_step_has_a_rate():
    assert learning_rates(1, [0]) == pytest.approx([0.05])


def test_decay_epochs_divide_the_rate_by_ten_each_after_the_warmup():
    # Ten epochs of 20 steps: warm-up through the first 10, divided in steps 60 and 160.
    at = [0, 5, 10, 59, 61, 159, 161, 199]
    expected = [0, 0.025, 0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005]
    np.testing.assert_allclose(learning_rates(200, at, decay_epochs=(3, 8)), expected, rtol=1e-5, atol=1e-9)


def test_momentum_is_the_configs():
    model = dense_model()
    compile_model(model, task_with(momentum=0.7, warmup_fraction=0.0), 1000)
    model.optimizer.build(model.trainable_variables)
    kernel = model.layers[0].kernel
    kernel.assign(np.zeros((3, 6)))
    for _ in range(2):
        model.optimizer.apply([keras.ops.ones((3, 6)), keras.ops.zeros(6)])
    # The second update has 0.7 of the first in it; rates hardly differ in so few of 1000 steps.
    np.testing.assert_allclose(kernel, -0.05 * (1 + (1 + 0.7)) * np.ones((3, 6)), rtol=1e-4)


def an_augmented_network():
    """Convolutions with and without attention, tables, a projection, a dense layer with a bias, batch normalization."""
    arguments = {"classes": 5, "classifier_activation": None, "attention_stages": (3,), "shortcut": "projection"}
    model = AAWideResNet(10, 1, input_shape=(8, 8, 3), **arguments)
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.1, 0.3, size=weight.shape) for weight in model.weights])
    return model


def update_by(gradients, **fields):
    """The change of kernel and bias in the first step of an optimizer, at a learning rate of 0.05."""
    model = dense_model()
    compile_model(model, task_with(warmup_fraction=0.0, **fields), 10**6)
    before = model.get_weights()
    gradients = [keras.ops.convert_to_tensor(np.float32(gradient)) for gradient in gradients]
    model.optimizer.apply(gradients, model.trainable_variables)
    return [new - old for old, new in zip(before, model.get_weights(), strict=True)]


def test_gradients_are_scaled_down_together_to_the_norm():
    gradients = np.full((3, 6), 2.0), np.full((6,), -1.0)
    norm = math.sqrt(18 * 4 + 6)
    for clip_norm, factor in ((0.0, 1.0), (100.0, 1.0), (3.0, 3.0 / norm)):
        kernel, bias = update_by(gradients, clip_norm=clip_norm)
        np.testing.assert_allclose(kernel, -0.05 * 2.0 * factor, rtol=1e-4)
        np.testing.assert_allclose(bias, 0.05 * factor, rtol=1e-4)


def test_adam_steps_by_the_rate_whatever_the_gradient():
    kernel, bias = update_by((np.full((3, 6), 7.0), np.full((6,), -0.01)), optimizer="adam")
    np.testing.assert_allclose(kernel, -0.05, rtol=1e-3)
    np.testing.assert_allclose(bias, 0.05, rtol=1e-3)


def test_decay_is_half_the_rate_times_the_squares_of_kernels_and_of_nothing_else():
    model = an_augmented_network()
    assert model.losses == []
    add_weight_decay(model, WEIGHT_DECAY)
    kernels = [weight for weight in model.trainable_weights if weight.path.endswith("kernel")]
    # Stem; two convolutions in each of three blocks, and attention's two in one; two projections; the classifier.
    assert len(kernels) == 1 + 3 * 2 + 2 + 2 + 1
    squares = sum(np.sum(kernel.numpy().astype("float64") ** 2) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(WEIGHT_DECAY / 2 * squares, rel=1e-5)


def test_no_decay_adds_nothing():
    model = an_augmented_network()
    add_weight_decay(model, 0.0)
    assert model.losses == []


def test_decay_shrinks_kernels_by_its_share_and_leaves_the_rest():
    """One step on the same images, with and without: the update differs by rate * decay * kernel."""
    images = np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype("float32")
    after = []
    for weight_decay in (0.0, WEIGHT_DECAY):
        model = an_augmented_network()
        before = [weight.numpy() for weight in model.trainable_weights]
        compile_model(model, task_with(weight_decay=weight_decay, warmup_fraction=0.0, learning_rate_per_256=4.0), 10)
        model.run_eagerly = True  # one step is not worth a graph
        model.train_on_batch(images, np.eye(5)[:4])
        after.append([weight.numpy() for weight in model.trainable_weights])
    for weight, start, plain, decayed in zip(model.trainable_weights, before, *after, strict=True):
        assert np.abs(plain - start).max() > 0
        shrunk = WEIGHT_DECAY * start if weight.name == "kernel" else np.zeros_like(start)
        np.testing.assert_allclose(plain - decayed, shrunk, atol=2e-6, err_msg=weight.path)


def test_the_loss_reported_is_with_decay_and_the_metrics_are_without():
    model = dense_model()
    model.layers[0].kernel.assign(np.zeros((3, 6)) + 0.5)
    compile_model(model, task_with(weight_decay=WEIGHT_DECAY), 10)
    logs = model.evaluate(np.zeros((2, 3)), np.eye(6)[[0, 5]], verbose=0, return_dict=True)
    # Logits that are all the same: the cross-entropy is that of a uniform guess.
    assert logs["cross_entropy"] == pytest.approx(math.log(6), rel=1e-5)
    assert logs["loss"] == pytest.approx(math.log(6) + WEIGHT_DECAY / 2 * 18 * 0.25, rel=1e-5)
    assert set(logs) == {"loss", "cross_entropy", "top1", "top5"}


def test_metrics_are_the_shares_of_images_among_the_first_and_the_first_five():
    model = dense_model()
    compile_model(model, task_with(), 10)
    model.layers[0].set_weights([np.zeros((3, 6)), np.array([0, 5, 4, 3, 2, 1])])
    logs = model.evaluate(np.zeros((4, 3)), np.eye(6)[[1, 2, 5, 0]], verbose=0, return_dict=True)
    assert (logs["top1"], logs["top5"]) == (0.25, 0.75)


def test_with_up_to_five_classes_there_is_no_top5():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    compile_model(model, task_with(), 10)
    logs = model.evaluate(np.zeros((4, 3)), np.eye(5)[[0, 0, 1, 1]], verbose=0, return_dict=True)
    assert set(logs) == {"loss", "cross_entropy", "top1"}
    assert logs["top1"] == 0.5


def test_label_smoothing_is_in_the_loss_and_not_in_the_metrics():
    model = dense_model()
    compile_model(model, task_with(label_smoothing=0.3), 10)
    model.layers[0].set_weights([np.zeros((3, 6)), np.array([2.0, 0, 0, 0, 0, 0])])
    logs = model.evaluate(np.zeros((1, 3)), np.eye(6)[[0]], verbose=0, return_dict=True)
    normalizer = math.log(math.exp(2) + 5)
    assert logs["cross_entropy"] == pytest.approx(normalizer - 2, rel=1e-5)
    # Each class gets 0.3 / 6; only the first one has a logit.
    assert logs["loss"] == pytest.approx(normalizer - 2 * (0.7 + 0.3 / 6), rel=1e-5)


def test_the_moving_average_has_the_recipes_momentum():
    model = dense_model()
    compile_model(model, task_with(ema_momentum=0.75, warmup_fraction=0.0), 1000)
    model.optimizer.build(model.trainable_variables)
    kernel = model.layers[0].kernel
    values = []
    for _ in range(3):
        model.optimizer.apply([keras.ops.ones((3, 6)), keras.ops.zeros(6)])
        values.append(keras.ops.convert_to_numpy(kernel))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    expected = 0.75 * (0.75 * values[0] + 0.25 * values[1]) + 0.25 * values[2]
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)
