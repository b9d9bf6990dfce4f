"""Where the time of a dense forward pass goes: each of its steps alone, beside the whole.

    python benchmarks/breakdown.py        # 28x28, batch 8, dk 160, dv 16; half a minute

Steps that are measured alone write and read what a whole may keep in a cache, so that their sum is more.
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

HEADS = 8

SIZE = flags.DEFINE_integer("size", 28, "Height and width of the maps.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images.", lower_bound=1)
KEY_DEPTH = flags.DEFINE_integer("key_depth", 160, "The paper's dk.", lower_bound=HEADS)
VALUE_DEPTH = flags.DEFINE_integer("value_depth", 16, "The paper's dv.", lower_bound=HEADS)
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of breakdown.json.")


def main(_):
    import measure
    import numpy as np
    from keras import ops

    from aa_keras import attention

    size, generator = SIZE.value, np.random.default_rng(0)
    positions = size * size
    key_dim, value_dim = KEY_DEPTH.value // HEADS, VALUE_DEPTH.value // HEADS

    def draw(*shape):
        return ops.convert_to_tensor(generator.normal(size=shape).astype("float32"))

    space = (BATCH_SIZE.value, HEADS)
    queries, keys = draw(*space, positions, key_dim), draw(*space, positions, key_dim)
    values, logits = draw(*space, positions, value_dim), draw(*space, positions, positions)
    rows, columns = draw(*space, positions, size), draw(*space, positions, size)
    tables = [draw(2 * size - 1, key_dim), draw(2 * size - 1, key_dim)]

    def on_map(tensor):
        return ops.reshape(tensor, (*space, size, size, -1))

    def axis_logits(queries, *tables):
        embeddings = [attention.relative_embeddings(table, size) for table in tables]
        return attention.relative_logits(on_map(queries), *embeddings)

    def add(logits, rows, columns):
        return ops.reshape(logits, (*space, positions, size, size)) + rows[..., :, None] + columns[..., None, :]

    def whole(queries, keys, values, *tables):
        embeddings = [attention.relative_embeddings(table, size) for table in tables]
        return attention.attention_2d(
            on_map(queries), on_map(keys), on_map(values), *embeddings, implementation="dense"
        )

    steps = {
        "queries by keys": (
            lambda queries, keys: ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))),
            (queries, keys),
        ),
        "logits of the two axes": (axis_logits, (queries, *tables)),
        "adding these": (add, (logits, rows, columns)),
        "softmax": (lambda logits: ops.softmax(logits, axis=-1), (logits,)),
        "probabilities by values": (ops.matmul, (logits, values)),
        "the whole": (whole, (queries, keys, values, *tables)),
    }
    calls = {name: (measure.forward(function, inputs), inputs) for name, (function, inputs) in steps.items()}
    milliseconds = {name: 1e3 * seconds for name, seconds in measure.seconds(calls).items()}
    print(f"{size}x{size}, batch {BATCH_SIZE.value}, dk {KEY_DEPTH.value}, dv {VALUE_DEPTH.value}, {measure.device()}")
    for name, each in milliseconds.items():
        print(f"{name:24}{each:8.1f} ms")
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    result = {"device": measure.device(), "milliseconds": milliseconds}
    (folder / "breakdown.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
