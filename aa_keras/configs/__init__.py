"""Recipes, a file each. `aa-keras recipes` lists them."""
