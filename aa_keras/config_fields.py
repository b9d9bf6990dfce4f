"""What the fields of a recipe may be: a type and a range for each, so that a mistake is told by the field's name."""

import dataclasses
import inspect
import itertools
import math
import numbers
import os
import typing

from aa_keras import applications
from aa_keras.errors import UserError
from aa_keras.layers import _arguments

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# And the backend of Keras that each needs: what they do is told in aa_keras/training/distribution.py.
DISTRIBUTIONS = {"none": None, "mirrored": "tensorflow", "data_parallel": "jax", "multihost": "jax"}
# Arguments of builders that a recipe's data set and other fields decide.
NOT_OF_RECIPES = {
    *("include_top", "weights", "input_tensor", "input_shape", "pooling", "classes", "classifier_activation"),
    "include_preprocessing",
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a field may be: a predicate of its value, and the words for it. `optional` ones may be unset, None."""

    is_valid: typing.Callable
    wanted: str
    optional: bool = False


def _text():
    return Rule(lambda value: isinstance(value, str), "a string")


def _switch():
    return Rule(lambda value: isinstance(value, bool), "True or False")


def _whole(least, most):
    return Rule(
        lambda value: _arguments.is_integer(value) and least <= value <= most,
        f"a whole number, at least {least:,} and at most {most:,}",
    )


def _number(least, most, beyond_least=False, below_most=False):
    def is_valid(value):
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return (
            is_number
            and least <= value <= most
            and not ((beyond_least and value == least) or (below_most and value == most))
        )

    lower = f"{'above' if beyond_least else 'at least'} {least:g}"
    return Rule(is_valid, f"a number, {lower} and {'below' if below_most else 'at most'} {most:g}")


def _one_of(choices):
    return Rule(lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}")


def _optional(rule):
    return dataclasses.replace(rule, wanted=f"{rule.wanted}, or unset", optional=True)


RULES = {
    "name": Rule(
        lambda name: isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", ".."),
        "a file name",
    ),
    "dataset": _text(),
    "data_dir": _optional(_text()),
    "validation_examples": _whole(0, 10**9),
    "test_split": _optional(_text()),
    "test_fraction": _number(0, 1, beyond_least=True, below_most=True),
    "image_size": _optional(_whole(1, 2**13)),
    "shuffle_buffer": _whole(1, 10**9),
    "corrupt_files_limit": _whole(0, 10**9),
    "horizontal_flip": _switch(),
    "crop_padding": _whole(0, 2**10),
    "rand_augment_operations": _whole(0, 16),
    "rand_augment_magnitude": _number(0, 1),
    "mixup_alpha": _number(0, 100),
    "cutmix_alpha": _number(0, 1),
    "builder": _one_of(applications.__all__),
    "precision": _one_of(PRECISIONS),
    "jit_compile": _switch(),
    "distribution": _one_of(DISTRIBUTIONS),
    "seed": _whole(0, 2**32 - 1),
    "epochs": _whole(1, 10**6),
    "steps_per_epoch": _optional(_whole(1, 10**9)),
    "batch_size": _whole(1, 2**20),
    "learning_rate_per_256": _number(0, 1e30, beyond_least=True),
    "warmup_fraction": _number(0, 1, below_most=True),
    "momentum": _number(0, 1, below_most=True),
    "weight_decay": _number(0, 1),
    "label_smoothing": _number(0, 1, below_most=True),
    "ema_momentum": _number(0, 1, below_most=True),
    "export": _switch(),
}


def check_config(config):
    """Raises UserError, naming the field, unless a config's values are of the types and in the ranges of `RULES`.

    What the backend cannot do is another matter: `aa_keras.recipes.check_backend`.
    """
    for field, rule in RULES.items():
        if config[field] is None and not rule.optional:
            raise UserError(f"config.{field} must be set by the recipe, to {rule.wanted}. Received: {field}=None")
        require(config, field, lambda value, rule=rule: value is None or rule.is_valid(value), rule.wanted)
    wanted = f"a tuple of ascending whole epochs from 1 to {config.epochs - 1}, or () for a cosine"
    require(config, "decay_epochs", lambda epochs: _is_ascending(epochs, 0, config.epochs), wanted)
    _check_builder_arguments(config)


def require(config, field, is_valid, wanted):
    """Raises UserError unless the value of a field is valid."""
    if not is_valid(config[field]):
        raise UserError(f"config.{field} must be {wanted}. Received: {field}={config[field]!r:.100}")


def _is_ascending(values, above, below):
    if not isinstance(values, (tuple, list)) or not all(map(_arguments.is_integer, values)):
        return False
    return all(first < second for first, second in itertools.pairwise((above, *values, below)))


def _check_builder_arguments(config):
    arguments = config.builder_arguments
    if not hasattr(arguments, "items"):
        raise UserError(
            "config.builder_arguments must be a dictionary of arguments of the builder. "
            f"Received: builder_arguments={arguments!r:.100}"
        )
    parameters = inspect.signature(getattr(applications, config.builder)).parameters
    allowed = sorted(set(parameters) - NOT_OF_RECIPES)
    unknown = [str(name) for name in arguments if name not in allowed]
    if unknown:
        raise UserError(
            f"config.builder_arguments must be arguments of {config.builder}: {', '.join(allowed)}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    for name, value in arguments.items():
        if not _is_plain(value) and not (isinstance(value, (tuple, list)) and all(map(_is_plain, value))):
            raise UserError(
                f"config.builder_arguments.{name} must be a finite number, a string, True, False, None or a tuple of "
                f"such. Received: {name}={value!r:.100}"
            )
    if arguments.get("attention_stages") == "auto" and arguments.get("attention_budget") is None:
        raise UserError(
            "config.builder_arguments.attention_budget must be set, to bytes for each image of a batch, where "
            "attention_stages is 'auto'. Received: attention_budget=None"
        )


def _is_plain(value):
    if isinstance(value, (int, float)):
        return math.isfinite(value)
    return value is None or isinstance(value, str)
