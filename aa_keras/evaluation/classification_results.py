"""The results of a classifier: metrics, the classes that it confuses, its most confident mistakes."""

import csv
import dataclasses
import io
from typing import ClassVar

import numpy as np

from aa_keras.data import Progress
from aa_keras.evaluation import comparison, pictures, score_pictures
from aa_keras.evaluation.confusion import most_confused
from aa_keras.evaluation.html_report import Section, picture
from aa_keras.evaluation.results import Results
from aa_keras.evaluation.scores import Scores
from aa_keras.explain.mistakes import plot_mistakes
from aa_keras.files import write_json, write_whole


@dataclasses.dataclass(frozen=True)
class Mistake:
    """An image with a wrong prediction.

    Attributes:
        image: the image as the classifier saw it.
        label: its class.
        prediction: the predicted class.
        confidence: the probability of that class.
    """

    image: np.ndarray
    label: int
    prediction: int
    confidence: float


@dataclasses.dataclass(frozen=True)
class Evaluation(Results):
    """The results of a classifier.

    Attributes:
        examples: number of images.
        top1: share of the images whose class had the highest probability.
        top5: share of the images whose class was among the five with the highest probabilities.
        cross_entropy: the mean, in nats.
        per_class_accuracy: top-1 accuracy for the images of each class; NaN for a class without images.
        confusion: integer array (classes, classes), images by true class (rows) and predicted class (columns).
        scores: `aa_keras.evaluation.scores.Scores`, for uneven classes, ranking and calibration.
        mistakes: the most confident mistakes, the worst first.
        dataset: name of the data set.
        class_names: names of the classes.
        mean: mean of each channel with which the images of `mistakes` were normalized, for pixels in [0, 255].
        std: standard deviation of each channel, likewise.
    """

    examples: int
    top1: float
    top5: float
    cross_entropy: float
    per_class_accuracy: np.ndarray
    confusion: np.ndarray
    scores: Scores
    mistakes: tuple[Mistake, ...] = ()
    dataset: str = ""
    class_names: tuple[str, ...] = ()
    mean: np.ndarray | float = 0.0
    std: np.ndarray | float = 1.0

    FILES: ClassVar = (
        *("class_accuracy.png", "classification.csv", "confusion_matrix.png", "evaluation.json", "mistakes.png"),
        *("reliability.png", "roc_curve.png"),
    )

    @property
    def files(self):
        """The `FILES` that are written: the ROC curve is that of two classes."""
        return tuple(name for name in self.FILES if name != "roc_curve.png" or self.scores.roc_curve is not None)

    def summary(self):
        """Returns the results as a phrase; without top-5 for up to five classes, where it is always 100 %."""
        top5 = f"top-5 {self.top5:.2%}, " if len(self.confusion) > 5 else ""
        return f"top-1 {self.top1:.2%}, {top5}cross-entropy {self.cross_entropy:.4f} ({self.examples:,} images)"

    def numbers(self):
        """Returns the fields of a run's `result.json`."""
        return {
            "top1": self.top1,
            "top5": self.top5,
            "cross_entropy": self.cross_entropy,
            **self.scores.as_dictionary(),
            "test_examples": self.examples,
        }

    def save(self, folder):
        """Writes the results as JSON, CSV and pictures, the `files`, into an existing folder."""
        names, scores = self.class_names, self.scores
        write_json(folder / "evaluation.json", self._as_dictionary())
        write_whole(folder / "classification.csv", self._as_csv())
        with Progress("Drawing pictures"):
            pictures.plot_confusion(self.confusion, names, folder / "confusion_matrix.png")
            pictures.plot_class_accuracy(self.per_class_accuracy, names, folder / "class_accuracy.png")
            pictures.plot_mistakes(self.mistakes, names, self.mean, self.std, folder / "mistakes.png")
            score_pictures.plot_reliability(scores, folder / "reliability.png")
            if scores.roc_curve is not None:
                score_pictures.plot_roc(scores, names, folder / "roc_curve.png")

    def _as_csv(self):
        """Returns a line for each class: its images, and its precision, recall and F1."""
        scores, images = self.scores, self.confusion.sum(axis=1)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("class", "images", "precision", "recall", "f1"))
        for index, name in enumerate(self.class_names):
            shares = (values[index] for values in (scores.precision, scores.recall, scores.f1))
            writer.writerow((name, int(images[index]), *(round(float(share), 6) for share in shares)))
        return text.getvalue()

    def _as_dictionary(self):
        names = self.class_names
        return {
            "dataset": self.dataset,
            "examples": self.examples,
            "top1": self.top1,
            "top5": self.top5,
            "cross_entropy": self.cross_entropy,
            **self.scores.as_dictionary(),
            "per_class_accuracy": {
                name: None if np.isnan(accuracy) else float(accuracy)
                for name, accuracy in zip(names, self.per_class_accuracy, strict=True)
            },
            "most_confused": [
                {"class": names[pair.label], "taken_for": names[pair.prediction], "images": pair.images, "of": pair.of}
                for pair in most_confused(self.confusion)
            ],
        }

    def lines(self, count=3):
        """Returns lines with scores, the worst and the best classes, all if there are few, and those confused."""
        names, accuracies = self.class_names, self.per_class_accuracy
        order = [index for index in np.argsort(accuracies) if self.confusion[index].sum()]
        extremes = {"Worst classes": order[:count], "Best classes": order[: -count - 1 : -1]}
        lines = [
            f"{title}: {', '.join(f'{names[index]} {accuracies[index]:.1%}' for index in indices)}"
            for title, indices in (extremes if len(order) > 2 * count else {"Classes, the worst first": order}).items()
        ]
        pairs = most_confused(self.confusion, count)
        confused = [f"Most confused: {', '.join(pair.described(names) for pair in pairs)}"] if pairs else []
        scores = (f"{name} {value}{_between(interval)}" for name, value, interval in self._scored())
        return [f"With 95 % intervals: {', '.join(scores)}", *lines, *confused]

    @property
    def missed_classes(self):
        """Names of the classes of which there are test images, and none was recognized."""
        return [name for name, recall in zip(self.class_names, self.per_class_accuracy, strict=True) if recall == 0]

    def _scored(self):
        """Returns the scores as text: triples of name, value and 95 % interval or ""."""
        scores = self.scores
        area = "none" if scores.roc_auc is None else f"{scores.roc_auc:.3f}"
        return (
            ("top-1", f"{self.top1:.1%}", _interval(scores.intervals["top1"])),
            ("balanced accuracy", f"{scores.balanced_accuracy:.1%}", _interval(scores.intervals["balanced_accuracy"])),
            ("macro F1", f"{scores.macro_f1:.1%}", _interval(scores.intervals["macro_f1"])),
            ("Matthews correlation", f"{scores.matthews_correlation:.3f}", ""),
            ("area under ROC", area, ""),
            ("calibration error", f"{scores.expected_calibration_error:.1%}", ""),
        )

    def sections(self, folder, model=None):
        """Returns the sections of a report: see `Results`."""
        names = self.class_names
        pairs = tuple(
            (names[pair.label], names[pair.prediction], f"{pair.images:,} of {pair.of:,}")
            for pair in most_confused(self.confusion)
        )
        curve = ((folder / "roc_curve.png", "ROC curve"),) if self.scores.roc_curve is not None else ()
        return [
            Section(
                "Scores",
                "Intervals are of 95 %, from samples of the test images.",
                table=(("score", "here", "interval"), *self._scored()),
                pictures=((folder / "reliability.png", "Accuracy of predictions by their confidence"), *curve),
            ),
            Section(
                "Which classes are taken for which",
                table=(("class", "taken for", "images"), *pairs) if pairs else (),
                pictures=((folder / "confusion_matrix.png", "Which classes are taken for which"),),
                is_folded=True,
            ),
            Section(
                "Accuracy of the classes",
                table=(("class", "top-1 accuracy", "precision", "F1", "images"), *self._class_rows()),
                pictures=((folder / "class_accuracy.png", "Accuracy of the classes"),),
                is_folded=True,
            ),
            Section("Mistakes", pictures=((folder / "mistakes.png", "Mistakes"),)),
            *([self._attended(model)] if model is not None and self.mistakes else []),
        ]

    def _attended(self, model):
        """Returns the section about what a model looks at in its mistakes."""
        caption = "For the most confident mistakes: where attention flows, and what speaks for the two classes."
        arguments = (self.mistakes, self.class_names, self.mean, self.std)
        with Progress("Drawing what the network looks at in its mistakes"):
            drawn = picture(lambda path: plot_mistakes(model, *arguments, path))
        return Section("What the network looks at in its mistakes", caption, pictures=((drawn, caption),))

    def _class_rows(self):
        """Returns (class, accuracy, precision, F1, images) of each class as text, the worst first."""
        images, accuracies = self.confusion.sum(axis=1), self.per_class_accuracy
        return tuple(
            (
                self.class_names[index],
                "none" if np.isnan(accuracies[index]) else f"{accuracies[index]:.1%}",
                f"{self.scores.precision[index]:.1%}",
                f"{self.scores.f1[index]:.1%}",
                f"{images[index]:,}",
            )
            for index in np.argsort(accuracies, kind="stable")
        )

    def compared(self, config, dataset, model):
        """Returns the numbers of the network next to the paper's: see `Results`."""
        return comparison.of_classifier(config, dataset, model, self)


def _interval(interval):
    return "{:.1%} to {:.1%}".format(*interval)


def _between(interval):
    return f" ({interval})" if interval else ""
