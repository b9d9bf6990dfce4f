"""The scores of a classifier beyond its accuracy: uneven classes, ranking, calibration, and how sure all of it is."""

import dataclasses

import numpy as np
from sklearn import metrics

# Resamples of the test images, from which the 95 % intervals come.
SAMPLES = 1000
# Bins of the confidence of predictions, of equal width.
BINS = 15


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of a classifier.

    Attributes:
        balanced_accuracy: mean of the recalls of the classes with images.
        macro_f1: mean of the F1 of the classes that are labelled or predicted.
        matthews_correlation: Matthews' correlation coefficient, from -1 to 1; 0 for chance.
        roc_auc: area under the ROC curve of one class against the rest, the mean of the classes with images; None
            unless there are images of several classes.
        expected_calibration_error: mean distance of confidence and accuracy, over `BINS` of confidence.
        precision: array (classes,), 0 for a class that is never predicted.
        recall: array (classes,), 0 for a class without images.
        f1: array (classes,), likewise.
        intervals: the 95 % intervals of "top1", "balanced_accuracy" and "macro_f1", pairs.
        reliability: array (bins, 3), mean confidence, accuracy and number of images of the bins that have some.
        roc_curve: for two classes, false and true positive rates of the second one, arrays; None for others.
    """

    balanced_accuracy: float
    macro_f1: float
    matthews_correlation: float
    roc_auc: float | None
    expected_calibration_error: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    intervals: dict[str, tuple[float, float]]
    reliability: np.ndarray
    roc_curve: tuple[np.ndarray, np.ndarray] | None = None

    def as_dictionary(self):
        """Returns the single numbers and their intervals as a dictionary of JSON."""
        names = ("balanced_accuracy", "macro_f1", "matthews_correlation", "roc_auc", "expected_calibration_error")
        intervals = {f"{name}_interval": list(interval) for name, interval in self.intervals.items()}
        return {**{name: getattr(self, name) for name in names}, **intervals}


def scores_of(probabilities, labels):
    """Returns the `Scores` of probabilities (examples, classes) against integer labels (examples,)."""
    classes = probabilities.shape[1]
    predicted = np.argmax(probabilities, axis=1)
    present = np.unique(labels)
    either = np.union1d(present, predicted)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), zero_division=0.0
    )
    right, confidence = predicted == labels, probabilities.max(axis=1)
    reliability = reliability_of(confidence, right)
    curve = None
    if classes == 2 and len(present) == 2:
        false_positives, true_positives, _ = metrics.roc_curve(labels, probabilities[:, 1])
        curve = false_positives, true_positives
    return Scores(
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[either].mean()),
        # scikit-learn warns of a single class.
        matthews_correlation=float(metrics.matthews_corrcoef(labels, predicted)) if len(either) > 1 else 0.0,
        roc_auc=_roc_auc(probabilities, labels, present),
        expected_calibration_error=float(
            np.sum(np.abs(reliability[:, 0] - reliability[:, 1]) * reliability[:, 2]) / len(labels)
        ),
        precision=precision,
        recall=recall,
        f1=f1,
        intervals=intervals_of(labels, predicted, classes),
        reliability=reliability,
        roc_curve=curve,
    )


def _roc_auc(probabilities, labels, present):
    """`roc_auc_score` of scikit-learn itself takes no class without images."""
    if len(present) < 2:
        return None
    return float(np.mean([metrics.roc_auc_score(labels == label, probabilities[:, label]) for label in present]))


def reliability_of(confidence, right):
    """Returns the mean confidence, the accuracy and the number of images of each bin of confidence that has some."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    images = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, values, minlength=BINS) for values in (confidence, right)]
    filled = images > 0
    return np.stack([*(values[filled] / images[filled] for values in sums), images[filled]], axis=1)


def intervals_of(labels, predicted, classes, seed=0):
    """Returns the 95 % intervals of "top1", "balanced_accuracy" and "macro_f1", by a bootstrap over the images.

    A sample of images, drawn with replacement, is a sample of the entries of the confusion matrix.
    """
    pairs, images = np.unique(labels.astype(np.int64) * classes + predicted, return_counts=True)
    true, taken_for = pairs // classes, pairs % classes
    right = true == taken_for
    samples = np.random.default_rng(seed).multinomial(len(labels), images / len(labels), size=SAMPLES)
    values = {"top1": [], "balanced_accuracy": [], "macro_f1": []}
    for sample in samples:
        of_class = np.bincount(true, sample, minlength=classes)
        as_class = np.bincount(taken_for, sample, minlength=classes)
        found = np.bincount(true[right], sample[right], minlength=classes)
        values["top1"].append(found.sum() / len(labels))
        values["balanced_accuracy"].append(np.mean(found[of_class > 0] / of_class[of_class > 0]))
        either = of_class + as_class
        values["macro_f1"].append(np.mean(2 * found[either > 0] / either[either > 0]))
    return {name: tuple(map(float, np.percentile(of_name, (2.5, 97.5)))) for name, of_name in values.items()}
