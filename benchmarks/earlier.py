"""The first version of dense attention: float32 logits in every precision, to which those of positions are added, and
the gradient of automatic differentiation. `benchmarks/precision.py` compares today's with it."""

import contextlib
from unittest import mock

from keras import ops

from aa_keras.attention import dense


def dense_attention(queries, keys, values, position_logits=()):
    """Replaces `aa_keras.attention.dense.dense_attention`."""
    logits = ops.matmul(queries, ops.transpose(ops.cast(keys, queries.dtype), (0, 1, 3, 2)))
    if position_logits:
        shape = ops.shape(logits)
        rows, columns = position_logits
        logits = ops.reshape(logits, (*shape[:3], rows.shape[-1], columns.shape[-1]))
        logits = ops.reshape(logits + rows[..., :, None] + columns[..., None, :], shape)
    return ops.matmul(ops.cast(ops.softmax(logits, axis=-1), values.dtype), values)


@contextlib.contextmanager
def attention_as_it_was():
    """Returns a context in which traced functions and networks use it."""
    with (
        mock.patch.object(dense, "dense_attention", dense_attention),
        mock.patch.object(dense, "logits_dtype", lambda dtype, *_: "float32" if dtype.endswith("float16") else dtype),
    ):
        yield
