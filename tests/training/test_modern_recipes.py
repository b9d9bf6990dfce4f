"""The additions of the modern recipes, all in one run, on the current backend."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers.training import tiny_config

from aa_keras.data import LabelledImages, load_dataset
from aa_keras.errors import UserError
from aa_keras.tasks import Classification, classification
from aa_keras.training import callbacks, train_and_evaluate

pytestmark = pytest.mark.jax

MODERN = {
    "rand_augment_operations": 2,
    "rand_augment_magnitude": 0.4,
    "mixup_alpha": 0.2,
    "cutmix_alpha": 1.0,
    "label_smoothing": 0.1,
    "ema_momentum": 0.5,
    "export": False,
}


@pytest.fixture
def colour_digits(monkeypatch):
    """The digits with three channels, and as few as a batch for validation and test."""
    digits = load_dataset("digits")

    def coloured(images, number):
        return LabelledImages(np.repeat(images.images[:number], 3, axis=-1), images.labels[:number])

    dataset = dataclasses.replace(
        digits,
        train=coloured(digits.train, 200),
        validation=coloured(digits.validation, 30),
        test=coloured(digits.test, 50),
    )
    monkeypatch.setattr(Classification, "dataset", dataset)
    return dataset


def test_the_recipes_fields_get_where_they_belong(colour_digits, monkeypatch):
    task = Classification(tiny_config(**MODERN))
    assert (task.preprocessing.policy.operations, task.preprocessing.policy.magnitude) == (2, 0.4)
    mixings = []
    monkeypatch.setattr(classification, "Mixing", lambda *arguments: mixings.append(arguments))
    task.training_batches(range(1), 3, (0, 1))
    assert mixings == [(10, 0.2, 1.0)]
    assert Classification(tiny_config()).preprocessing.policy is None
    monkeypatch.setattr(Classification, "dataset", load_dataset("digits"))
    with pytest.raises(UserError, match=r"rand_augment_operations must be 0 for grey images"):
        _ = Classification(tiny_config(**MODERN)).preprocessing


@pytest.mark.slow
def test_a_run_with_all_of_them_is_resumed_exactly(colour_digits, tmp_path, monkeypatch):
    config = tiny_config(**MODERN)
    expected = train_and_evaluate(config, tmp_path / "whole")
    assert np.isfinite(expected["cross_entropy"])

    def killed(path, history):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "write_metrics", killed)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(config, tmp_path / "run")
    keras.utils.set_random_seed(3)
    result = train_and_evaluate(config, tmp_path / "run")
    for name in ("cross_entropy", "top1", "averaged", "best_validation_top1"):
        assert result[name] == expected[name]
