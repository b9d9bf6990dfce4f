"""FlexAttention compiled, forward alone, which PyTorch can do on a CPU."""

import shutil

import keras
import numpy as np
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("PyTorch's own kernels", allow_module_level=True)

import torch

from aa_keras.attention import flex

pytestmark = pytest.mark.backend


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles with it")
def test_compiled_for_more_shapes_than_pytorch_compiles_a_function_for():
    """Beyond eight, by default, it would compute all logits, operation by operation."""
    compiled = flex._compiled
    for width in range(2, 12):
        generator = np.random.default_rng(width)
        lengths = (20, 20, 3, 4, width)
        arrays = [generator.normal(size=(2, 2, 4 * width, length)) for length in lengths]
        queries, keys, values, *logits = (torch.tensor(array, dtype=torch.float32) for array in arrays)
        with torch.no_grad():
            expected = flex.flex_attention(queries, keys, values, tuple(logits))
            inputs = [flex._padded(tensor) for tensor in (queries, keys, values)]
            shapes = tuple(tensor.shape for tensor in (*inputs, *logits))
            found = compiled(shapes)(*inputs, score_mod=flex._with_positions(*logits), scale=1.0)[..., :3]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert compiled.cache_info().currsize == 10
