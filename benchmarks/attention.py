"""Time and memory of relative attention, ours and others, each in a process of its own.

    python benchmarks/attention.py                      # both networks, all sizes, some fifteen minutes on two cores
    python benchmarks/attention.py --sizes=28 --models=aa_wide_resnet28_10

It measures our implementations, the same attention without positions (as "auto" computes it), the paper's published
algorithm, and a 3x3 convolution with as many input and output channels as attention; the projections around attention
are left out of all. Ratios are to the published algorithm. "positions" is the ratio of the training time to that of the
same implementation without positions, the two taking turns in one process. KERAS_BACKEND=jax measures on JAX; on a GPU
add --dtype=bfloat16 --batch_size=128.
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

# For maps of up to this many pixels on a side: the filters of the augmented convolution and the paper's dk and dv, in
# the last, the middle and the first augmented stage.
MODELS = {
    "aa_resnet50": {7: (512, 160, 48), 14: (256, 160, 24), 64: (128, 160, 8)},
    "aa_wide_resnet28_10": {8: (640, 160, 64), 16: (320, 160, 32), 64: (160, 160, 16)},
}
HEADS = 8
OURS = ("dense", "blockwise", "fused", "pallas", "flex")
VARIANTS = ("published", *OURS, "no positions", "convolution")
# Kernels of one backend alone.
OF_BACKENDS = {"pallas": "jax", "flex": "torch"}

SIZES = flags.DEFINE_list("sizes", ["7", "14", "28", "32", "56", "64"], "Heights and widths of the maps.")
OF_MODELS = flags.DEFINE_list("models", list(MODELS), f"Whose depths: of {', '.join(MODELS)}.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Images; by default 8, and 1 beyond 32x32.", lower_bound=1)
DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16", "float16"], "Type of queries, keys and values.")
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of attention.json and attention.png.")
CASE = flags.DEFINE_string("case", None, "Measures one case, a JSON object, in this process: for internal use.")


def main(_):
    if CASE.value is not None:
        print(json.dumps(measure(**json.loads(CASE.value))))
        return
    from measure import BACKEND, in_a_process

    variants = [variant for variant in VARIANTS if OF_BACKENDS.get(variant, BACKEND) == BACKEND]
    results = []
    for model in OF_MODELS.value:
        for size in map(int, SIZES.value):
            batch_size = BATCH_SIZE.value or (8 if size <= 32 else 1)
            case = {"model": model, "size": size, "batch_size": batch_size, "dtype": DTYPE.value}
            rows = [
                {**case, "variant": variant, **in_a_process(__file__, {**case, "variant": variant})}
                for variant in variants
            ]
            print_table(case, rows)
            results += rows
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "attention.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "attention.md").write_text(markdown(results), encoding="utf-8")
    plot(results, folder / "attention.png")
    print(f"{folder}: attention.json, attention.md, attention.png")


def depths(model, size):
    """Returns filters, dk and dv of the convolution that a network augments at maps of about this size."""
    return next((of_stage for largest, of_stage in MODELS[model].items() if size <= largest), MODELS[model][64])


def measure(variant, model, size, batch_size, dtype):
    import measure as measuring
    import numpy as np
    import published
    from keras import ops

    from aa_keras import attention

    filters, key_depth, value_depth = depths(model, size)
    generator = np.random.default_rng(0)

    def draw(*shape):
        return ops.convert_to_tensor(generator.normal(size=shape).astype("float32"), dtype=dtype)

    space = (batch_size, HEADS, size, size)
    inputs = [draw(*space, depth // HEADS) for depth in (key_depth, key_depth, value_depth)]
    tables = [draw(2 * size - 1, key_depth // HEADS), draw(2 * size - 1, key_depth // HEADS)]
    implementation = variant if variant in OURS else "auto"

    def attend(queries, keys, values, *tables):
        relative = [attention.relative_embeddings(table, size) for table in tables]
        return attention.attention_2d(queries, keys, values, *relative, implementation=implementation)

    if variant == "published":
        function, inputs = published.attention_2d, inputs + tables
    elif variant == "convolution":
        inputs = [draw(batch_size, size, size, filters), draw(3, 3, filters, value_depth)]
        function = lambda maps, kernel: ops.conv(maps, kernel, padding="same", data_format="channels_last")  # noqa: E731
    else:
        function, inputs = attend, inputs + (tables if variant in OURS else [])
    backward = measuring.forward_and_backward(function, inputs)
    with measuring.PeakMemory() as peak:
        measuring.wait(backward(*inputs))
    calls = {"forward": (measuring.forward(function, inputs), inputs), "training": (backward, inputs)}
    if variant in OURS:
        calls["without"] = (measuring.forward_and_backward(attend, inputs[:3]), inputs[:3])
    times = measuring.seconds(calls)
    row = {
        "forward_ms": 1e3 * times["forward"],
        "training_ms": 1e3 * times["training"],
        "peak_megabytes": peak.bytes / 2**20,
        "device": measuring.device(),
    }
    if variant in OURS:
        row["cost_of_positions"] = times["training"] / times["without"]
    peak_flops = measuring.peak_flops(dtype)
    if peak_flops and variant != "convolution":
        flops = training_flops(size, key_depth, value_depth, variant != "no positions")
        row["model_flop_utilisation"] = batch_size * flops / times["training"] / peak_flops
    return row


def training_flops(size, key_depth, value_depth, relative):
    """Returns the FLOPs of an image, forward and backward, without what an implementation adds.

    They are those of the products of queries with keys, with the embeddings of each row and column, and of
    probabilities with values, each three times.
    """
    positions = size**2
    multiplied = positions**2 * (key_depth + value_depth) + relative * positions * 2 * size * key_depth
    return 3 * 2 * multiplied


def print_table(case, rows):
    _, key_depth, value_depth = depths(case["model"], case["size"])
    size, device = case["size"], next((row["device"] for row in rows if "device" in row), "")
    print(f"\n{case['model']}: {size}x{size}, batch {case['batch_size']}, dk {key_depth}, dv {value_depth}, {device}")
    reference = rows[0]
    columns = (("forward_ms", "ms"), ("training_ms", "ms"), ("peak_megabytes", "MB"))
    print(f"{'':14}{'forward':>20}{'forward + backward':>22}{'peak memory':>22}{'positions':>11}")
    for row in rows:
        if "failed" in row:
            print(f"{row['variant']:14}{row['failed'][:100]}")
            continue
        cells = []
        for column, unit in columns:
            ratio = f" {reference[column] / row[column]:7.2f}x" if column in reference and row[column] > 0 else ""
            cells.append(f"{row[column]:9.1f} {unit}{ratio:9}")
        cost = f"{row['cost_of_positions']:7.2f}x" if "cost_of_positions" in row else " " * 8
        used = f"  utilisation {row['model_flop_utilisation']:.1%}" if "model_flop_utilisation" in row else ""
        print(f"{row['variant']:14}" + "  ".join(cells) + cost + used, flush=True)


def markdown(results):
    """Returns a table for each network: ratios of the published algorithm to ours, and what positions cost."""
    ours = [name for name in OURS if any(row["variant"] == name and "failed" not in row for row in results)]
    header = "| map | " + " | ".join(f"{name}, forward | and backward | memory | positions" for name in ours) + " |"
    tables = []
    for model in dict.fromkeys(row["model"] for row in results):
        lines = [f"{model}:", "", header, "| --- " * (1 + 4 * len(ours)) + "|"]
        for size in dict.fromkeys(row["size"] for row in results if row["model"] == model):
            rows = {row["variant"]: row for row in results if (row["model"], row["size"]) == (model, size)}
            cells = []
            for name in ours:
                for column in ("forward_ms", "training_ms", "peak_megabytes"):
                    measured = [rows[variant].get(column) for variant in ("published", name)]
                    cells.append(f"{measured[0] / measured[1]:.2f}" if all(measured) else "")  # one of them did not run
                cost = rows[name].get("cost_of_positions")
                cells.append("" if cost is None else f"{cost:.2f}")
            lines.append(f"| {size}x{size} | {' | '.join(cells)} |")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def plot(results, path):
    """Draws time and memory against the number of positions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = (("training_ms", "forward + backward, ms an image"), ("peak_megabytes", "peak memory, MB an image"))
    models = list(dict.fromkeys(row["model"] for row in results))
    figure, axes = pyplot.subplots(len(models), 2, figsize=(11, 4.2 * len(models)), squeeze=False, layout="constrained")
    for model, pair in zip(models, axes, strict=True):
        for (column, label), axis in zip(columns, pair, strict=True):
            for variant in VARIANTS:
                rows = [row for row in results if (row["model"], row["variant"]) == (model, variant) and column in row]
                if rows:
                    positions = [row["size"] ** 2 for row in rows]
                    values = [max(row[column], 0.1) / row["batch_size"] for row in rows]
                    axis.loglog(positions, values, marker="o", label=variant)
            axis.set(title=model, xlabel="positions, H x W", ylabel=label)
            axis.grid(alpha=0.3)
            axis.legend(fontsize="small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    app.run(main)
