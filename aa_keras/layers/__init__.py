"""Keras layers of attention-augmented networks."""

from aa_keras.layers.augmented_conv import AttentionAugmentedConv2D
from aa_keras.layers.channel_attention import EfficientChannelAttention, GatherExcite, SqueezeExcite
from aa_keras.layers.position_encoding import (
    CoordinateChannels2D,
    RelativePositionEmbedding2D,
    SinusoidalPositionEncoding2D,
)
from aa_keras.layers.self_attention import SelfAttention2D

__all__ = [
    "AttentionAugmentedConv2D",
    "CoordinateChannels2D",
    "EfficientChannelAttention",
    "GatherExcite",
    "RelativePositionEmbedding2D",
    "SelfAttention2D",
    "SinusoidalPositionEncoding2D",
    "SqueezeExcite",
]
