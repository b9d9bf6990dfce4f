"""The results of a detector: average precision, its detections, and pictures of them."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from aa_keras.data import Categories, Progress
from aa_keras.evaluation import comparison
from aa_keras.evaluation.average_precision import intervals_of
from aa_keras.evaluation.detection_pictures import plot_detections, plot_precision_recall
from aa_keras.evaluation.html_report import Section
from aa_keras.evaluation.results import Results
from aa_keras.files import write_json, write_whole

# The fields of COCOeval.stats, in their order.
STATISTICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100")


@dataclasses.dataclass(frozen=True)
class DetectionEvaluation(Results):
    """The results of a detector. Precisions are from 0 to 1, and NaN where there are no objects of the kind.

    Attributes:
        images: number of images.
        ap: average precision, the mean over intersections over union from 0.5 to 0.95.
        ap50: the same at 0.5.
        ap75: at 0.75.
        ap_small: average precision for objects of up to 32x32 pixels.
        ap_medium: for objects of up to 96x96 pixels.
        ap_large: for larger objects.
        ar1: average recall with one detection for each image.
        ar10: with ten.
        ar100: with a hundred.
        class_ap: array (classes,), the average precision of each class.
        class_ap50: likewise at 0.5.
        precision: array (classes, 101) at an intersection over union of 0.5, for recalls from 0 to 1.
        results: the detections in COCO's results format, a list of dictionaries.
        categories: `aa_keras.data.Categories`.
        annotated: sequence of the `AnnotatedImage`s of the test images.
        dataset: name of the data set.
        load_images: function that returns an iterable of the test images, uint8 arrays, in their order.
        skipped_boxes: number of impossible boxes of the data set that were left out.
        intervals: the 95 % intervals of "ap", "ap50" and "ap75", pairs, or {} before `with_intervals`.
    """

    images: int
    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    class_ap: np.ndarray
    class_ap50: np.ndarray
    precision: np.ndarray
    results: list[dict]
    categories: Categories
    annotated: Sequence[Any]
    dataset: str = ""
    load_images: Callable[[], Iterable[np.ndarray]] = tuple
    skipped_boxes: int = 0
    intervals: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    FILES: ClassVar = ("detections.json", "detections.png", "evaluation.json", "precision_recall.png")

    def summary(self):
        """Returns the results as a phrase."""
        return (
            f"AP {self.ap:.2%}, AP50 {self.ap50:.2%}, AP75 {self.ap75:.2%} "
            f"({self.images:,} images, {len(self.results):,} detections)"
        )

    def with_intervals(self, samples):
        """Returns the results with 95 % intervals of the average precisions, from so many samples of the images."""
        intervals = intervals_of(self.annotated, self.categories, self.results, samples)
        return dataclasses.replace(self, intervals=intervals)

    def numbers(self):
        """Returns the fields of a run's `result.json`."""
        return {**self._metrics(), "test_examples": self.images, "skipped_boxes": self.skipped_boxes}

    def _metrics(self):
        """Returns the metrics as a dictionary of JSON; None where there are no objects."""
        names = self.categories.names
        return {
            **{name: _json(getattr(self, name)) for name in STATISTICS},
            **{f"{name}_interval": list(map(_json, interval)) for name, interval in self.intervals.items()},
            "class_ap": {name: _json(value) for name, value in zip(names, self.class_ap, strict=True)},
            "class_ap50": {name: _json(value) for name, value in zip(names, self.class_ap50, strict=True)},
        }

    def save(self, folder):
        """Writes the results as JSON and pictures, the `FILES`, into an existing folder."""
        about = {"dataset": self.dataset, "images": self.images, "detections": len(self.results)}
        write_json(folder / "evaluation.json", {**about, **self._metrics()})
        write_whole(folder / "detections.json", json.dumps(self.results) + "\n")
        with Progress("Drawing pictures"):
            plot_precision_recall(self, self.categories.names, folder / "precision_recall.png")
            plot_detections(self, folder / "detections.png")

    def lines(self, most=10):
        """Returns lines about small and large objects and about classes: all classes, or the best and the worst."""
        of_sizes = (f"{name} {_percent(getattr(self, f'ap_{name}'))}" for name in ("small", "medium", "large"))
        order = [index for index in np.argsort(-self.class_ap) if not np.isnan(self.class_ap[index])]
        few = [("Classes", order)]
        groups = few if len(order) <= most else [("Best classes", order[:3]), ("Worst classes", order[-3:])]
        pairs = (f"{name.upper()} {_percent(low)} to {_percent(high)}" for name, (low, high) in self.intervals.items())
        return [
            *([f"95 % intervals: {', '.join(pairs)}"] if self.intervals else []),
            f"AP of objects: {', '.join(of_sizes)}; AR with 100 detections {_percent(self.ar100)}",
            *(f"{title}: {'; '.join(map(self._class_in_words, indices))}" for title, indices in groups),
        ]

    @property
    def missed_classes(self):
        """Names of the classes of which there are objects, and none was detected."""
        return [name for name, ap in zip(self.categories.names, self.class_ap50, strict=True) if ap == 0]

    def _class_in_words(self, index):
        name, ap, ap50 = self.categories.names[index], self.class_ap[index], self.class_ap50[index]
        return f"{name} AP {_percent(ap)}, AP50 {_percent(ap50)}"

    def sections(self, folder, model=None):
        """Returns the sections of a report: see `Results`."""
        intervals = {name: " to ".join(map(_percent, interval)) for name, interval in self.intervals.items()}
        of_sizes = tuple(
            (name.replace("_", " ").upper(), _percent(getattr(self, name)), intervals.get(name, ""))
            for name in STATISTICS
        )
        of_classes = zip(
            self.categories.names, map(_percent, self.class_ap), map(_percent, self.class_ap50), strict=True
        )
        return [
            Section("Average precision and recall", table=(("COCO's", "here", "95 % interval"), *of_sizes)),
            Section(
                "Classes",
                table=(("class", "AP", "AP50"), *of_classes),
                pictures=((folder / "precision_recall.png", "Precision and recall of each class"),),
            ),
            Section("Detections", pictures=((folder / "detections.png", "Annotations and detections of test images"),)),
        ]

    def compared(self, config, dataset, model):
        """Returns the numbers of the network next to the paper's: see `Results`."""
        return comparison.of_detector(config, dataset, model, self)


def _json(number):
    return None if np.isnan(number) else float(number)


def _percent(number):
    """Returns a share as text; "none" for NaN."""
    return "none" if np.isnan(number) else f"{number:.1%}"
