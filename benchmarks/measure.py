"""Time and memory of functions of tensors, on every backend of Keras."""

import os
import platform
import resource
import sys
import time

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
# Dense half-precision FLOPs a second, of the makers' data sheets.
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L4": 121.0, "T4": 65.0}


def forward(function):
    """Returns `function` compiled."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


def forward_and_backward(function):
    """Returns, compiled, the gradients of the summed squares of a function's outputs for each of its inputs."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function
        def gradients(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                loss = ops.sum(ops.square(function(*inputs)))
            return tape.gradient(loss, inputs, unconnected_gradients="zero")

        return gradients
    if BACKEND == "jax":
        import jax

        def loss(*inputs):
            return ops.sum(ops.square(ops.cast(function(*inputs), "float32")))

        return lambda *inputs: jax.jit(jax.grad(loss, argnums=tuple(range(len(inputs)))))(*inputs)

    def gradients(*inputs):
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        ops.sum(ops.square(function(*inputs))).backward()
        return [tensor.grad for tensor in inputs]

    return gradients


def wait(outputs):
    """Returns when outputs have been computed, of which a GPU may still be at work on."""
    first = next(tensor for tensor in keras.tree.flatten(outputs) if tensor is not None)
    if BACKEND == "jax":
        first.block_until_ready()
    else:
        np.asarray(ops.convert_to_numpy(ops.ravel(first)[:1]))


def seconds(function, inputs, at_least=1.0, rounds=3):
    """Returns the time of a call: the shortest of `rounds` calls or more, for `at_least` so many seconds."""
    wait(function(*inputs))
    times = []
    while len(times) < rounds or sum(times) < at_least:
        begin = time.perf_counter()
        wait(function(*inputs))
        times.append(time.perf_counter() - begin)
    return min(times)


class PeakMemory:
    """The memory that the calls in a `with` block take beyond what the process held before; once in a process.

    Attributes:
        bytes: the peak, of the device if it is a GPU, or of the process.
    """

    def __enter__(self):
        self._before = self._peak()
        return self

    def __exit__(self, *_):
        self.bytes = self._peak() - self._before

    def _peak(self):
        if BACKEND == "jax":
            import jax

            statistics = jax.local_devices()[0].memory_stats()
            if statistics is not None:
                return statistics["peak_bytes_in_use"]
        in_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return in_kilobytes * (1 if sys.platform == "darwin" else 1024)


def device():
    """Returns in words what is measured on: backend, device, versions."""
    name = platform.machine()
    if BACKEND == "jax":
        import jax

        name = jax.devices()[0].device_kind if jax.devices()[0].platform != "cpu" else name
    elif BACKEND == "torch":
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else name
    cores = f", {_cores()} cores" if name == platform.machine() else ""
    return f"{name}{cores}, Keras {keras.__version__} on {BACKEND}, Python {platform.python_version()}"


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def peak_flops():
    """Returns the FLOPs a second that the device could do in half precision, or None where it is not known."""
    return next((1e12 * tflops for name, tflops in PEAK_TFLOPS.items() if name in device()), None)
