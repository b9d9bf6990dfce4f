"""Class weights: scikit-learn's formula, names, mixed labels, and what is said about uneven classes."""

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from aa_keras.data import LabelledImages
from aa_keras.data.encoded import EncodedImages
from aa_keras.errors import UserError
from aa_keras.recipes import default_config
from aa_keras.tasks import class_balance

NAMES = ("cat", "dog", "owl")
LABELS = np.repeat([0, 1, 2], [30, 8, 2]).astype("int32")


def examples(labels=LABELS):
    return LabelledImages(np.zeros((len(labels), 2, 2, 1), "uint8"), labels)


def config_with(**fields):
    config = default_config()
    config.update(name="run", dataset="mine", builder="AAWideResNet", epochs=1, batch_size=4, learning_rate_per_256=0.1)
    config.update(fields)
    return config


def weights(labels=LABELS, **fields):
    return class_balance.weights_of(config_with(**fields), examples(labels), NAMES)


def test_balanced_weights_are_those_of_scikit_learn_with_the_mean_one_over_images():
    balanced = weights(class_weights="balanced")
    np.testing.assert_allclose(balanced, compute_class_weight("balanced", classes=np.arange(3), y=LABELS), rtol=1e-6)
    assert balanced[LABELS].mean() == pytest.approx(1, rel=1e-6)
    # A class without images changes nothing for the others.
    np.testing.assert_allclose(
        weights(LABELS[LABELS != 1], class_weights="balanced"), [32 / 60, 1.0, 32 / 4], rtol=1e-6
    )


def test_classes_that_a_dictionary_does_not_name_have_the_weight_one():
    np.testing.assert_array_equal(weights(class_weights={"owl": 5, "cat": 0.5}), [0.5, 1, 5])


def check(**fields):
    class_balance.check(config_with(**fields), examples(), NAMES)


def test_weights_of_unknown_classes_are_refused():
    check(class_weights={"owl": 5})
    with pytest.raises(
        UserError, match=r"class_weights must be for classes of the data set, which are cat, dog, owl\."
    ):
        check(class_weights={"eagle": 5})
    with pytest.raises(UserError, match="above 0 for one class at least"):
        check(class_weights={"cat": 0, "dog": 0.0})


class Streamed(EncodedImages):
    def __len__(self):
        return 9

    def records(self, order_key=None, shard=(0, 1), sampling="shuffle"):
        raise AssertionError("its labels are not known without reading it")

    relabelled = read = records


@pytest.mark.parametrize("field", ["class_weights", "sampling"])
def test_classes_that_are_not_known_before_they_are_read_cannot_be_balanced(field):
    with pytest.raises(UserError, match=rf"config\.{field} must be another value than 'balanced' for images that"):
        class_balance.check(config_with(**{field: "balanced"}), Streamed(), NAMES)
    assert class_balance.lines(config_with(), Streamed(), NAMES) == []


@pytest.mark.backend
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_weight_of_a_mixed_label_is_the_mix_of_weights(smoothing):
    loss = class_balance.WeightedCrossentropy(np.array([1.0, 2.0, 10.0], "float32"), smoothing)
    labels = np.array([[1, 0, 0], [0, 0, 1], [0, 0.75, 0.25]], "float32")
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    smoothed = labels * (1 - smoothing) + smoothing / 3
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = np.mean(-np.sum(smoothed * logarithms, axis=1) * [1, 10, 0.75 * 2 + 0.25 * 10])
    assert float(keras.ops.convert_to_numpy(loss(labels, logits))) == pytest.approx(expected, rel=1e-5)


def test_the_rarest_and_the_commonest_class_are_printed_and_uneven_ones_named():
    lines = class_balance.lines(config_with(), examples(), NAMES)
    assert lines[0] == "Training images of a class: 2 (owl) to 30 (cat)"
    assert "--config.class_weights=balanced" in lines[1]
    for fields in ({"class_weights": "balanced"}, {"class_weights": {"owl": 2}}, {"sampling": "balanced"}):
        assert class_balance.lines(config_with(**fields), examples(), NAMES) == lines[:1]
    # Nine times as many are not uneven.
    even = examples(np.repeat([0, 1, 2], [27, 8, 3]))
    assert len(class_balance.lines(config_with(), even, NAMES)) == 1
    assert len(class_balance.lines(config_with(), examples(np.repeat([0, 1, 2], [30, 8, 3])), NAMES)) == 2
