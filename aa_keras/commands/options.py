"""A command of the program, and the flags that several commands have."""

import dataclasses
import math
from collections.abc import Callable

from absl import flags


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of the program.

    Attributes:
        summary: what it does, in a sentence.
        details: further sentences for the help, or "".
        flags: its own flags, a list of pairs: a function of absl such as `flags.DEFINE_string`, and its arguments.
        run: function of the config, or of None where there is none, that runs the command, and may return its status.
        default_recipe: the recipe that it uses without --config, or None.
        takes_recipe: whether there is a flag --config.
        operands: what may follow the flags, as the help shows it, or "". `run` gets the list of them as its argument.
    """

    summary: str
    details: str
    flags: list[tuple[Callable, tuple]]
    run: Callable
    default_recipe: str | None = None
    takes_recipe: bool = True
    operands: str = ""


def number(name, *arguments):
    """Defines a flag of a number that must be finite: absl takes NaN whatever the bounds."""
    flags.DEFINE_float(name, *arguments)
    is_finite = lambda value: value is None or math.isfinite(value)  # noqa: E731
    flags.register_validator(name, is_finite, f"--{name} must be a finite number")


string, integer, switch = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_bool
choice, strings = flags.DEFINE_enum, flags.DEFINE_multi_string
WORKDIR = (string, ("workdir", None, "Run directory of a finished run."))
MODEL = (
    string,
    ("model", None, "File .keras, in a run directory or not; folder of save_pretrained; hf://USER/REPOSITORY."),
)
BUILDER = (string, ("builder", None, "Network of the library, such as AAResNet50 or 'AAMnasNet(alpha=1.0)'."))
WEIGHTS = (string, ("weights", None, "Weights for --builder: a name, a file, timm/NAME, hf://USER/REPOSITORY."))
NETWORK = [WORKDIR, MODEL, BUILDER, WEIGHTS]
DATASET = (
    string,
    (
        "dataset",
        None,
        "Data set whose normalization --model or --builder needs, if its name does not say: imagenet2012, cifar100, "
        "coco, bccd, or none for a model that takes pixels from 0 to 255.",
    ),
)
EXPORTS = [
    (string, ("saved_model", None, "Folder of a SavedModel that export or train wrote.")),
    (string, ("onnx", None, "ONNX file that export wrote.")),
    (string, ("litert", None, "LiteRT file that export wrote.")),
]
LABELS = (string, ("labels", None, "File with the name of a class on each line, for --model or --builder."))
