"""Relative attention by PyTorch's FlexAttention, for GPUs.

This module imports PyTorch: import it where it is used.
"""

import functools
import inspect
from typing import Any

import torch
from torch.nn.attention import flex_attention as flex

from aa_keras.attention.shapes import padded_channels, triton_side


def flex_attention(queries: Any, keys: Any, values: Any, position_logits: tuple = ()) -> Any:
    """Computes relative attention with logits of rows and columns that are added within the kernel.

    On a GPU the kernel is compiled when a shape is first seen, and never holds (HW, HW) numbers. On a CPU it computes
    all of them, and PyTorch has no gradients there.

    The arguments and the result are those of `aa_keras.attention.fused.fused_attention`.
    """
    value_dim = values.shape[-1]
    inputs = [_padded(tensor.to(values.dtype)) for tensor in (queries, keys, values)]
    with_positions = _with_positions(*position_logits) if position_logits else None
    shapes = tuple(tensor.shape for tensor in (*inputs, *position_logits))
    attend = _compiled(shapes) if values.is_cuda else flex.flex_attention
    return attend(*inputs, score_mod=with_positions, scale=1.0)[..., :value_dim]


@functools.cache
def _compiled(shapes):
    """Returns FlexAttention, compiled for arrays of some shapes alone."""
    # PyTorch compiles a function for few shapes, and then computes it operation by operation, in memory for all logits.
    # Newer versions count the shapes of each compiled function apart; older ones raise an error, by `fullgraph`.
    parameters = inspect.signature(torch.compile).parameters
    options = {"isolate_recompiles": True} if "isolate_recompiles" in parameters else {}
    return torch.compile(flex.flex_attention, dynamic=False, fullgraph=True, **options)


def _with_positions(rows, columns):
    """Returns the function that adds to a logit those of the key's row and column."""
    rows, columns = rows.float(), columns.float()
    numbers = torch.arange(rows.shape[-1] * columns.shape[-1], device=rows.device)
    row_of, column_of = numbers // columns.shape[-1], numbers % columns.shape[-1]

    def score(logit, image, head, query, key):
        return logit + rows[image, head, query, row_of[key]] + columns[image, head, query, column_of[key]]

    return score


def _padded(tensor):
    return padded_channels(tensor, triton_side(tensor.shape[-1]))
