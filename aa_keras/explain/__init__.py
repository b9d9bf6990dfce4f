"""Explanations of a network: its attention, and the pixels that speak for a class."""

from aa_keras.explain.grad_cam import grad_cam
from aa_keras.explain.measures import attention_rollout, mean_attention_distance
from aa_keras.explain.scores import AttentionScores, attention_at, attention_layers, attention_scores

__all__ = [
    "AttentionScores",
    "attention_at",
    "attention_layers",
    "attention_rollout",
    "attention_scores",
    "grad_cam",
    "mean_attention_distance",
]
