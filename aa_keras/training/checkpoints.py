"""Checkpoints: the network, the optimizer and the state of the run, in one folder for each epoch."""

import dataclasses
import math
import os
import pathlib
import re
import shutil

from aa_keras.errors import is_number
from aa_keras.files import checksum, read_json, require_space, write_json

WEIGHTS = "model.weights.h5"
BEST_WEIGHTS = "best.weights.h5"
STATE = "state.json"
KEPT = 2


@dataclasses.dataclass
class TrainingState:
    """The state of a run besides its weights.

    Attributes:
        history: a dictionary of metrics for each finished epoch.
        best: the best value of the task's metric in validation so far, or None.
        skipped: the corrupt training examples so far, from names to reasons.
    """

    history: list[dict] = dataclasses.field(default_factory=list)
    best: float | None = None
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def epochs(self):
        """The number of finished epochs."""
        return len(self.history)

    def check(self):
        """Raises ValueError unless a run can resume from this state, which may come from any file."""
        names = set(self.history[0]) if self.history else set()
        for number, row in enumerate(self.history, start=1):
            if set(row) != names or not {"epoch", "seconds"} <= names or row["epoch"] != number:
                raise ValueError(f"row {number} of the history is {row}")
            if not all(_is_finite(value) for value in row.values()):
                raise ValueError(f"row {number} of the history has a value that is not a number")
        if not (self.best is None or _is_finite(self.best)) or not isinstance(self.skipped, dict):
            raise ValueError(f"best={self.best!r}, skipped={self.skipped!r}")


class Checkpoints:
    """The checkpoints of a run.

    A checkpoint is written under another name and then renamed, so that a checkpoint under its own name is whole:
    weights, optimizer and epoch belong together. Checksums detect a checkpoint that was damaged later or belongs to
    another run.

    Args:
        folder: folder of the checkpoints.
        run: identity of the run, a string: `aa_keras.training.run_directory.fingerprint` of its config.
    """

    def __init__(self, folder, run=""):
        self.folder = pathlib.Path(folder)
        self.run = run

    def save(self, model, state, is_best):
        """Writes the checkpoint of the epoch just finished, and removes all but it and the previous one.

        Those of later epochs are removed too: they were damaged, and training resumed before them.
        """
        partial = self.folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        require_space(partial, _bytes_of(model))
        model.save_weights(partial / WEIGHTS)
        if is_best:
            shutil.copyfile(partial / WEIGHTS, partial / BEST_WEIGHTS)
        elif state.best is not None:
            shutil.copyfile(self.folder_of(state.epochs - 1) / BEST_WEIGHTS, partial / BEST_WEIGHTS)
        checksums = {path.name: checksum(path) for path in sorted(partial.iterdir())}
        write_json(partial / STATE, {**dataclasses.asdict(state), "run": self.run, "checksums": checksums})

        finished = self.folder_of(state.epochs)
        shutil.rmtree(finished, ignore_errors=True)  # an existing one is damaged: see `restore`
        os.replace(partial, finished)
        for epochs, folder in self._finished():
            if not state.epochs - KEPT < epochs <= state.epochs:
                shutil.rmtree(folder)

    def restore(self, model, distribution):
        """Loads the last whole checkpoint into a compiled model, and returns its `TrainingState`.

        Without a checkpoint the model stays as it is. Every process of a distribution gets that of the first one.

        Raises:
            OSError: if a checkpoint cannot be read. It may be whole, so it must not be replaced.
        """
        last = distribution.on_first(self._last)
        if last is None:
            return TrainingState()
        state = TrainingState(**last)
        model.optimizer.build(model.trainable_variables)
        with distribution.file_of_first(self.weights(state)) as path:
            model.load_weights(path)
        return state

    def _last(self):
        """Returns the fields of the state of the last whole checkpoint, or None without one."""
        for epochs, folder in reversed(self._finished()):
            state = _whole_state(folder, self.run)
            if state is not None and state.epochs == epochs:
                return dataclasses.asdict(state)
            print(f"The checkpoint {folder} is damaged or of another run: using the previous one, or starting over")
        return None

    def weights(self, state):
        """Returns the file of the weights and the optimizer of `state`."""
        return self.folder_of(state.epochs) / WEIGHTS

    def best_weights(self, state):
        """Returns the file of the best weights up to `state`, or None without validation."""
        return None if state.best is None else self.folder_of(state.epochs) / BEST_WEIGHTS

    def folder_of(self, epochs):
        """Returns the folder of the checkpoint after a number of epochs."""
        return self.folder / f"epoch_{epochs:04d}"

    def _finished(self):
        """Returns pairs of number of epochs and folder, sorted."""
        try:
            names = os.listdir(self.folder)  # not a glob pattern, which would find nothing in a locked folder
        except FileNotFoundError:
            return []
        numbers = (re.fullmatch("epoch_([0-9]+)", name) for name in names)
        return sorted((int(number[1]), self.folder / number[0]) for number in numbers if number)


def _whole_state(folder, run=""):
    """Returns the `TrainingState` of a run's checkpoint, or None if any of its files is missing, damaged or foreign.

    An error of the operating system in reading is not damage, and is raised.
    """
    try:
        state = read_json(folder / STATE)
        checksums, of_run = state.pop("checksums"), state.pop("run", run)  # the first versions do not name their run
        state = TrainingState(**state)
        state.check()
        expected = {WEIGHTS} if state.best is None else {WEIGHTS, BEST_WEIGHTS}
        whole = set(checksums) == expected and all(checksum(folder / name) == checksums[name] for name in expected)
        return state if whole and of_run == run else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_finite(value):
    return is_number(value) and math.isfinite(value)


def _bytes_of(model):
    """Returns an upper estimate of the size of the file of a compiled model's weights."""
    numbers = sum(math.prod(variable.shape) for variable in [*model.weights, *model.optimizer.variables])
    return 2**20 + 5 * numbers  # of 4 bytes each
