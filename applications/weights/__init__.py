"""Trained weights: where they are found, what their files say, how they get into a network, how they are shared."""

from .info import Architecture, Weights, WeightsInfo

__all__ = ["Architecture", "Weights", "WeightsInfo"]
