"""The scores of a classifier against scikit-learn and plain loops, and their intervals."""

import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from aa_keras.evaluation import score_pictures
from aa_keras.evaluation.classification import measure
from aa_keras.evaluation.scores import intervals_of, scores_of

CLASSES = 5


def predictions(images=400, classes=CLASSES, seed=0):
    """Labels of uneven classes, and probabilities that are right two times of three."""
    random = np.random.default_rng(seed)
    labels = random.choice(
        classes, images, p=np.array([2.0**-index for index in range(classes)]) / (2 - 2 ** (1 - classes))
    )
    logits = 1.5 * random.normal(size=(images, classes)) + 2 * np.eye(classes)[labels]
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("float32"), labels


def test_scores_are_those_of_scikit_learn():
    probabilities, labels = predictions()
    predicted, scores = probabilities.argmax(axis=1), scores_of(probabilities, labels)
    expected = {
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
        "matthews_correlation": metrics.matthews_corrcoef(labels, predicted),
        "roc_auc": metrics.roc_auc_score(labels, probabilities.astype("float64"), multi_class="ovr", average="macro"),
    }
    for name, value in expected.items():
        assert getattr(scores, name) == pytest.approx(value, abs=1e-6), name
    report = metrics.classification_report(labels, predicted, output_dict=True)
    for name, values in (("precision", scores.precision), ("recall", scores.recall), ("f1-score", scores.f1)):
        np.testing.assert_allclose(values, [report[str(label)][name] for label in range(CLASSES)])
    assert scores.roc_curve is None


def test_a_class_without_images_is_left_out_of_means():
    probabilities, labels = predictions()
    labels[labels == 3] = 0
    predicted, scores = probabilities.argmax(axis=1), scores_of(probabilities, labels)
    with warnings.catch_warnings(action="ignore"):
        assert scores.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert scores.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert 0.5 < scores.roc_auc < 1
    # As one that is not predicted either.
    with_another = scores_of(np.append(probabilities, np.zeros((len(labels), 1)), axis=1), labels)
    assert with_another.macro_f1 == pytest.approx(scores.macro_f1)
    assert with_another.intervals == scores.intervals
    with warnings.catch_warnings(action="error"):
        alone = scores_of(np.eye(CLASSES)[[0, 0]], np.array([0, 0]))
    assert (alone.roc_auc, alone.matthews_correlation, alone.balanced_accuracy) == (None, 0, 1)


def test_the_calibration_error_is_that_of_plain_loops():
    probabilities, labels = predictions()
    expected, bins = 0.0, [[] for _ in range(15)]
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        bins[min(int(max(row) * 15), 14)].append((max(row), row.index(max(row)) == label))
    for inside in filter(None, bins):
        confidence, right = zip(*inside, strict=True)
        expected += len(inside) / len(labels) * abs(np.mean(confidence) - np.mean(right))
    scores = scores_of(probabilities, labels)
    assert scores.expected_calibration_error == pytest.approx(expected, abs=1e-6)
    assert scores.reliability[:, 2].sum() == 400
    certain = np.eye(CLASSES, dtype="float32")[labels]
    assert scores_of(certain, labels).expected_calibration_error == 0


def test_intervals_are_those_of_a_bootstrap_over_images():
    probabilities, labels = predictions()
    predicted = probabilities.argmax(axis=1)
    random, values = np.random.default_rng(1), []
    with warnings.catch_warnings(action="ignore"):
        for _ in range(500):
            chosen = random.integers(400, size=400)
            sample = labels[chosen], predicted[chosen]
            balanced, f1 = metrics.balanced_accuracy_score(*sample), metrics.f1_score(*sample, average="macro")
            values.append((metrics.accuracy_score(*sample), balanced, f1))
    intervals = intervals_of(labels, predicted, CLASSES)
    for (name, interval), expected in zip(intervals.items(), np.percentile(values, (2.5, 97.5), axis=0).T, strict=True):
        np.testing.assert_allclose(interval, expected, atol=0.012, err_msg=name)
    assert intervals == intervals_of(labels, predicted, CLASSES)


def test_an_evaluation_has_them_in_its_files(tmp_path):
    probabilities, labels = predictions(classes=2)
    result = measure(probabilities, labels)
    assert "roc_curve.png" in result.files
    assert "roc_curve.png" not in measure(*predictions()).files
    assert result.numbers()["balanced_accuracy"] == result.scores.balanced_accuracy
    assert result.numbers()["top1_interval"] == list(result.scores.intervals["top1"])
    false_positives, true_positives, _ = metrics.roc_curve(labels, probabilities[:, 1])
    np.testing.assert_array_equal(result.scores.roc_curve, (false_positives, true_positives))
    score_pictures.plot_roc(result.scores, ("cat", "$dog"), tmp_path / "roc.png")
    score_pictures.plot_reliability(result.scores, tmp_path / "reliability.png")
    for name in ("roc.png", "reliability.png"):
        with Image.open(tmp_path / name) as drawn:
            assert len(drawn.convert("RGB").getcolors(2**24)) > 20
