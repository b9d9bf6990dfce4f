"""Training from a recipe."""

from aa_keras.training.hosts import Hosts
from aa_keras.training.loop import check_before_training, train_and_evaluate

__all__ = ["Hosts", "check_before_training", "train_and_evaluate"]
