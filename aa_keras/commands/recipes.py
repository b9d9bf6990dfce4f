"""Lists recipes, or shows one."""

import sys

from aa_keras.files import read_text
from aa_keras.recipes import find_recipe, list_recipes


def print_recipes(show: str | None = None):
    """Prints the names and first lines of the recipes that come with the library; or the file of one.

    Args:
        show: name of the recipe whose file to print, or None.

    Raises:
        UserError: if no recipe has this name.
    """
    if show is not None:
        sys.stdout.write(read_text(find_recipe(show, "--show")))
        return
    recipes = list_recipes()
    width = max(map(len, recipes))
    for name, summary in recipes.items():
        print(f"{name:<{width}}  {summary}")
