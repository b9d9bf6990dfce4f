"""Recipes: what a config may say, whether it makes sense, and the files that set one.

Nothing here imports Keras but `checks`, so that the program can tell about recipes at once.
"""

from aa_keras.recipes.fields import default_config
from aa_keras.recipes.files import find_recipe, list_recipes, load_recipe

__all__ = ["default_config", "find_recipe", "list_recipes", "load_recipe"]
