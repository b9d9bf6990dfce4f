"""Recipes, one file for each. `aa-keras recipes` lists them."""
