"""Exports, run by their own runtimes alone: nothing of Keras or of this library is imported.

`check` runs this file as a program, in a process of its own.
"""

import contextlib
import os
import statistics
import sys
import time

import numpy as np


def saved_model(path, signature="serving_default"):
    """Returns a function of a uint8 array (batch, height, width, channels) that returns a dictionary of arrays.

    Args:
        path: folder of the SavedModel.
        signature: the one of its signatures to ask.

    Raises:
        KeyError: if it has no such signature.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    function = loaded.signatures[signature]

    def run(images):
        return {name: value.numpy() for name, value in function(images=tf.constant(images)).items()}

    run.variables = loaded  # they would vanish with it
    return run


def onnx(path):
    """Returns the same of an ONNX file, by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {"images": images}), strict=True))


def litert(path):
    """Returns the same of a LiteRT file, by its interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path, num_threads=os.cpu_count()).get_signature_runner("serve")
    return lambda images: runner(images=images)


# The second signature of SavedModels.
TOP_K = "top_k"
RUNTIMES = {"saved_model": saved_model, "onnx": onnx, "litert": litert}


def latency(run, images, seconds=1.0, most=30):
    """Returns the median of the seconds that `run` takes for `images`, once it has warmed up."""
    run(images)
    taken, begin = [], time.perf_counter()
    while len(taken) < 3 or (time.perf_counter() - begin < seconds and len(taken) < most):
        start = time.perf_counter()
        run(images)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main():
    """Runs an export on batches: `runtimes.py FORMAT EXPORT BATCHES RESULTS`, the last two files of NumPy's."""
    export_format, export, batches, results = sys.argv[1:]
    for package in ("keras", "aa_keras"):  # as if they were not installed
        sys.modules[package] = None
    run = RUNTIMES[export_format](export)
    with np.load(batches) as loaded:
        inputs = dict(loaded)
    found = {f"{batch}/{name}": value for batch, images in inputs.items() for name, value in run(images).items()}
    first = next(iter(inputs.values()))[:1]
    found["latency"] = latency(run, first)
    if export_format == "saved_model":
        with contextlib.suppress(KeyError):  # of detectors
            top = saved_model(export, TOP_K)(first)
            found |= {f"{TOP_K}/{name}": np.array(value.tolist()) for name, value in top.items()}  # no objects
    np.savez(results, **found)


if __name__ == "__main__":
    main()
