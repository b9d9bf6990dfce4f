"""Relative attention by kernels of our own, written in Pallas, for NVIDIA GPUs with JAX.

This module imports JAX: import it where it is used.
"""

import functools
import itertools
import string
import types
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental import pallas
from jax.experimental.custom_partitioning import custom_partitioning
from jax.experimental.pallas import triton
from jax.sharding import NamedSharding, PartitionSpec

from aa_keras.attention import pallas_kernels
from aa_keras.attention.pallas_kernels import LN_2, Blocks
from aa_keras.attention.shapes import triton_side


class Tiling(NamedTuple):
    """The blocks of the three kernels, and whether these are interpreted, which works without a GPU."""

    outputs: Blocks
    query_gradients: Blocks
    key_gradients: Blocks
    interpret: bool


def tiling(height: int, width: int, channels: int, interpret: bool | None = None) -> Tiling:
    """Returns the blocks for maps of a size.

    With these numbers the registers of a GPU of compute capability 9.0 hold what the kernels need, by the code that
    Triton makes of them. Their speed was measured on no GPU.

    Args:
        height: positions along the vertical axis.
        width: positions along the horizontal axis.
        channels: the larger one of the channels of a key and of a value in each head.
        interpret: whether to interpret the kernels; None does so where the default device is no GPU.
    """
    columns = min(triton_side(width), 64)
    largest = min(triton_side(height * width), 128 if channels <= 128 else 32)
    warps = 4 if channels <= 64 else 8
    return Tiling(
        Blocks(min(largest, 4096 // columns), columns, warps=warps),
        Blocks(min(largest, 2048 // columns), columns, warps=warps),
        Blocks(min(largest, 32), columns, rows=2 if columns <= 32 and height % 2 == 0 else 1, warps=warps),
        jax.default_backend() != "gpu" if interpret is None else interpret,
    )


def pallas_attention(
    queries: Any, keys: Any, values: Any, position_logits: tuple = (), blocks: Tiling | None = None
) -> Any:
    """Computes relative attention with logits of rows and columns that are added within the kernel.

    Products have operands of the values' type; logits, exponentials and sums are float32. Memory grows as
    HW * (key_dim + value_dim + H + W), in the backward pass too, where H counts once for each 64 columns. There is no
    forward mode and no second derivative.

    The arguments and the result are those of `aa_keras.attention.fused.fused_attention`. `blocks` is a `Tiling`; None
    takes that of `tiling`.

    Raises:
        ValueError: for a batch of unknown size, as in an export.
    """
    batch, heads, positions, _ = queries.shape
    if not isinstance(batch, int):
        raise ValueError(
            "The kernel in Pallas needs a batch of a known size: export a network with implementation='dense'. "
            f"Received: a batch of {batch}"
        )
    # Without positions, all keys are one row of a map.
    height, width = (of_axis.shape[-1] for of_axis in position_logits) if position_logits else (1, positions)
    if blocks is None:
        blocks = tiling(height, width, max(keys.shape[-1], values.shape[-1]))

    def logits_to_base_2(tensor):
        return tensor.astype(jnp.promote_types(tensor.dtype, "float32")) / LN_2

    def map_of(tensor):
        return tensor.astype(values.dtype).reshape(-1, height, width, tensor.shape[-1])

    outputs = _attention(
        _heads_together(logits_to_base_2(queries).astype(values.dtype)),
        map_of(keys),
        map_of(values),
        # The queries last, of which a program reads many for each row or column.
        [_heads_together(logits_to_base_2(of_axis)).swapaxes(1, 2) for of_axis in position_logits],
        blocks,
    )
    return outputs.reshape(batch, heads, positions, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attention(queries, keys, values, position_logits, blocks):
    """Attends in each head; `pallas_kernels` has the shapes of a head's arrays, which here follow an axis of heads."""
    return _forward(queries, keys, values, position_logits, blocks)[0]


def _forward(queries, keys, values, position_logits, blocks):
    inputs = {"queries": queries, "keys": keys, "values": values}
    inputs |= dict(zip(("rows", "columns"), position_logits, strict=False))
    positions, value_dim = queries.shape[1], values.shape[-1]
    results = {"outputs": ((positions, value_dim), values.dtype), "log_sums": ((positions,), jnp.float32)}
    programs = pallas.cdiv(positions, blocks.outputs.queries)
    outputs, log_sums = _run(pallas_kernels.outputs, programs, inputs, results, blocks.outputs, blocks.interpret)
    return outputs, (inputs, outputs, log_sums)


def _backward(blocks, kept, gradient):
    inputs, outputs, log_sums = kept
    # The sum in the gradient of a softmax is the product of an output and its gradient.
    sums = jnp.sum(gradient.astype(jnp.float32) * outputs.astype(jnp.float32), axis=-1)
    inputs = {**inputs, "gradient": gradient, "log_sums": log_sums, "sums": sums}
    results = {f"of_{name}": (array.shape[1:], array.dtype) for name, array in inputs.items()}

    height, width = inputs["keys"].shape[1:3]
    of_queries = {name: results[name] for name in ("of_queries", "of_rows", "of_columns") if name in results}
    if "of_rows" in of_queries:  # a part of this gradient for each strip of columns
        strips = pallas.cdiv(width, blocks.query_gradients.columns)
        of_queries["of_rows"] = (strips, height, height * width), jnp.float32
    programs = pallas.cdiv(height * width, blocks.query_gradients.queries)
    of_queries, *of_logits = _run(
        pallas_kernels.query_gradients, programs, inputs, of_queries, blocks.query_gradients, blocks.interpret
    )
    if of_logits:
        of_logits[0] = jnp.sum(of_logits[0], axis=1)

    of_keys = {name: results[name] for name in ("of_keys", "of_values")}
    programs = pallas.cdiv(width, blocks.key_gradients.columns) * (height // blocks.key_gradients.rows)
    of_keys, of_values = _run(
        pallas_kernels.key_gradients, programs, inputs, of_keys, blocks.key_gradients, blocks.interpret
    )
    return of_queries, of_keys, of_values, of_logits


_attention.defvjp(_forward, _backward)


def _run(kernel, programs, inputs, results, blocks, interpret):
    """Runs a kernel with some programs for each head, and returns its results in a tuple.

    Args:
        kernel: function of `pallas_kernels`.
        programs: number of programs for a head.
        inputs: dictionary of arrays, with an axis of heads first.
        results: dictionary of the shapes, without that axis, and types of results.
        blocks: the `Blocks` of the kernel.
        interpret: whether to interpret it.
    """
    shapes = {name: array.shape[1:] for name, array in inputs.items()}
    shapes |= {name: shape for name, (shape, _) in results.items()}

    def run_program(*references):
        head = types.SimpleNamespace(rows=None, columns=None)
        for (name, shape), reference in zip(shapes.items(), references, strict=True):
            setattr(head, name, pallas_kernels.Array(reference, shape))
        kernel(head, jax.lax.rem(pallas.program_id(0), programs), blocks)

    def of_head(shape):
        # JAX refuses slices of constant ends beyond those of an array, as of channels: the last axis is longer for it.
        lengths = *shape[:-1], triton_side(shape[-1])
        return pallas.BlockSpec((None, *lengths), lambda program: (jax.lax.div(program, programs), *(0 for _ in shape)))

    def run(*arrays):
        heads = len(arrays[0])
        return pallas.pallas_call(
            run_program,
            grid=(heads * programs,),
            in_specs=[of_head(array.shape[1:]) for array in arrays],
            out_specs=[of_head(shape) for shape, _ in results.values()],
            out_shape=[jax.ShapeDtypeStruct((heads, *shape), dtype) for shape, dtype in results.values()],
            compiler_params=triton.CompilerParams(num_warps=blocks.warps, num_stages=blocks.stages),
            interpret=interpret,
            name=kernel.__name__,
        )(*arrays)

    axes = [array.ndim - 1 for array in inputs.values()], [len(shape) for shape, _ in results.values()]
    return _by_head(run, *axes)(*inputs.values())


def _by_head(run, axes_of_inputs, axes_of_results):
    """Returns a function of arrays, with an axis of heads first, that devices share and that `jax.vmap` maps.

    Without the former, XLA would gather the heads of all devices on each of them.
    """
    shared = custom_partitioning(run)

    def partition(mesh, arrays, results):
        sharding = NamedSharding(mesh, PartitionSpec(*arrays[0].sharding.spec[:1]))
        return mesh, run, (sharding,) * len(results), (sharding,) * len(arrays)

    # As in "h a b, h c -> h d": the first axis is the same everywhere, and all others are whole.
    letters = iter(sorted(set(string.ascii_letters) - {"h"}))
    sides = [
        ", ".join(" ".join(("h", *itertools.islice(letters, count))) for count in axes)
        for axes in (axes_of_inputs, axes_of_results)
    ]
    shared.def_partition(partition, sharding_rule=" -> ".join(sides))
    mapped = custom_vmap(shared)

    @mapped.def_vmap
    def run_mapped(size, has_axis, *arrays):
        arrays = [
            array if mapped_here else jnp.broadcast_to(array, (size, *array.shape))
            for array, mapped_here in zip(arrays, has_axis, strict=True)
        ]
        results = mapped(*map(_heads_together, arrays))
        return tuple(each.reshape(size, -1, *each.shape[1:]) for each in results), (True,) * len(results)

    return mapped


def _heads_together(array):
    """Merges the first two axes: (B, heads, ...) to (B * heads, ...)."""
    return array.reshape(-1, *array.shape[2:])
