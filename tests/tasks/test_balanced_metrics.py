"""Balanced accuracy and macro F1 in training: scikit-learn's, over batches, without the images that pad them."""

import warnings

import numpy as np
import pytest
from sklearn import metrics

from aa_keras.tasks.balanced_metrics import BalancedAccuracy, MacroF1

pytestmark = pytest.mark.backend

SCORES = {
    BalancedAccuracy: metrics.balanced_accuracy_score,
    MacroF1: lambda labels, predicted: metrics.f1_score(labels, predicted, average="macro"),
}


@pytest.mark.parametrize("metric_type", SCORES)
@pytest.mark.parametrize("classes", [6, 8])  # of which two more have no images
def test_they_are_those_of_scikit_learn(metric_type, classes):
    random = np.random.default_rng(classes)
    labels = random.choice(6, 90, p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.02])
    logits = random.normal(size=(90, classes)) + 1.5 * np.eye(classes)[labels]
    padded_labels, padded = np.append(labels, [0] * 6), np.append(logits, np.zeros((6, classes)), axis=0)
    weights = np.array([1.7] * 90 + [0.0] * 6, "float32")  # as of padded batches
    metric = metric_type(classes, "score")
    for start in range(0, 96, 16):
        part = slice(start, start + 16)
        targets = np.eye(classes, dtype="float32")[padded_labels[part]]
        metric.update_state(targets, padded[part].astype("float32"), sample_weight=weights[part])
    with warnings.catch_warnings(action="ignore"):  # classes without images
        expected = SCORES[metric_type](labels, logits.argmax(axis=1))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 0
