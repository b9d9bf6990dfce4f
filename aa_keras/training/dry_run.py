"""A look at a run before it starts: data, network, memory and time, with nothing written but a picture."""

import datetime
import os
import pathlib
import statistics
import time

import keras
import numpy as np

from aa_keras.complexity import model_complexity
from aa_keras.evaluation.training_pictures import SHOWN
from aa_keras.training.memory import training_memory

STEPS = 3


def dry_run(run, output):
    """Checks a run, trains a few steps of it, and prints what to expect.

    Args:
        run: `Run`, whose directory and data are checked.
        output: folder for `augmented.png`, pictures of training images as the network gets them; None for none.
    """
    config, task = run.config, run.task
    keras.utils.set_random_seed(config.seed)
    with run.distribution.scope():
        model = run.model_to_train()
        print(task.headline(model_complexity(model)))
        memory = training_memory(model)
        print(
            f"Memory of a step, estimated: {_gigabytes(memory.of_step(config.batch_size))}, of which "
            f"{_gigabytes(memory.of_variables)} are weights, gradients and optimizer, and the rest "
            f"{config.batch_size} {task.examples}"
        )
        with task.reading_errors():
            timer = _Timer()
            steps = min(STEPS + 1, run.steps_per_epoch)  # the first one compiles
            batches = task.training_batches(range(1), steps, run.distribution.shard)
            model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[timer])
            seconds = statistics.median(timer.seconds[1:] or timer.seconds)
            in_all = config.epochs * run.steps_per_epoch
            duration = datetime.timedelta(seconds=round(in_all * seconds))
            print(
                f"Steps: {run.steps_per_epoch:,} in each of {config.epochs:,} epochs, of {config.batch_size} "
                f"{task.examples}; {seconds:.3g} s each, as {len(timer.seconds[1:])} steps took here: {duration} "
                "in all (hours, minutes, seconds), without validation"
            )
            _draw(run, output)
    print(f"The run would write into {os.path.abspath(run.directory.path)}. Nothing was written there")


def _draw(run, output):
    config, task = run.config, run.task
    if output is None:
        print("--output=FOLDER writes augmented.png, training images as the network gets them")
        return
    folder = pathlib.Path(output)
    path = folder / "augmented.png"
    count = min(-(-SHOWN // config.batch_size), run.steps_per_epoch)
    batches = list(task.training_batches(range(1), count, run.distribution.shard))
    folder.mkdir(parents=True, exist_ok=True)
    task.plot_training_batch(keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches), path)
    print(f"Training images as the network gets them: {path}")


class _Timer(keras.callbacks.Callback):
    """Takes the time of each step until its loss is known."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_begin(self, logs=None):
        self._last = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        float(logs["loss"])  # waits for the device
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


def _gigabytes(count):
    return f"{count / 2**30:.2g} GiB"
