"""The help pages of the program."""

import shutil
import textwrap

from absl import flags

from aa_keras import _startup
from aa_keras.recipes import list_recipes
from aa_keras.recipes.fields import GROUPS


def overview(commands):
    """Returns the page of all commands, a dictionary from names to `options.Command`s."""
    lines = [f"  {name:<10} {command.summary}" for name, command in commands.items()]
    return "\n".join(
        [
            f"Usage: {_startup.PROGRAM} COMMAND [--FLAG=VALUE ...]",
            "",
            "Attention Augmented Convolutional Networks for Keras.",
            "",
            *lines,
            "",
            f"{_startup.PROGRAM} COMMAND --help lists the flags of a command.",
        ]
    )


def help_page(program, command):
    """Returns the page of a command, an `options.Command`, which is called as `program`."""
    columns = min(shutil.get_terminal_size().columns, 120)
    lines = [f"Usage: {program} [--FLAG=VALUE ...] {command.operands}".rstrip(), "", command.summary]
    lines += textwrap.wrap(command.details, columns)
    own = [
        (f"--{flag[0]}" + ("" if define is flags.DEFINE_bool else "=..."), _explanation(define, flag))
        for define, flag in command.flags
    ]
    if command.takes_recipe:
        default = f", by default {command.default_recipe}" if command.default_recipe else ""
        own[:0] = [
            ("--config=RECIPE", f"Recipe: one of the names below, or the path of a file{default}."),
            ("--config.FIELD=VALUE", "Sets a field of the recipe."),
        ]
    lines += ["", "Flags:", *_table(own, columns)]
    if command.takes_recipe:
        lines += ["", "Recipes:", *_table(list_recipes().items(), columns)]
        lines += ["", "Fields of a recipe, with their defaults:"]
        for title, fields in GROUPS.items():
            described = ((name, _described(field)) for name, field in fields.items())
            lines += [f"  {title}", *(f"  {line}" for line in _table(described, columns - 2))]
    return "\n".join(lines)


def _explanation(define, flag):
    """Returns the help of a flag."""
    default = flag[1]
    if define is flags.DEFINE_enum:
        return f"{flag[3]} One of {', '.join(flag[2])}; {default} by default."
    return flag[2] if default in (None, False, "*") else f"{flag[2]} {default} by default."


def _described(field):
    default = "set by the recipe" if field.required else "unset" if field.default is None else repr(field.default)
    return f"{field.meaning} ({default})"


def _table(rows, columns):
    """Returns the lines of a table of two columns, the second wrapped."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, max(columns - width - 2, 30)) or [""]
        lines.append(f"  {name:<{width}}{first}")
        lines += [" " * (width + 2) + line for line in more]
    return lines
