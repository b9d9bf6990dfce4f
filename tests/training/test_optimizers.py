"""The optimizers of recipes: what decays, what accumulates, and where rates end."""

import keras
import numpy as np
import pytest

from aa_keras.errors import UserError
from aa_keras.recipes import default_config
from aa_keras.recipes.checks import check_backend, check_config
from aa_keras.tasks import Classification
from aa_keras.training.optimization import SeveralRates, compile_model

pytestmark = pytest.mark.backend


def config_with(**fields):
    config = default_config()
    config.update(name="run", dataset="digits", builder="AAWideResNet", epochs=10, batch_size=256)
    config.update(learning_rate_per_256=0.1, warmup_fraction=0.0, momentum=0.0)
    config.update(fields)
    return config


class Several(Classification):
    """A task whose first layer learns at half the rate."""

    def prepare(self, model):
        return {variable.path: 0.5 if "first" in variable.path else 1.0 for variable in model.trainable_variables}


def network():
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(4, name="first"),
        keras.layers.LayerNormalization(name="normalization"),
        keras.layers.Dense(2, name="last"),
    ]
    return keras.Sequential([keras.Input((3,)), *layers], name="network")


def compiled(task_type=Classification, steps=1000, **fields):
    model = network()
    compile_model(model, task_type(config_with(**fields)), steps)
    model.optimizer.build(model.trainable_variables)
    return model


def applied(model, gradients):
    """The values of the weights after steps with these gradients, each the same number for all weights."""
    for gradient in gradients:
        zeros = [keras.ops.full(variable.shape, float(gradient)) for variable in model.trainable_variables]
        model.optimizer.apply(zeros, model.trainable_variables)
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables}


@pytest.mark.parametrize("task_type", [Classification, Several])
def test_adamw_decays_kernels_alone_and_apart_from_the_gradient(task_type):
    before = applied(network(), [])
    model = compiled(task_type, optimizer="adamw", weight_decay=0.5)
    assert not model.losses
    after = applied(model, [0.0])
    for path, value in before.items():
        rate = 0.05 if task_type is Several and "first" in path else 0.1
        factor = 1 - 0.5 * rate if path.endswith("kernel") else 1
        np.testing.assert_allclose(after[path], factor * value, rtol=1e-5, err_msg=path)


def test_the_fields_of_adam_are_those_of_the_recipe():
    for name, expected in (("adam", "Adam"), ("adamw", "AdamW")):
        optimizer = compiled(optimizer=name, momentum=0.8, beta_2=0.95, epsilon=1e-5).optimizer
        assert type(optimizer).__name__ == expected
        assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.8, 0.95, 1e-5)
    # Its decay of other optimizers is part of the loss.
    assert len(compiled(optimizer="adam", weight_decay=0.1).losses) == 2


@pytest.mark.parametrize("task_type", [Classification, Several])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_accumulated_gradients_are_one_update_with_their_mean(task_type, optimizer):
    fields = {"optimizer": optimizer, "weight_decay": 0.1, "learning_rate_per_256": 0.05}
    accumulated = compiled(task_type, steps=3 * 10**6, gradient_accumulation_steps=3, **fields)
    expected = compiled(task_type, steps=10**6, batch_size=768, **fields)
    first = applied(accumulated, [1.0, 4.0])
    for path, value in applied(network(), []).items():
        np.testing.assert_array_equal(first[path], value, err_msg=path)
    after, whole = applied(accumulated, [-2.0, 3.0, 0.0, 0.0]), applied(expected, [1.0, 1.0])
    for path, value in whole.items():
        np.testing.assert_allclose(after[path], value, rtol=1e-5, atol=1e-6, err_msg=path)


def test_the_schedule_of_accumulated_gradients_ends_with_the_run():
    optimizer = compiled(steps=90, gradient_accumulation_steps=3).optimizer
    for step, expected in ((0, 0.3), (45, 0.15), (90, 0.0)):
        optimizer._iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(expected, abs=1e-6)


def test_the_cosine_ends_at_a_fraction_of_the_highest_rate():
    optimizer = compiled(steps=100, warmup_fraction=0.1, final_learning_rate_fraction=0.2).optimizer
    rates = []
    for step in (5, 10, 55, 100):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.06, 0.02], rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"final_learning_rate_fraction": 0.1, "decay_epochs": (3,)}, "final_learning_rate_fraction must be 0 with"),
        ({"optimizer": "lion"}, "optimizer must be one of sgd, adam, adamw"),
        ({"epsilon": 0.0}, r"epsilon must be a number, above 0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps must be a whole number, at least 1"),
        ({"batch_size": "some"}, r"batch_size must be 'auto', or a whole number.*Received: batch_size='some'"),
        ({"class_weights": "even"}, "class_weights must be 'balanced', or a dictionary from names of classes"),
        ({"class_weights": {"cat": -1}}, "class_weights must be 'balanced', or a dictionary"),
        ({"time_limit": "8 hours"}, "time_limit must be a time such as '8h'"),
        ({"channels": 2}, "channels must be one of 1, 3"),
    ],
)
def test_values_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(UserError, match=f"config.{message}"):
        check_config(config_with(builder_arguments={"depth": 10, "width": 1}, **fields))


def test_what_keras_cannot_accumulate_is_refused():
    for fields in ({"distribution": "mirrored"}, {"distribution": "multihost", "batch_size": "auto"}):
        with pytest.raises(UserError, match=r"^config\."):
            check_backend(config_with(gradient_accumulation_steps=2, **fields))
    with pytest.raises(UserError, match=r"config\.clip_norm must be 0 with config\.gradient_accumulation_steps if"):
        compiled(Several, gradient_accumulation_steps=2, clip_norm=1.0)
    assert isinstance(compiled(Several, clip_norm=1.0).optimizer, SeveralRates)


def test_a_moving_average_spans_updates_and_not_steps():
    model = compiled(gradient_accumulation_steps=2, ema_momentum=0.25)
    assert model.optimizer.ema_momentum == 0.5
