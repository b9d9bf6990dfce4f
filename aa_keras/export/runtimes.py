"""Exports in their own runtimes: nothing of Keras or of this library is imported.

`check` runs this file as a program, in a separate process.
"""

import os
import statistics
import sys
import time

import numpy as np


def saved_model(path):
    """Returns a function of a uint8 array (batch, height, width, channels) that returns a dictionary of arrays.

    Its attribute `loaded` keeps what TensorFlow loaded, and with it the variables, alive. A second argument names
    another signature to call.

    Args:
        path: folder of the SavedModel.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def run(images, signature="serving_default"):
        outputs = loaded.signatures[signature](images=tf.constant(images))
        return {name: value.numpy() for name, value in outputs.items()}

    run.loaded = loaded
    return run


def onnx(path, threads=0):
    """Returns the same for an ONNX file, with ONNX Runtime; its attribute `session` is that of the runtime.

    Args:
        path: the file.
        threads: number of threads, 0 for one on each core.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone: it warns of constants that it does not need
    # Threads that spin until the next call would take the cores from those that read images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(images):
        return dict(zip(names, session.run(names, {"images": images}), strict=True))

    run.session = session
    return run


def litert(path, threads=0):
    """Returns the same for a LiteRT file, with its interpreter; the arguments are those of `onnx`."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path, num_threads=threads or os.cpu_count()).get_signature_runner("serve")
    return lambda images: runner(images=images)


# The second signature of SavedModels.
TOP_K = "top_k"
RUNTIMES = {"saved_model": saved_model, "onnx": onnx, "litert": litert}


def latency(run, images, seconds=1.0, most=30):
    """Returns the median time in seconds that `run` takes for `images`, after a warm-up."""
    run(images)
    taken, begin = [], time.perf_counter()
    while len(taken) < 3 or (time.perf_counter() - begin < seconds and len(taken) < most):
        start = time.perf_counter()
        run(images)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main():
    """Runs an export on batches: `runtimes.py FORMAT EXPORT BATCHES RESULTS`, the last two NumPy files."""
    export_format, export, batches, results = sys.argv[1:]
    for package in ("keras", "aa_keras"):  # as if they were not installed
        sys.modules[package] = None
    run = RUNTIMES[export_format](export)
    with np.load(batches) as loaded:
        inputs = dict(loaded)
    found = {f"{batch}/{name}": value for batch, images in inputs.items() for name, value in run(images).items()}
    first = next(iter(inputs.values()))[:1]
    found["latency"] = latency(run, first)
    if export_format == "saved_model" and TOP_K in run.loaded.signatures:  # detectors have no such signature
        top = run(first, TOP_K)
        found |= {f"{TOP_K}/{name}": np.array(value.tolist()) for name, value in top.items()}  # no objects
    np.savez(results, **found)


if __name__ == "__main__":
    main()
