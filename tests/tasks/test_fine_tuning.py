"""Training from trained weights: what they decide, what is frozen, and the learning rates of the rest."""

import keras
import numpy as np
import pytest

import aa_keras
from aa_keras import applications, recipes
from aa_keras.errors import UserError
from aa_keras.recipes.checks import check_config
from aa_keras.tasks import resolved, task_for
from aa_keras.training import train_and_evaluate
from aa_keras.training.callbacks import EpochRecorder
from aa_keras.training.optimization import compile_model

STATISTICS = {"mean": (70.0,), "std": (90.0,), "central_fraction": 0.9, "interpolation": "bicubic"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder with the weights of a plain network."""
    folder = tmp_path_factory.mktemp("weights") / "plain"
    keras.utils.set_random_seed(7)  # another than any test's own
    model = applications.WideResNet(10, 1, input_shape=(8, 8, 1), classes=10)
    aa_keras.save_pretrained(model, folder, **STATISTICS)
    return folder


def config_of(weights, **fields):
    config = recipes.default_config()
    config.update(name="run", dataset="digits", builder="AAWideResNet", epochs=2, batch_size=32, steps_per_epoch=2)
    config.update(learning_rate_per_256=0.1, weights=str(weights))
    config.update({"builder_arguments": {"depth": 10, "width": 1, "num_heads": 2}, **fields})
    check_config(config)
    return config


def prepared(config):
    """The network that training starts with, compiled, and the factors of its variables' learning rates."""
    task = task_for(resolved(config))
    model = task.training_model()
    multipliers = task.prepare(model)
    compile_model(model, task, steps=10)
    return model, multipliers


def test_what_weights_decide_is_written_into_the_config(plain):
    config = config_of(plain)
    settled = resolved(config)
    assert (settled.image_mean, settled.image_std) == ((70.0,), (90.0,))
    assert (settled.central_fraction, settled.interpolation) == (0.9, "bicubic")
    assert config.image_mean is None
    task = task_for(settled)
    assert (task.preprocessing.mean, task.preprocessing.std) == ((70.0,), (90.0,))
    assert (task.preprocessing.central_fraction, task.preprocessing.interpolation) == (0.9, "bicubic")
    assert task.servable(task.inference_model()).spec.preprocessing.mean == (70.0,)
    own = resolved(config_of(plain, image_mean=(1.0,), image_std=(2.0,)))
    assert (own.image_mean, own.image_std) == ((1.0,), (2.0,))  # what the recipe says counts


def test_training_begins_with_the_weights(plain):
    model, _ = prepared(config_of(plain))
    theirs = keras.models.load_model(plain / "model.keras")
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, theirs.get_layer("stem_conv").kernel)


def test_networks_without_the_weights_pad_as_these_were_trained(tmp_path):
    """Otherwise the network would be evaluated in another way, without an error."""
    small = {"depth": 18, "width": 8, "blocks": (1, 1, 1, 1)}
    model = applications.ResNet(**small, input_shape=(8, 8, 1), classes=10, padding="symmetric")
    aa_keras.save_pretrained(model, tmp_path / "symmetric", mean=(1.0,), std=(1.0,))
    config = config_of(tmp_path / "symmetric", builder="ResNet", builder_arguments=small)
    assert "padding" not in config.builder_arguments
    settled = resolved(config)
    assert settled.builder_arguments.padding == "symmetric"
    assert "stem_conv_pad" in {layer.name for layer in task_for(settled).inference_model().layers}


def names_of_trainable_layers(model):
    return {layer.name for layer in model.layers if layer.trainable_variables}


def test_a_frozen_backbone_leaves_the_head_and_what_is_new(plain):
    model, _ = prepared(config_of(plain, freeze="backbone"))
    augmented = {f"stage{stage}_block1_conv1" for stage in (1, 2, 3)}
    followers = {f"stage{stage}_block1_bn2" for stage in (1, 2, 3)}
    assert names_of_trainable_layers(model) == augmented | followers | {"predictions"}
    for name in augmented:
        assert model.get_layer(name).convolution.trainable_variables == []
        assert len(model.get_layer(name).self_attention.trainable_variables) == 4


def test_a_frozen_network_with_attention_of_its_own_stays_so(tmp_path):
    network = applications.AAWideResNet(10, 1, num_heads=2, input_shape=(8, 8, 1), classes=10)
    aa_keras.save_pretrained(network, tmp_path / "augmented", mean=(1.0,), std=(1.0,))
    model, _ = prepared(config_of(tmp_path / "augmented", freeze="backbone"))
    assert names_of_trainable_layers(model) == {"predictions"}


def test_stages_are_frozen_by_number(plain):
    model, _ = prepared(config_of(plain, freeze="stem,1"))
    frozen = {layer.name for layer in model.layers if layer.weights} - names_of_trainable_layers(model)
    assert "stem_conv" in frozen
    assert {name.split("_")[0] for name in frozen} == {"stem", "stage1"}
    with pytest.raises(
        UserError, match=r"^config\.freeze must be 'none', 'backbone', or some of stem, 1, 2, 3.*stem,7"
    ):
        prepared(config_of(plain, freeze="stem,7"))


def test_stages_learn_at_rates_of_their_own(plain):
    model, multipliers = prepared(config_of(plain, layer_decay=0.5, head_learning_rate_multiplier=8.0))
    assert set(multipliers) == {variable.path for variable in model.trainable_variables}
    expected = {"stem": 1 / 16, "stage1": 1 / 8, "stage2": 1 / 4, "stage3": 1 / 2, "final": 1 / 2, "predictions": 8.0}
    for path, multiplier in multipliers.items():
        is_new = "self_attention" in path
        assert multiplier == (8.0 if is_new else expected[path.split("_")[0].split("/")[0]]), path


def updates(model, optimizer):
    """The updates of an optimizer for gradients of one, over two steps."""
    before = [np.array(variable) for variable in model.trainable_variables]
    for _ in range(2):
        optimizer.apply([keras.ops.ones(variable.shape) for variable in model.trainable_variables])
    return [np.array(variable) - old for variable, old in zip(model.trainable_variables, before, strict=True)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_rates_are_multiples_of_what_they_would_be(plain, optimizer):
    """Clipped together: the norm is that of all gradients."""
    fields = {"optimizer": optimizer, "clip_norm": 2.0, "warmup_fraction": 0.0}
    usual, _ = prepared(config_of(plain, **fields))
    model, multipliers = prepared(config_of(plain, **fields, layer_decay=0.5, head_learning_rate_multiplier=8.0))
    for optimized in (usual, model):
        optimized.optimizer.build(optimized.trainable_variables)
    expected, found = updates(usual, usual.optimizer), updates(model, model.optimizer)
    for variable, one, other in zip(model.trainable_variables, expected, found, strict=True):
        np.testing.assert_allclose(other, multipliers[variable.path] * one, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 8 * float(usual.optimizer.learning_rate))


@pytest.mark.slow
def test_a_run_of_several_rates_resumes(plain, tmp_path):
    fields = {"head_learning_rate_multiplier": 4.0, "layer_decay": 0.5, "ema_momentum": 0.9, "freeze": "stem"}
    whole = train_and_evaluate(config_of(plain, **fields), tmp_path / "whole")
    interrupted = config_of(plain, **fields)

    def stop():
        raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochRecorder, "on_epoch_begin", lambda self, epoch, logs=None: epoch and stop())
        patch.setattr(EpochRecorder, "_seconds", 1.0, raising=False)
        patch.setattr(EpochRecorder, "on_train_batch_end", lambda self, batch, logs=None: None)
        with pytest.raises(InterruptedError):
            train_and_evaluate(interrupted, tmp_path / "again")
    resumed = train_and_evaluate(interrupted, tmp_path / "again")
    assert resumed["cross_entropy"] == pytest.approx(whole["cross_entropy"], rel=1e-5)
    assert resumed["averaged"]["cross_entropy"] == pytest.approx(whole["averaged"]["cross_entropy"], rel=1e-5)
    model = keras.models.load_model(tmp_path / "again" / "model.keras")
    theirs = keras.models.load_model(plain / "model.keras")
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, theirs.get_layer("stem_conv").kernel)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"weights": "nowhere.keras"}, r"^config\.weights: `weights` must be None, the path .*nowhere\.keras"),
        ({"freeze": "head"}, r"^config\.freeze must be 'none', 'backbone', or stages .*Received: freeze='head'"),
        ({"freeze": "backbone", "weights": None}, r"^config\.freeze must be 'none' without config\.weights"),
        ({"layer_decay": 0.0}, r"^config\.layer_decay must be a number, above 0"),
        ({"head_learning_rate_multiplier": 0.0}, r"^config\.head_learning_rate_multiplier must be a number, above 0"),
        ({"image_mean": (1.0,)}, r"^config\.image_std must be as long as config\.image_mean"),
        ({"image_mean": (1.0,), "image_std": (0.0,)}, r"^config\.image_std must be a tuple of a number above 0"),
        ({"interpolation": "nearest"}, r"^config\.interpolation must be one of bilinear, bicubic"),
    ],
)
def test_a_mistake_is_reported_by_its_field(fields, error, plain, tmp_path):
    config = config_of(plain)
    config.update(fields)
    with pytest.raises(UserError, match=error) as caught:
        train_and_evaluate(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
