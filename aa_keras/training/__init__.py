"""Training from a recipe."""

from aa_keras.training.hosts import Hosts
from aa_keras.training.loop import train_and_evaluate

__all__ = ["Hosts", "train_and_evaluate"]
