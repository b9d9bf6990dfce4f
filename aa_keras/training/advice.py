"""What the learning curves of a run say, and which fields may help: one line for each rule that applies."""

import dataclasses
from collections.abc import Callable

from aa_keras.data import listed

# The number of epochs from which on curves say something.
LEAST_EPOCHS = 3


@dataclasses.dataclass(frozen=True)
class Curves:
    """The history of a run.

    Attributes:
        history: a dictionary of metrics for each epoch.
        metric: name of the best metric, such as "top1".
        missed: names of the classes of which no test image was recognized.
    """

    history: list[dict]
    metric: str
    missed: list[str]

    def of(self, name):
        """Returns the values of a metric, [] if it was not measured."""
        return [row[name] for row in self.history if name in row]

    @property
    def gap(self):
        """By how much the last value in training is above that of validation; 0 where it is not known or lower."""
        training, validation = self.of(self.metric), self.of(f"val_{self.metric}")
        return max(training[-1] - validation[-1], 0.0) if training and validation and self.metric != "loss" else 0.0

    @property
    def late_gain(self):
        """By how much the best value of the last tenth of the epochs, of at least one, is above all before it."""
        validation = self.of(f"val_{self.metric}")
        late = max(len(validation) // 10, 1)
        if len(validation) < LEAST_EPOCHS or self.metric == "loss":
            return 0.0
        return max(validation[-late:]) - max(validation[:-late])

    @property
    def fall(self):
        """The share of the first epoch's loss that is gone in the lowest one."""
        losses = self.of("loss")
        return 1.0 if len(losses) < LEAST_EPOCHS or losses[0] <= 0 else 1 - min(losses) / losses[0]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        applies: function of `Curves`.
        sentence: what it says, with names of `values` in braces.
        values: function of `Curves` that returns what the sentence has in braces, a dictionary.
    """

    applies: Callable
    sentence: str
    values: Callable = lambda curves: {}


OVERFITTING, STILL_RISING, FLAT = 0.15, 0.01, 0.02
RULES = {
    "overfitting": Rule(
        lambda curves: len(curves.history) >= LEAST_EPOCHS and curves.gap > OVERFITTING,
        "Overfitting: {metric} is {training:.1%} in training and {validation:.1%} in validation. More images help "
        "most; then rand_augment_operations, mixup_alpha, random_erasing, weight_decay, and drop_path_rate of builders",
        lambda curves: {
            "metric": curves.metric,
            "training": curves.of(curves.metric)[-1],
            "validation": curves.of(f"val_{curves.metric}")[-1],
        },
    ),
    "still rising": Rule(
        lambda curves: curves.late_gain > STILL_RISING,
        "val_{metric} still rose at the end, by {gain:.1%} in the last tenth of the epochs: more epochs may help",
        lambda curves: {"metric": curves.metric, "gain": curves.late_gain},
    ),
    "flat loss": Rule(
        lambda curves: curves.fall < FLAT,
        "The loss hardly fell, by {fall:.1%} from the first epoch: another learning_rate_per_256 may help, ten times "
        "higher or lower",
        lambda curves: {"fall": max(curves.fall, 0.0)},
    ),
    "missed classes": Rule(
        lambda curves: len(curves.missed) > 0,
        "No test image of these classes was recognized: {names}. class_weights or sampling of 'balanced', or more "
        "images of them, may help",
        lambda curves: {"names": listed(curves.missed)},
    ),
}


def advice(curves):
    """Returns the sentences of the rules that apply to `Curves`, a list."""
    return [rule.sentence.format(**rule.values(curves)) for rule in RULES.values() if rule.applies(curves)]
