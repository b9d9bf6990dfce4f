"""Two-dimensional relative self-attention as pure functions of tensors.

The mathematics of *Attention Augmented Convolutional Networks* (Bello et al., ICCV 2019, arXiv:1904.09925), section
3, written in `keras.ops` alone so that it runs on every backend. No layers and no state live here.

`reference` states the equation; `attention_2d` computes it, `dense`, `blockwise` or by one of `kernels`, as `choice`
decides.
Shapes are written with B images, `heads` heads, H x W positions (HW of them once flattened) and `key_dim` or
`value_dim` channels a head.
"""

from aa_keras.attention.choice import (
    IMPLEMENTATIONS,
    attention_2d,
    attention_logits_2d,
    attention_scores_2d,
    check_implementation,
    choose_implementation,
)
from aa_keras.attention.heads import merge_heads, split_heads
from aa_keras.attention.memory import AttentionMemory, attention_memory
from aa_keras.attention.positions import relative_embeddings, relative_logits, resized_table
from aa_keras.attention.reference import reference_attention
from aa_keras.attention.spec import AttentionSpec

__all__ = [
    "IMPLEMENTATIONS",
    "AttentionMemory",
    "AttentionSpec",
    "attention_2d",
    "attention_logits_2d",
    "attention_memory",
    "attention_scores_2d",
    "check_implementation",
    "choose_implementation",
    "merge_heads",
    "reference_attention",
    "relative_embeddings",
    "relative_logits",
    "resized_table",
    "split_heads",
]
