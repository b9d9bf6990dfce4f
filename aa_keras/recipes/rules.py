"""The rules of fields: the type and the valid values of each."""

import dataclasses
import os
import re
from collections.abc import Callable

from aa_keras.errors import is_integer, is_number


@dataclasses.dataclass(frozen=True)
class Rule:
    """The valid values of a field.

    Attributes:
        kind: its type, to which ml_collections converts the text of the command line.
        is_valid: predicate of its value.
        wanted: description of the valid values, for errors.
    """

    kind: type
    is_valid: Callable
    wanted: str


def text():
    return Rule(str, lambda value: isinstance(value, str), "a string")


def switch():
    return Rule(bool, lambda value: isinstance(value, bool), "True or False")


def whole(least, most):
    wanted = f"a whole number, at least {least:,} and at most {most:,}"
    return Rule(int, lambda value: is_integer(value) and least <= value <= most, wanted)


def whole_of(choices):
    return Rule(int, lambda value: is_integer(value) and value in choices, f"one of {', '.join(map(str, choices))}")


def number(least, most, beyond_least=False, below_most=False):
    def is_valid(value):
        return (
            is_number(value)
            and least <= value <= most
            and not ((beyond_least and value == least) or (below_most and value == most))
        )

    lower = f"{'above' if beyond_least else 'at least'} {least:g}"
    return Rule(float, is_valid, f"a number, {lower} and {'below' if below_most else 'at most'} {most:g}")


def one_of(choices):
    return Rule(str, lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}")


def file_name():
    def is_valid(name):
        return isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", "..")

    return Rule(str, is_valid, "a file name")


def _pair(is_valid, wanted):
    return Rule(
        tuple,
        lambda value: isinstance(value, (tuple, list)) and len(value) == 2 and is_valid(*value),
        f"a pair {wanted}",
    )


def numbers(above=None):
    def is_valid(values):
        return (
            isinstance(values, (tuple, list))
            and len(values) > 0
            and all(is_number(value) and abs(value) <= 1e6 and (above is None or value > above) for value in values)
        )

    return Rule(tuple, is_valid, f"a tuple of a number{'' if above is None else f' above {above}'} for each channel")


def size():
    def is_valid(height, width):
        return all(is_integer(side) and 1 <= side <= 2**13 for side in (height, width))

    return _pair(is_valid, "(height, width) of whole numbers, at least 1 and at most 8,192")


def scales():
    def is_valid(least, most):
        return is_number(least) and is_number(most) and 0.1 <= least <= most <= 10

    return _pair(is_valid, "(least, most) of numbers, at least 0.1 and at most 10")


def epochs():
    """Returns the rule of `decay_epochs`; the check of the config compares them with `config.epochs`."""
    return Rule(tuple, lambda value: isinstance(value, (tuple, list)) and all(map(is_integer, value)), "a tuple")


def arguments():
    """Returns the rule of `builder_arguments`; the check of the config compares them with the builder."""
    return Rule(dict, lambda value: hasattr(value, "items"), "a dictionary of arguments of the builder")


def stages():
    """Returns the rule of `freeze`; the check of the config compares stages with the network."""
    return Rule(
        str,
        lambda value: isinstance(value, str) and re.fullmatch(r"none|backbone|(stem|\d)(,\d)*", value),
        "'none', 'backbone', or stages such as 'stem,1,2'",
    )


def size_of_a_batch(most):
    of_number = whole(1, most)
    return Rule(object, lambda value: value == "auto" or of_number.is_valid(value), f"'auto', or {of_number.wanted}")


def weights_of_classes():
    """Returns the rule of `class_weights`; the task compares the names with its classes."""

    def is_valid(value):
        if not hasattr(value, "items"):
            return isinstance(value, str) and value == "balanced"
        return len(value) > 0 and all(
            isinstance(name, str) and is_number(weight) and 0 <= weight <= 1e6 for name, weight in value.items()
        )

    return Rule(object, is_valid, "'balanced', or a dictionary from names of classes to numbers of at least 0")


def duration():
    return Rule(
        str,
        lambda value: isinstance(value, str) and seconds_of(value) > 0,
        "a time such as '8h', '90m' or '1d12h'",
    )


def seconds_of(text):
    """Returns the seconds of a time such as "8h", "90m" or "1d12h30m10s", 0 for any other text."""
    match = re.fullmatch(r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?", text)
    units = (86_400, 3_600, 60, 1)
    parts = match.groups() if match else ()
    return sum(unit * int(part[:-1]) for unit, part in zip(units, parts, strict=False) if part)
