"""The files of recipes: those that come with the library, and how to find and load one."""

import ast
import difflib
import pathlib
import runpy
import traceback

import ml_collections

from aa_keras.errors import UserError
from aa_keras.files import read_text
from aa_keras.recipes.fields import default_config

FOLDER = pathlib.Path(__file__).parents[1] / "configs"


def list_recipes():
    """Returns the library's recipes: a dictionary from names to the first lines of the files."""
    described = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem != "__init__":
            documentation = ast.get_docstring(ast.parse(read_text(path))) or ""
            described[path.stem] = documentation.split("\n")[0]
    return described


def find_recipe(recipe, flag="--config"):
    """Returns the path of a recipe that is given by its path, or by the name of one that comes with the library.

    Args:
        recipe: path from the current folder, name such as "digits_aa_wide_resnet10_2", or "configs/NAME.py".
        flag: the flag that names it, for the error.

    Raises:
        UserError: if there is no such recipe.
    """
    given = pathlib.Path(recipe).expanduser()
    if given.is_file():
        return given
    if recipe and given.parent in (pathlib.Path(), pathlib.Path("configs")) and given.suffix in ("", ".py"):
        known = FOLDER / f"{given.stem}.py"
        if known.is_file() and given.stem in list_recipes():
            return known
    similar = difflib.get_close_matches(given.stem, list_recipes(), n=1)
    hint = f", such as {similar[0]}" if similar else ""
    raise UserError(
        f"{flag} must be the file of a recipe, or the name of one that `aa-keras recipes` lists{hint}. "
        f"Received: {flag}={recipe}"
    )


def load_recipe(path):
    """Returns the config of a recipe.

    Args:
        path: the file, Python with a function `get_config`.

    Returns:
        An `ml_collections.ConfigDict` with the fields of `default_config`.

    Raises:
        UserError: if the recipe fails, naming its own error and line, or returns anything else.
    """
    try:
        get_config = runpy.run_path(str(path)).get("get_config")
        if not callable(get_config):
            raise UserError(f"--config={path}: the recipe has no function get_config")
        config = get_config()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"--config={path}: {_described(error, path)}") from None
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(
            f"--config={path}: get_config must return a changed aa_keras.recipes.default_config(). "
            f"It returned {config!r:.100}"
        )
    lacking = sorted(set(default_config()) - set(config))
    foreign = sorted(set(config) - set(default_config()), key=str)
    if lacking or foreign:
        names = ", ".join(map(str, (lacking or foreign)[:3]))
        difference = f"lacks {names}" if lacking else f"has the additional fields {names}"
        raise UserError(
            f"--config={path}: get_config must return a changed aa_keras.recipes.default_config(). "
            f"What it returned {difference}"
        )
    return config


def _described(error, path):
    """Returns an error that a recipe raised, with its line in the recipe."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _is_same(frame.filename, path)]
    if isinstance(error, SyntaxError) and error.filename and _is_same(error.filename, path):
        lines.append(error.lineno)
    where = f"line {lines[-1]} of the recipe" if lines else "the recipe"
    return f"{where} raises {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _is_same(filename, path):
    return pathlib.Path(filename).resolve() == pathlib.Path(path).resolve()
