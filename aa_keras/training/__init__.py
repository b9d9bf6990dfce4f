"""Training from a recipe."""

from aa_keras.training.loop import train_and_evaluate

__all__ = ["train_and_evaluate"]
