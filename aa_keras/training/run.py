"""A run: a recipe with its task, its devices, its directory and its state."""

import contextlib
import dataclasses
import functools
import os
import time

import ml_collections

from aa_keras.errors import UserError
from aa_keras.files import read_fields
from aa_keras.recipes.checks import check_unused
from aa_keras.recipes.fields import as_dictionary
from aa_keras.tasks import Task
from aa_keras.training import stopping
from aa_keras.training.checkpoints import Checkpoints, TrainingState
from aa_keras.training.distribution import Distribution
from aa_keras.training.optimization import compile_model
from aa_keras.training.run_directory import RunDirectory, fingerprint


@dataclasses.dataclass
class Run:
    """A recipe in execution.

    Attributes:
        config: the recipe's config, checked.
        task: the config's `Task`.
        distribution: `Distribution`, the devices that it runs on.
        directory: `RunDirectory` that it writes into.
        overwrite: whether another run in that directory may be replaced.
        state: `TrainingState`, its state so far; None before `restore`.
        stopped: why it stopped before its last epoch, as in `aa_keras.training.stopping`; None if it did not.
        started: time of its start, of the clock `time.monotonic`.
    """

    config: ml_collections.ConfigDict
    task: Task
    distribution: Distribution
    directory: RunDirectory
    overwrite: bool
    state: TrainingState | None = None
    stopped: str | None = None
    started: float = dataclasses.field(default_factory=time.monotonic)

    @functools.cached_property
    def config_as_dictionary(self):
        """The config as in its file."""
        return as_dictionary(self.config)

    @functools.cached_property
    def checkpoints(self):
        """The run's `Checkpoints`."""
        return Checkpoints(self.directory / "checkpoints", fingerprint(self.config_as_dictionary))

    @functools.cached_property
    def steps_per_epoch(self):
        """The number of steps in an epoch; raises UserError if there are too few examples for a step."""
        config, examples = self.config, self.task.training_examples
        available = examples // config.batch_size
        if not 1 <= (config.steps_per_epoch or available) <= available:
            raise UserError(
                f"config.batch_size times config.steps_per_epoch must be at most {examples}, the training "
                f"{self.task.examples} of {config.dataset!r}. "
                f"Received: batch_size={config.batch_size}, steps_per_epoch={config.steps_per_epoch}"
            )
        return config.steps_per_epoch or available

    def finished_result(self):
        """Raises UserError if the directory cannot be used; returns the result of a finished run, or None.

        Every process must call it.
        """
        recipe = {name: value for name, value in self.config_as_dictionary.items() if name != "data_dir"}
        self.distribution.check_same("recipe", recipe)
        return self.distribution.on_first(self._finished_result)

    def _finished_result(self):
        self.directory.check(self.config_as_dictionary, self.overwrite)
        if self.overwrite or not (self.directory / "result.json").exists():
            return None
        fields = {**dict.fromkeys(self.task.metrics, float), "test_examples": int}
        result = read_fields(self.directory / "result.json", fields)
        if result.get("stopped") == stopping.OUT_OF_TIME:
            return None  # it resumes
        print(f"{self.directory.path} has the finished run: {self.task.describe(result)}")
        return result

    def check_data(self):
        """Raises UserError for data that cannot be trained on, or that another process or run does not have."""
        check_unused(self.config, self.task.unused_fields)
        self.task.check_trainable()
        stopping.check(self)
        self.distribution.check_same("data", self.task.fingerprint)
        self.distribution.on_first(self.directory.check_data, self.task, self.overwrite)

    @contextlib.contextmanager
    def held(self):
        """Locks the directory within the `with` block, for the first process; raises UserError if another has it."""
        self.distribution.on_first(self.directory.lock)
        try:
            yield
        finally:
            self.directory.release()

    def model_to_train(self):
        """Returns a new network, compiled; raises UserError if there are too few examples for a step."""
        steps = self.steps_per_epoch * self.config.epochs
        model = self.task.training_model()
        self.distribution.prepare(model)
        compile_model(model, self.task, steps)
        return model

    def restore(self, model):
        """Loads the last checkpoint into a compiled model, and its state; without one, or to overwrite, starts over."""
        state = TrainingState() if self.overwrite else self.checkpoints.restore(model, self.distribution)
        self.task.skipped.update(state.skipped)
        self.state = state

    def start(self):
        """Prepares the directory for the run. With `overwrite`, its previous run is removed: nothing fails later."""
        data = self.task.fingerprint
        self.distribution.on_first(self.directory.start, self.config_as_dictionary, self.overwrite, data)

    def ended(self, result):
        """Says in the processes that write nothing that they are done, and returns the result."""
        path = self.distribution.on_first(os.path.abspath, self.directory.path)
        if not self.distribution.is_first:
            number, count = self.distribution.shard
            print(f"Process {number} of {count} is done. Process 0 has the result in {path}")
        return result
