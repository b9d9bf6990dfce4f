"""Hints and measurements of whether training is faster in mixed_bfloat16 on this machine."""

import itertools
import pathlib
import time

import keras

from aa_keras.attention.devices import compute_capability
from aa_keras.tasks import task_for
from aa_keras.training.optimization import compile_model

POLICIES = ("float32", "mixed_bfloat16")
# FLOPs of an image, below which steps are no shorter in bfloat16.
LEAST_FLOPS = 1e8
STEPS = 3
TURNS = 3


def hint(config, complexity):
    """Returns a hint if a config trains in float32 on a device that computes bfloat16 faster, or None."""
    if config.precision != "float32" or complexity.flops < LEAST_FLOPS:
        return None
    reason = reason_for_bfloat16()
    if reason is None:
        return None
    return (
        f"Hint: {reason}. --config.precision=mixed_bfloat16 may train faster; --config.benchmark_precision=True "
        "measures it"
    )


def measured(run):
    """Trains some steps in float32 and in mixed_bfloat16, and returns a line with the time of a step in each."""
    trainers = {policy: _trainer(run, policy) for policy in POLICIES}
    seconds = dict.fromkeys(POLICIES, float("inf"))
    for turn, policy in itertools.product(range(TURNS + 1), POLICIES):
        begin = time.perf_counter()
        trainers[policy]()
        if turn:  # the first step compiles
            seconds[policy] = min(seconds[policy], (time.perf_counter() - begin) / STEPS)
    keras.backend.clear_session()  # so that the layers of the run get the same names as without this
    ratio = seconds["float32"] / seconds["mixed_bfloat16"]
    return (
        f"A step takes {seconds['float32']:.3g} s in float32 and {seconds['mixed_bfloat16']:.3g} s in mixed_bfloat16: "
        f"{ratio:.2f} times as fast here. This run is in {run.config.precision}"
    )


def _trainer(run, policy):
    """Returns a function that trains a network of a run for some steps in a precision, on the run's first batch."""
    config = run.config.copy_and_resolve_references()
    config.precision = policy
    task = task_for(config)
    model = task.training_model()
    compile_model(model, task, run.steps_per_epoch)
    batch = task.training_batches(range(1), run.steps_per_epoch, (0, 1)).take(1).cache().repeat()

    def train():
        with task.reading_errors():
            model.fit(batch, steps_per_epoch=STEPS, shuffle=False, verbose=0)

    return train


def reason_for_bfloat16():
    """Returns in words why bfloat16 should be fast on the backend's device, or None."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _reason_of_tensorflow()
    if backend == "torch":
        import torch

        has_gpu = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
        return _reason(torch.cuda.get_device_name()) if has_gpu else None
    import jax

    device = jax.local_devices()[0]
    is_fast = device.platform == "tpu" or compute_capability(device) >= 8
    return _reason(device.device_kind) if is_fast else None


def _reason_of_tensorflow():
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        if details.get("compute_capability", (0, 0)) >= (8, 0):
            return _reason(details.get("device_name", "GPU"))
    # On CPUs oneDNN uses these instructions, which Linux lists.
    flags = _cpu_flags()
    names = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
    return next((f"This CPU has {name} instructions" for flag, name in names.items() if flag in flags), None)


def _cpu_flags():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ())


def _reason(device):
    return f"The {device} has matrix units for bfloat16"
