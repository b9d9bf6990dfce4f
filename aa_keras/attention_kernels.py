"""Ways of computing one and the same attention: dense, in blocks of queries, and by a backend's fused kernel.

All take queries that are already scaled and flattened, of shape (B, heads, HW, key_dim) and at least float32, and keys
and values of the same form. The logit of a query and the key in row y' and column x' is their product plus the query's
logits for y' and for x': "dense" and "fused" take these as a pair of tensors (B, heads, HW, H) and (B, heads, HW, W)
from `aa_keras.attention.relative_logits`, "blockwise" forms them itself; () stands for none.
"""

import functools

import keras
from keras import ops

# Of the float32 logits of one image that blocks of queries form at a time.
BLOCK_BYTES = 2**23
# Stock kernels want heads in multiples of this.
HEAD_MULTIPLE = 8


def at_least_float32(inputs):
    """Returns a tensor of half precision as float32, and any other as it is."""
    half = keras.backend.standardize_dtype(inputs.dtype) in ("float16", "bfloat16")
    return ops.cast(inputs, "float32") if half else inputs


def dense(queries, keys, values, position_logits=()):
    """Holds all (HW, HW) logits of an image at once: the fastest way while they fit into memory.

    Logits and softmax are formed in float32 whatever the inputs' precision, since float16 logits overflow before a
    softmax sees them.

    Returns:
        A pair: the outputs, of shape (B, heads, HW, value_dim) and the values' type, and the attention probabilities,
        of shape (B, heads, HW, HW) and at least float32, rows being queries.
    """
    logits = ops.matmul(at_least_float32(queries), ops.transpose(at_least_float32(keys), (0, 1, 3, 2)))
    if position_logits:
        _, num_heads, number_of_queries, positions = ops.shape(logits)
        rows, columns = (at_least_float32(axis_logits) for axis_logits in position_logits)
        height, width = ops.shape(rows)[-1], ops.shape(columns)[-1]
        # Broadcast over the key's other axis; never tiled out to (HW, HW) one by one.
        logits = ops.reshape(logits, (-1, num_heads, number_of_queries, height, width))
        logits = logits + rows[..., :, None] + columns[..., None, :]
        logits = ops.reshape(logits, (-1, num_heads, number_of_queries, positions))
    # Keras warns of the softmax of a single number.
    probabilities = ops.exp(logits - logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)
    return ops.matmul(ops.cast(probabilities, values.dtype), values), probabilities


def blockwise(queries, keys, values, relative=()):
    """Attends with some of the queries at a time, and forms their logits anew in the backward pass.

    Peak memory grows as HW: a block has as many queries as bring its logits to `BLOCK_BYTES` an image.

    Args:
        queries: as above.
        keys: as above.
        values: as above.
        relative: pair of the embeddings of relative positions by query and key, (H, H, key_dim) and (W, W, key_dim), at
            least float32; or () for none.

    Returns:
        The outputs, of shape (B, heads, HW, value_dim).
    """
    batch, num_heads, positions, _ = queries.shape
    if batch is None and positions is not None:
        # Image by image, so that all shapes in the loops are known: LiteRT converts no others.
        return ops.map(
            lambda image: blockwise(*(tensor[None] for tensor in image), relative)[0], (queries, keys, values)
        )
    _, num_heads, positions, _ = ops.shape(queries)
    size = _queries_in_a_block(num_heads, positions)
    blocks = -(-positions // size)

    @keras.remat  # within the loop: remat of unrolled blocks saves next to nothing on TensorFlow
    def attend(keys, values, relative, queries, places):
        places = tuple(ops.cast(each, "int32") for each in places)
        position_logits = tuple(map(_position_logits, (queries, queries), relative, places))
        return dense(queries, keys, values, position_logits)[0]

    places = ()
    if relative:
        width = ops.shape(relative[1])[0]
        # Of the queries that fill up the last block it does not matter where they are.
        numbers = ops.minimum(ops.arange(blocks * size, dtype="int32"), positions - 1)
        # As floats, for TensorFlow warns of integers on their way into what is formed anew.
        places = tuple(
            ops.cast(ops.reshape(each, (blocks, size)), "float32") for each in (numbers // width, numbers % width)
        )
    cut = _cut(queries, blocks, size)
    outputs = ops.map(lambda block: attend(keys, values, relative, *block), (cut, places))
    outputs = ops.transpose(outputs, (1, 2, 0, 3, 4))
    outputs = ops.reshape(outputs, (-1, num_heads, blocks * size, values.shape[-1]))
    return outputs[:, :, :positions]


def _position_logits(queries, embeddings, indices):
    """The logits along one axis of some queries (B, heads, queries, key_dim), which are in its places `indices`."""
    _, num_heads, count, key_dim = ops.shape(queries)
    by_query = ops.reshape(ops.transpose(queries, (2, 0, 1, 3)), (count, -1, key_dim))
    own = ops.transpose(ops.take(embeddings, indices, axis=0), (0, 2, 1))
    logits = ops.reshape(ops.matmul(by_query, own), (count, -1, num_heads, ops.shape(own)[-1]))
    return ops.transpose(logits, (1, 2, 0, 3))


def _queries_in_a_block(num_heads, positions):
    """As many as bring a block's logits to `BLOCK_BYTES`: an integer, or a tensor where `positions` is one."""
    fitting = BLOCK_BYTES // 4 // (num_heads * positions)
    if isinstance(positions, int):
        return max(1, min(fitting, positions))
    return ops.maximum(1, ops.minimum(fitting, positions))


def _cut(queries, blocks, size):
    """Cuts (B, heads, HW, dim) into blocks of queries (blocks, B, heads, size, dim), the last filled up with zeros."""
    _, num_heads, positions, dim = ops.shape(queries)
    queries = ops.pad(queries, ((0, 0), (0, 0), (0, blocks * size - positions), (0, 0)))
    return ops.transpose(ops.reshape(queries, (-1, num_heads, blocks, size, dim)), (2, 0, 1, 3, 4))


def fused(queries, keys, values, position_logits=()):
    """Hands relative attention to a stock kernel, which never holds (HW, HW) numbers.

    The logit is one product of longer vectors: [query, its logits for the rows, its logits for the columns] times [key,
    one-hot row, one-hot column]. Heads are padded to a multiple of 8, and values to the length of keys, as kernels
    want them.

    Returns:
        The outputs, of shape (B, heads, HW, value_dim).
    """
    value_dim = values.shape[-1]
    if position_logits:
        height, width = (axis_logits.shape[-1] for axis_logits in position_logits)
        queries = ops.concatenate([queries, *position_logits], axis=-1)
        keys = ops.concatenate([keys, _one_hot_positions(keys, height, width)], axis=-1)
    queries = ops.cast(queries, values.dtype)
    length = _padded_length(max(queries.shape[-1], value_dim))
    queries, keys, values = (_heads_last_but_one(_padded(tensor, length)) for tensor in (queries, keys, values))
    # On a GPU with JAX, Keras would else hold all logits without a word where it thinks that the kernel does not serve.
    flash_attention = True if keras.backend.backend() == "jax" and _jax_device().platform == "gpu" else None
    outputs = ops.dot_product_attention(queries, keys, values, scale=1.0, flash_attention=flash_attention)
    return ops.transpose(outputs, (0, 2, 1, 3))[..., :value_dim]


def _padded_length(length):
    return -(-length // HEAD_MULTIPLE) * HEAD_MULTIPLE


def _one_hot_positions(keys, height, width):
    """The row and the column of each key as one-hot vectors: (B, heads, HW, H + W)."""
    rows = ops.repeat(ops.eye(height, dtype=keys.dtype), width, axis=0)
    columns = ops.tile(ops.eye(width, dtype=keys.dtype), (height, 1))
    one_hot = ops.concatenate([rows, columns], axis=-1)
    return ops.broadcast_to(one_hot, (*ops.shape(keys)[:3], height + width))


def _padded(tensor, length):
    return ops.pad(tensor, ((0, 0), (0, 0), (0, 0), (0, length - tensor.shape[-1])))


def _heads_last_but_one(tensor):
    return ops.transpose(tensor, (0, 2, 1, 3))


def fused_obstacle(dtype, head):
    """Returns why this backend, on its default device, has no fused kernel for an attention, or None if it has one.

    - PyTorch's `scaled_dot_product_attention` has one for every device and length of head;
    - JAX has cuDNN's, for NVIDIA GPUs since Ampere, in bfloat16, and for heads of up to 128, or 256 since Hopper;
    - none takes float16 here: the logits of positions travel in a query, where float16 could overflow;
    - that of TPUs is not used: Keras 3.15 reaches it with a causal mask.

    Args:
        dtype: name of the type of queries, keys and values.
        head: length of a head, before it is padded.
    """
    backend = keras.backend.backend()
    if backend not in ("jax", "torch"):
        return f"the {backend} backend of Keras has no fused attention kernel (those of JAX and PyTorch have)"
    if dtype == "float16":
        return "the logits of positions, which travel in the queries of a fused kernel, could overflow float16"
    return _jax_obstacle(dtype, _padded_length(head)) if backend == "jax" else None


def _jax_obstacle(dtype, head):
    device = _jax_device()
    if device.platform == "tpu":
        return "the kernel for TPUs that Keras reaches attends to earlier positions alone"
    if device.platform != "gpu":
        return f"JAX has a fused attention kernel for NVIDIA GPUs, and the device is a {device.platform.upper()}"
    capability = _compute_capability(device)
    if capability < 8:
        return f"the kernel is for NVIDIA GPUs of compute capability 8.0 or higher, and this is a {device.device_kind}"
    if dtype != "bfloat16":
        return f"the kernel for GPUs takes bfloat16, and the compute type is {dtype}"
    longest = 256 if capability >= 9 else 128
    if head > longest:
        return f"the kernel takes heads of up to {longest} on this GPU, and this one has {head}"
    return _cudnn_obstacle()


def _jax_device():
    import jax

    return jax.devices()[0]


def _compute_capability(device):
    """The generation of an NVIDIA GPU: 8.0 for Ampere, 9.0 for Hopper; 0 for the GPUs of others."""
    try:
        return float(getattr(device, "compute_capability", 0))
    except ValueError:  # "gfx942"
        return 0.0


@functools.cache
def _cudnn_obstacle():
    """Returns why cuDNN's kernel does not run, or None if it does: tried once, on next to nothing."""
    import jax

    # Also in the midst of tracing a function.
    with jax.ensure_compile_time_eval():
        tensor = jax.numpy.zeros((1, 64, 1, 64), "bfloat16")
        try:
            jax.nn.dot_product_attention(tensor, tensor, tensor, implementation="cudnn").block_until_ready()
        except Exception as error:  # whatever it is, attention is to be computed in another way
            return f"cuDNN's kernel does not run here ({error})"
    return None
