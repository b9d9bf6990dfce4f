"""The equation, term by term: the reference that every faster form is tested against."""

from typing import Any

from keras import ops


def reference_attention(queries: Any, keys: Any, values: Any, height_table: Any, width_table: Any) -> tuple[Any, Any]:
    """Self-attention with relative positions, as equation 4 of the paper writes it.

    The logit for the query i at (y_i, x_i) and the key j at (y_j, x_j) is

        q_i . k_j + q_i . r_height[y_j - y_i] + q_i . r_width[x_j - x_i]

    with q scaled by key_dim ** -0.5. It holds (HW)^2 * key_dim numbers for each table: use `attention_2d` instead.

    Args:
        queries: tensor of shape (B, heads, H, W, key_dim), not yet scaled.
        keys: tensor of shape (B, heads, H, W, key_dim).
        values: tensor of shape (B, heads, H, W, value_dim).
        height_table: tensor of shape (2 * H - 1, key_dim), the embedding of the offset d in row d + H - 1.
        width_table: tensor of shape (2 * W - 1, key_dim), likewise.

    Returns:
        A pair: the outputs, of shape (B, heads, H, W, value_dim), and the probabilities, of shape (B, heads, HW, HW),
        rows being queries.
    """
    _, heads, height, width, key_dim = queries.shape
    q, k, v = (ops.reshape(tensor, (-1, heads, height * width, tensor.shape[-1])) for tensor in (queries, keys, values))
    q = q * key_dim**-0.5
    positions = ops.arange(height * width)
    y, x = positions // width, positions % width
    # [i, j]: the embeddings of y_j - y_i and of x_j - x_i.
    r_height = ops.take(height_table, y[None, :] - y[:, None] + height - 1, axis=0)
    r_width = ops.take(width_table, x[None, :] - x[:, None] + width - 1, axis=0)

    logits = ops.einsum("bnid,bnjd->bnij", q, k)
    logits = logits + ops.einsum("bnid,ijd->bnij", q, r_height)
    logits = logits + ops.einsum("bnid,ijd->bnij", q, r_width)
    probabilities = ops.softmax(logits)
    outputs = ops.einsum("bnij,bnjd->bnid", probabilities, v)
    return ops.reshape(outputs, values.shape), probabilities
