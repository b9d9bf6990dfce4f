"""Does the fused kernel of the backend return NaN? With the heads of AA-Wide-ResNet-28-10, against dense attention.

    KERAS_BACKEND=jax python benchmarks/kernel_nan.py       # on a GPU: less than a minute

It runs forward and backward in bfloat16, on random inputs and on inputs whose logits all lie near -120, for the maps of
each stage: the kernel alone, and as "fused" calls it, with logits of the mean zero. Cells are the largest error of the
output and of the gradients of queries, keys and values, as a share of the largest number of dense attention in float32.
"""

import importlib.metadata
import json
import pathlib

from absl import app, flags

SIZES = flags.DEFINE_list("sizes", ["8", "16", "32"], "Heights and widths of the maps.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Images in a batch, a multiple of 4.", lower_bound=4)
OUTPUT = flags.DEFINE_string("output", "benchmarks/results/gpu", "Folder of kernel_nan.json and kernel_nan.md.")

HEADS, KEY_DIM = 8, 20
# Images that are drawn and compared with dense attention; the batch has them again and again.
DRAWN = 4


def main(_):
    import measure as measuring

    device = f"{measuring.device()}, {cudnn()}"
    print(device, flush=True)
    rows = []
    for size in map(int, SIZES.value):
        rows += rows_of(size, BATCH_SIZE.value, device)
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel_nan.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    header = "| map | inputs | kernel | output | of queries | of keys | of values |"
    lines = [device, "", header, "| --- " * 7 + "|", *map(formatted, rows)]
    (folder / "kernel_nan.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def cudnn():
    """Returns the version of cuDNN that is loaded, or those of its packages."""
    try:
        from jax._src.lib import cuda_versions  # nothing public has it

        return f"cuDNN {cuda_versions.cudnn_get_version()}"
    except Exception:  # without JAX, or without a GPU
        installed = importlib.metadata.distributions()
        versions = sorted({f"{each.name} {each.version}" for each in installed if "cudnn" in each.name})
        return ", ".join(versions) or "no cuDNN"


def rows_of(size, batch_size, device):
    """Measures the maps of a size, prints a line for each row, and returns the rows."""
    from keras import ops

    from aa_keras.attention import fused
    from aa_keras.attention.blockwise import blockwise_attention
    from aa_keras.attention.kernel_check import RESULTS, cases, with_gradients

    def kernel_alone(*inputs):
        return ops.transpose(fused._kernel(*(ops.transpose(each, (0, 2, 1, 3)) for each in inputs)), (0, 2, 1, 3))

    head = fused._padded_length(KEY_DIM + 2 * size)
    ways = {"alone": with_gradients(kernel_alone), "as used": with_gradients(fused.fused_attention)}
    exact = with_gradients(blockwise_attention)
    rows = []
    for kind, tensors in cases((DRAWN, HEADS, size**2, head)):
        expected = exact(*(ops.cast(tensor, "float32") for tensor in tensors))
        batch = [ops.tile(tensor, (batch_size // DRAWN, 1, 1, 1)) for tensor in tensors]
        for name, attend in ways.items():
            row = {"size": size, "inputs": kind, "kernel": name, "device": device}
            try:
                found = attend(*batch)
                row |= dict(zip(RESULTS, map(error, found, expected), strict=True))
            except Exception as failure:  # a row for it is a result, too
                row["failed"] = f"{type(failure).__name__}: {failure}"[:200]
            print(formatted(row), flush=True)
            rows.append(row)
    return rows


def error(found, expected):
    """Returns the largest error of the images that were compared, relative to the largest number, or "not finite"."""
    from keras import ops

    found, largest = ops.cast(found, "float32"), ops.max(ops.abs(expected))
    if not bool(ops.all(ops.isfinite(found))):
        return "not finite"
    return float(ops.max(ops.abs(found[:DRAWN] - expected)) / largest)


def formatted(row):
    """Returns a row of the table."""
    from aa_keras.attention.kernel_check import RESULTS

    cells = [row["failed"]] if "failed" in row else [row[name] for name in RESULTS]
    cells = [cell if isinstance(cell, str) else f"{cell:.4f}" for cell in cells]
    return f"| {row['size']}x{row['size']} | {row['inputs']} | {row['kernel']} | {' | '.join(cells)} |"


if __name__ == "__main__":
    app.run(main)
