"""The results of an evaluation, whatever the task."""

import abc
import pathlib
from typing import Any, ClassVar

from aa_keras.evaluation import comparison
from aa_keras.evaluation.html_report import Section


class Results(abc.ABC):
    """The results of an evaluation, which summarise and save themselves. Each task has a subclass.

    Attributes:
        FILES: names of the files that `save` may write.
    """

    FILES: ClassVar[tuple[str, ...]] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that `save` writes, those of `FILES` unless the results have no use for some."""
        return self.FILES

    def with_intervals(self, samples: int) -> "Results":
        """Returns the results with 95 % intervals from so many samples of the test images, if they do not have them."""
        return self

    @abc.abstractmethod
    def summary(self) -> str:
        """Returns the results as a phrase."""

    @abc.abstractmethod
    def numbers(self) -> dict:
        """Returns the fields of a run's `result.json`, among them "test_examples", the number of test examples."""

    @abc.abstractmethod
    def save(self, folder: pathlib.Path) -> None:
        """Writes the results as JSON and pictures, the `files`, into an existing folder."""

    def lines(self) -> list[str]:
        """Returns further lines to print."""
        return []

    @property
    def missed_classes(self) -> list[str]:
        """Names of the classes of which there are test examples, and none was recognized."""
        return []

    def sections(self, folder: pathlib.Path, model: Any = None) -> list[Section]:
        """Returns the sections of a report.

        Args:
            folder: the folder into which `save` has written.
            model: the Keras model that was evaluated, or None for a SavedModel.
        """
        pictures = tuple((folder / name, name) for name in self.files if name.endswith(".png"))
        return [
            Section(
                "Results",
                table=(("", "here"), *((name, str(value)) for name, value in self.numbers().items())),
                pictures=pictures,
            )
        ]

    def compared(self, config: Any, dataset: Any, model: Any) -> comparison.Comparison:
        """Returns the size, the cost and the results of the network, next to published ones if there are any.

        Args:
            config: the recipe.
            dataset: the data set that it was evaluated on.
            model: the Keras model.
        """
        return comparison.of_network(config, dataset, model)
