"""Dense attention as it was first: float32 logits in every precision, to which those of positions are added, and the
gradient that automatic differentiation makes. `benchmarks/precision.py` measures today's against it."""

import contextlib
from unittest import mock

from keras import ops

from aa_keras.attention import dense


def dense_attention(queries, keys, values, position_logits=()):
    """Takes the place of `aa_keras.attention.dense.dense_attention`."""
    logits = ops.matmul(queries, ops.transpose(ops.cast(keys, queries.dtype), (0, 1, 3, 2)))
    if position_logits:
        shape = ops.shape(logits)
        rows, columns = position_logits
        logits = ops.reshape(logits, (*shape[:3], rows.shape[-1], columns.shape[-1]))
        logits = ops.reshape(logits + rows[..., :, None] + columns[..., None, :], shape)
    return ops.matmul(ops.cast(ops.softmax(logits, axis=-1), values.dtype), values)


@contextlib.contextmanager
def attention_as_it_was():
    """A context in which functions and networks that are traced have it."""
    with (
        mock.patch.object(dense, "dense_attention", dense_attention),
        mock.patch.object(dense, "logits_dtype", lambda dtype, *_: "float32" if dtype.endswith("float16") else dtype),
    ):
        yield
