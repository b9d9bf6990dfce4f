"""The time of the steps of an augmented convolution, forward and backward, and of the whole.

    python benchmarks/breakdown.py                                # 32x32, batch 8, 160 filters of AA-Wide-ResNet-28-10
    python benchmarks/breakdown.py --dtype=bfloat16 --size=14 --filters=256 --value_depth=24

Attention is dense. Steps that are measured alone write and read what a whole may keep in a cache, so that their sum is
more.
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

HEADS = 8
FLAGS = flags.FLAGS

SIZE = flags.DEFINE_integer("size", 32, "Height and width of the maps.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images.", lower_bound=1)
FILTERS = flags.DEFINE_integer("filters", 160, "Channels of the maps, before and after.", lower_bound=2 * HEADS)
KEY_DEPTH = flags.DEFINE_integer("key_depth", 160, "The paper's dk.", lower_bound=HEADS)
VALUE_DEPTH = flags.DEFINE_integer("value_depth", 16, "The paper's dv.", lower_bound=HEADS)
DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16", "float16"], "Type of everything.")
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of breakdown.json.")


def main(_):
    import measure

    functions = steps()
    forward = {name: (measure.forward(function, inputs), inputs) for name, (function, inputs) in functions.items()}
    training = {
        name: (measure.forward_and_backward(function, inputs), inputs) for name, (function, inputs) in functions.items()
    }
    of_forward, of_training = (measure.seconds(calls) for calls in (forward, training))
    print(
        f"{SIZE.value}x{SIZE.value}, batch {BATCH_SIZE.value}, {FILTERS.value} filters, dk {KEY_DEPTH.value}, dv "
        f"{VALUE_DEPTH.value}, {DTYPE.value}, {measure.device()}"
    )
    print(f"{'':44}{'forward':>12}{'and backward':>16}")
    for name in functions:
        print(f"{name:44}{1e3 * of_forward[name]:9.1f} ms{1e3 * of_training[name]:13.1f} ms")
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "device": measure.device(),
        **{name: FLAGS[name].value for name in ("size", "batch_size", "filters", "key_depth", "value_depth", "dtype")},
        "forward_ms": {name: 1e3 * duration for name, duration in of_forward.items()},
        "training_ms": {name: 1e3 * duration for name, duration in of_training.items()},
    }
    (folder / "breakdown.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def steps():
    """Returns pairs of a function and its inputs by name: the steps in order, and the whole."""
    import numpy as np
    from keras import ops

    from aa_keras import attention
    from aa_keras.attention import dense

    size, filters, generator = SIZE.value, FILTERS.value, np.random.default_rng(0)
    positions, space = size * size, (BATCH_SIZE.value, HEADS)
    key_dim, value_dim = KEY_DEPTH.value // HEADS, VALUE_DEPTH.value // HEADS
    depths = [KEY_DEPTH.value, 2 * KEY_DEPTH.value]

    def draw(*shape):
        return ops.convert_to_tensor(0.1 * generator.normal(size=shape).astype("float32"), dtype=DTYPE.value)

    def convolve(maps, kernel):
        return ops.conv(maps, kernel, padding="same", data_format="channels_last")

    def split(maps):
        return ops.concatenate(
            [ops.ravel(attention.split_heads(part, HEADS)) for part in ops.split(maps, depths, axis=-1)]
        )

    def axis_logits(queries, *tables):
        embeddings = [attention.relative_embeddings(table, size) for table in tables]
        logits = attention.relative_logits(queries, *embeddings)
        return ops.concatenate([ops.ravel(of_axis) for of_axis in logits])

    def attend(queries, keys, values, *tables):
        embeddings = [attention.relative_embeddings(table, size) for table in tables]
        return attention.attention_2d(queries, keys, values, *embeddings, implementation="dense")

    def augmented(maps, kernel, of_attention, of_output, *tables):
        parts = ops.split(convolve(maps, of_attention), depths, axis=-1)
        attended = attend(*(attention.split_heads(part, HEADS) for part in parts), *tables)
        outputs = convolve(attention.merge_heads(attended), of_output)
        return ops.concatenate([convolve(maps, kernel), outputs], axis=-1)

    maps = draw(BATCH_SIZE.value, size, size, filters)
    of_attention = draw(1, 1, filters, 2 * KEY_DEPTH.value + VALUE_DEPTH.value)
    of_output = draw(1, 1, VALUE_DEPTH.value, VALUE_DEPTH.value)
    projected = draw(BATCH_SIZE.value, size, size, 2 * KEY_DEPTH.value + VALUE_DEPTH.value)
    heads = [draw(*space, size, size, dim) for dim in (key_dim, key_dim, value_dim)]
    flat = [draw(*space, positions, dim) for dim in (key_dim, key_dim, value_dim)]
    tables = [draw(2 * size - 1, key_dim), draw(2 * size - 1, key_dim)]
    of_axes = (draw(*space, positions, size), draw(*space, positions, size))
    kernel, plain = draw(3, 3, filters, filters - VALUE_DEPTH.value), draw(3, 3, filters, filters)
    return {
        "convolution to queries, keys and values": (convolve, (maps, of_attention)),
        "splitting these into heads": (split, (projected,)),
        "logits of the two axes": (axis_logits, (heads[0], *tables)),
        "logits of queries and keys, with these": (
            lambda queries, keys, *of_axes: dense._logits(queries, keys, of_axes),
            (*flat[:2], *of_axes),
        ),
        "softmax, and its product with values": (dense._softmax_product, (draw(*space, positions, positions), flat[2])),
        "attention, the last three": (attend, (*heads, *tables)),
        "merging heads, and their convolution": (
            lambda attended, kernel: convolve(attention.merge_heads(attended), kernel),
            (heads[2], of_output),
        ),
        "3x3 convolution next to attention": (convolve, (maps, kernel)),
        "augmented convolution, all of it": (augmented, (maps, kernel, of_attention, of_output, *tables)),
        "plain 3x3 convolution": (convolve, (maps, plain)),
    }


if __name__ == "__main__":
    app.run(main)
