"""Checkpoints: the network, the optimizer and the story so far, in one folder an epoch."""

import dataclasses
import hashlib
import math
import os
import pathlib
import shutil

from aa_keras.run_directory import read_json, require_space, write_json

WEIGHTS = "model.weights.h5"
BEST_WEIGHTS = "best.weights.h5"
STATE = "state.json"
KEPT = 2


@dataclasses.dataclass
class TrainingState:
    """What a run remembers besides its weights.

    Attributes:
        history: a dictionary of metrics for each finished epoch.
        best: the best validation accuracy so far, or None.
        skipped: the corrupt training images met so far, from name to what is wrong with it.
    """

    history: list[dict] = dataclasses.field(default_factory=list)
    best: float | None = None
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def epochs(self):
        """How many epochs are finished."""
        return len(self.history)


class Checkpoints:
    """The checkpoints of a run.

    A checkpoint is written under another name and then renamed, so that one that has its name is whole: weights,
    optimizer and epoch belong together. Checksums tell one that was damaged later.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def save(self, model, state, is_best):
        """Writes the checkpoint of the epoch just finished, and removes all but it and the one before.

        Those of later epochs go too: they were damaged, and training went on from before them.
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
        checksums = {path.name: _checksum(path) for path in sorted(partial.iterdir())}
        write_json(partial / STATE, {**dataclasses.asdict(state), "checksums": checksums})

        finished = self.folder_of(state.epochs)
        shutil.rmtree(finished, ignore_errors=True)  # damaged, if there is one: see `restore`
        os.replace(partial, finished)
        for epochs, folder in self._finished():
            if not state.epochs - KEPT < epochs <= state.epochs:
                shutil.rmtree(folder)

    def restore(self, model, distribution):
        """Loads the last checkpoint that is whole into a compiled model, and returns its `TrainingState`.

        Without one the model stays as it is. Every process of a distribution gets what the first one has.
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
        """Returns the fields of the state of the last checkpoint that is whole, or None without one."""
        for _, folder in reversed(self._finished()):
            state = _whole_state(folder)
            if state is not None:
                return dataclasses.asdict(state)
            print(f"The checkpoint {folder} is damaged; falling back to the one before, or to the beginning")
        return None

    def weights(self, state):
        """Returns the file of the weights and the optimizer behind `state`."""
        return self.folder_of(state.epochs) / WEIGHTS

    def best_weights(self, state):
        """Returns the file of the best weights up to `state`, or None where nothing was validated."""
        return None if state.best is None else self.folder_of(state.epochs) / BEST_WEIGHTS

    def folder_of(self, epochs):
        """Returns the folder of the checkpoint behind so many epochs."""
        return self.folder / f"epoch_{epochs:04d}"

    def _finished(self):
        """Returns pairs of number of epochs and folder, in this order."""
        numbers = ((path.name.removeprefix("epoch_"), path) for path in self.folder.glob("epoch_*"))
        return sorted((int(number), path) for number, path in numbers if number.isdigit())


def _whole_state(folder):
    """Returns the `TrainingState` of a checkpoint, or None if any of its files is missing or damaged."""
    try:
        state = read_json(folder / STATE)
        checksums = state.pop("checksums")
        whole = all(_checksum(folder / name) == checksum for name, checksum in checksums.items())
        return TrainingState(**state) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _bytes_of(model):
    """About how large the file of a compiled model's weights is, rather more than less."""
    numbers = sum(math.prod(variable.shape) for variable in [*model.weights, *model.optimizer.variables])
    return 2**20 + 5 * numbers  # of 4 bytes each


def _checksum(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
