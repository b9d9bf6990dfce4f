"""Kernels of attention on the CPU, where the tests run."""

import dataclasses

import keras
import pytest

from aa_keras import attention
from aa_keras.attention.kernels import KERNELS

# Those that the backend can run there, if slowly, for attention in float32.
ON_CPU = {"jax": ["pallas"], "torch": ["fused", "flex"]}.get(keras.backend.backend(), [])


ORIGINAL = dict(KERNELS)


@pytest.fixture
def kernels_on_cpu(monkeypatch):
    """Lets "pallas" be interpreted, and "flex" be computed operation by operation, without being tried."""
    for name in ("pallas", "flex"):
        monkeypatch.setitem(KERNELS, name, dataclasses.replace(KERNELS[name], obstacle=lambda spec: None))
    if keras.backend.backend() == "torch":
        import torch.nn.attention.flex_attention

        # It forbids gradients on CPUs.
        monkeypatch.setattr(torch.nn.attention.flex_attention, "_validate_device", lambda *_: None, raising=False)


def attend(implementation, size):
    """Attention to a map of `size`, a function of queries, keys, values and, for positions, the tables of both axes."""

    def function(queries, keys, values, *tables):
        relative = [attention.relative_embeddings(*pair) for pair in zip(tables, size, strict=False)]
        return attention.attention_2d(queries, keys, values, *relative, implementation=implementation)

    return function
