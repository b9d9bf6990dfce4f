"""Recipes: the fields of a config, their checks, and the files that set them.

Only `checks` imports Keras, so that the program can list recipes without delay.
"""

from aa_keras.recipes.fields import default_config
from aa_keras.recipes.files import find_recipe, list_recipes, load_recipe

__all__ = ["default_config", "find_recipe", "list_recipes", "load_recipe"]
