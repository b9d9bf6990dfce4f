"""Images a second in training with a second device and a second host, for a recipe on JAX.

    python benchmarks/scaling.py                                                # the digits, one minute
    python benchmarks/scaling.py --recipe=cifar100_aa_wide_resnet16_4 --batch_size=64 --steps=5

Without GPUs a device is a core: one in one process, two in one process ("data_parallel"), and one in each of two
processes ("multihost"), which communicate over the loopback interface as hosts do over a network. Each device has the
same number of images, so that the ratio would be that of the devices without any loss. On a host with several GPUs,
--gpus=N measures one GPU, and N in one process.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

RECIPE = flags.DEFINE_string("recipe", "digits_aa_wide_resnet10_2", "Recipe to train by.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images in a batch, of each device.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 40, "Steps that are measured.", lower_bound=1)
WARMUP = flags.DEFINE_integer("warmup", 3, "Steps before them.", lower_bound=1)
PRECISION = flags.DEFINE_string("precision", "float32", "Of the recipe.")
GPUS = flags.DEFINE_integer("gpus", 0, "GPUs of this host; 0 for cores instead.", lower_bound=0)
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of scaling.json.")
CASE = flags.DEFINE_string("case", None, "Measures one case, a JSON object, in this process: for internal use.")


def main(_):
    if CASE.value is not None:
        print(json.dumps(measure(**json.loads(CASE.value))))
        return
    cases = {"1 device": (1, 1), f"{GPUS.value or 2} devices of one process": (GPUS.value or 2, 1)}
    if not GPUS.value:
        cases["2 processes of one device"] = (1, 2)
    rows = []
    for name, (devices, processes) in cases.items():
        row = {"case": name, "devices": devices * processes, **in_processes(devices, processes)}
        rows.append(row)
        if "failed" in row:
            print(f"{name:28}{row['failed'][:100]}")
            continue
        if name == "1 device":
            print(f"{RECIPE.value}, {row['device']}")
        ratio = row["images_a_second"] / rows[0].get("images_a_second", float("nan"))
        print(f"{name:28}{row['images_a_second']:9.1f} images a second {ratio:6.2f}x", flush=True)
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"recipe": RECIPE.value, "batch_size_of_a_device": BATCH_SIZE.value, "cases": rows}
    (folder / "scaling.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def in_processes(devices, processes):
    """Runs a case, in one process or in several processes of one run; returns the measurement of the first one."""
    from measure import outcome

    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    running = []
    for index in range(processes):
        case = {"devices": devices, "processes": processes, "index": index, "address": address}
        command = [sys.executable, __file__, f"--case={json.dumps(case)}", *sys.argv[1:]]
        environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        if GPUS.value:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(devices)))
        running.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    printed = [process.communicate() for process in running]
    outcomes = [outcome(process.returncode, *of_it) for process, of_it in zip(running, printed, strict=True)]
    return next((failure for failure in outcomes if "failed" in failure), outcomes[0])


def measure(devices, processes, index, address):
    """Trains for some steps, and returns the images a second of all processes."""
    if not GPUS.value and hasattr(os, "sched_setaffinity"):  # a core for each device, before JAX counts them
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(cores[index * devices : (index + 1) * devices]) or set(cores))
    import keras
    import measure as measuring

    from aa_keras.recipes.files import find_recipe, load_recipe
    from aa_keras.tasks import task_for
    from aa_keras.training import Hosts
    from aa_keras.training.distribution import distribution_for
    from aa_keras.training.optimization import compile_model

    config = load_recipe(find_recipe(RECIPE.value, "--recipe"))
    config.precision = PRECISION.value
    config.batch_size = BATCH_SIZE.value * devices * processes
    config.distribution = "multihost" if processes > 1 else "data_parallel" if devices > 1 else "none"
    hosts = Hosts(address, processes, index) if processes > 1 else None
    distribution = distribution_for(config, hosts)
    keras.utils.set_random_seed(config.seed)
    task = task_for(config)
    steps_per_epoch = task.training_examples // config.batch_size
    steps = STEPS.value + WARMUP.value
    epochs = range(-(-steps // steps_per_epoch))
    times = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs=None: times.append(time.perf_counter())
    )
    with distribution.scope():
        model = task.training_model()
        distribution.prepare(model)
        compile_model(model, task, steps)
        batches = task.training_batches(epochs, steps_per_epoch, distribution.shard)
        model.fit(batches, steps_per_epoch=steps, callbacks=[clock], shuffle=False, verbose=0)
    seconds = (times[-1] - times[WARMUP.value - 1]) / STEPS.value
    return {"images_a_second": config.batch_size / seconds, "device": measuring.device()}


if __name__ == "__main__":
    app.run(main)
