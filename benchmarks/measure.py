"""Time and memory of functions of tensors, on every backend of Keras."""

import datetime
import gc
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
# Dense FLOPs a second with tensor cores in half precision, from the makers' data sheets.
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0}


def forward(function, inputs):
    """Returns `function` compiled for these inputs, and not run yet."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(function)
        compiled.get_concrete_function(*inputs)
        return compiled
    if BACKEND == "jax":
        import jax

        return jax.jit(function).lower(*inputs).compile()
    return function


def forward_and_backward(function, inputs):
    """Returns, compiled, the gradients of the summed squares of a function's outputs for each of its inputs."""

    def loss(*inputs):
        return ops.sum(ops.square(ops.cast(function(*inputs), "float32")))

    if BACKEND == "tensorflow":
        import tensorflow as tf

        def gradients(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                total = loss(*inputs)
            return tape.gradient(total, inputs, unconnected_gradients="zero")

        return forward(gradients, inputs)
    if BACKEND == "jax":
        import jax

        return forward(jax.grad(loss, argnums=tuple(range(len(inputs)))), inputs)

    def gradients(*inputs):
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        loss(*inputs).backward()
        return [tensor.grad for tensor in inputs]

    return gradients


def wait(outputs):
    """Waits until outputs are computed: a GPU may still be at work."""
    if BACKEND == "jax":
        import jax

        jax.block_until_ready(outputs)
        return
    for tensor in keras.tree.flatten(outputs):
        np.asarray(ops.convert_to_numpy(ops.ravel(tensor)[:1]))


def seconds(calls, at_least=1.0, rounds=3):
    """Returns the time of each of several calls, which take turns so that variations of the machine affect all.

    Args:
        calls: dict of names to pairs of a function and its inputs.
        at_least: shortest time to measure each call, in seconds.
        rounds: smallest number of turns.

    Returns:
        A dict of names to seconds, the shortest of the turns.
    """
    times = {name: [] for name in calls}
    for function, inputs in calls.values():
        wait(function(*inputs))
    total = 0.0
    while total < at_least * len(calls) or min(map(len, times.values())) < rounds:
        for name, (function, inputs) in calls.items():
            begin = time.perf_counter()
            wait(function(*inputs))
            times[name].append(time.perf_counter() - begin)
            total += times[name][-1]
    return {name: min(durations) for name, durations in times.items()}


def best_of_turns(runs, batch, turns):
    """Returns the shortest time in seconds that each function of a dict takes for a batch, in turns after a warm-up."""
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(turns + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run(batch)
            if turn:
                best[name] = min(best[name], time.perf_counter() - begin)
    return best


class PeakMemory:
    """The memory that the calls in a `with` block take beyond what is allocated at its start.

    It is the memory of the GPU if there is one: JAX does not forget an earlier peak, so this must be the first large
    computation of a process. Otherwise it is that of the process, on Linux alone.

    Attributes:
        bytes: the peak.
    """

    def __enter__(self):
        gc.collect()
        self._before = self._in_use(reset=True)
        return self

    def __exit__(self, *_):
        self.bytes = self._peak() - self._before

    def _in_use(self, reset):
        if _on_gpu() and BACKEND == "jax":
            return _jax_memory()["bytes_in_use"]
        if _on_gpu() and BACKEND == "torch":
            import torch

            torch.cuda.reset_peak_memory_stats()
            return torch.cuda.memory_allocated()
        if _on_gpu():
            import tensorflow as tf

            tf.config.experimental.reset_memory_stats("GPU:0")
            return tf.config.experimental.get_memory_info("GPU:0")["current"]
        pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak to the current memory
        return process_memory("VmRSS")

    def _peak(self):
        if _on_gpu() and BACKEND == "jax":
            return _jax_memory()["peak_bytes_in_use"]
        if _on_gpu() and BACKEND == "torch":
            import torch

            return torch.cuda.max_memory_allocated()
        if _on_gpu():
            import tensorflow as tf

            return tf.config.experimental.get_memory_info("GPU:0")["peak"]
        return process_memory("VmHWM")


def process_memory(field, process="self"):
    """Returns the bytes of a field in the status of a process, such as "VmRSS", its memory, or "VmHWM", the peak."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def _jax_memory():
    import jax

    return jax.local_devices()[0].memory_stats()


def _on_gpu():
    return _gpu_name() is not None


def _gpu_name():
    if BACKEND == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    if BACKEND == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def device():
    """Returns a description of the measurement: processor, backend, versions, date."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = _gpu_name() or f"{_processor()}, {cores} cores"
    backend = f"{BACKEND} {importlib.metadata.version(BACKEND)}"
    today = datetime.date.today().isoformat()
    return f"{name}, Keras {keras.__version__} on {backend}, Python {platform.python_version()}, {today}"


def _processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def peak_flops(dtype):
    """Returns the peak FLOPs a second of a GPU in half precision, or None for another type or device."""
    name = _gpu_name()
    if name is None or dtype not in ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16"):
        return None
    # The longer names first: an L40S is not an L4.
    known = sorted(PEAK_TFLOPS, key=len, reverse=True)
    return next((1e12 * PEAK_TFLOPS[word] for word in known if word in name.replace("-", " ").split()), None)


def in_a_process(script, case):
    """Returns the last line that `script --case=JSON` prints, or the reason if it fails."""
    command = [sys.executable, script, f"--case={json.dumps(case)}"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    return outcome(completed.returncode, completed.stdout, completed.stderr)


def outcome(status, output, errors):
    """Returns the last line that a process printed, JSON, or the reason if it failed."""
    if status == 0:
        return json.loads(output.splitlines()[-1])
    if status in (-9, 137):
        return {"failed": "out of memory"}
    # TensorFlow prints "ValueError: in user code:" first, and the error itself indented.
    error = re.compile(r"\s*[\w.]*(Error|Exception): (?!in user code)")
    lines = [line.strip() for line in errors.splitlines() if error.match(line)]
    return {"failed": (lines or errors.splitlines() or ["?"])[-1]}


def compiled(builder, **arguments):
    """Returns a compiled network of a builder that returns logits."""
    model = builder(classifier_activation=None, **arguments)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.001, momentum=0.9), loss)
    return model
