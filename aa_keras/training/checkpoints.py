"""Checkpoints: the network, the optimizer and the story so far, in one folder an epoch."""

import dataclasses
import os
import pathlib
import shutil

from aa_keras.run_directory import read_json, write_json

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
    """

    history: list[dict] = dataclasses.field(default_factory=list)
    best: float | None = None

    @property
    def epochs(self):
        """How many epochs are finished."""
        return len(self.history)


class Checkpoints:
    """The checkpoints of a run.

    A checkpoint is written under another name and then renamed, so that one that exists is whole: its weights and its
    epoch belong together.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def save(self, model, state, is_best):
        """Writes the checkpoint of the epoch just finished, and removes all but the last ones."""
        previous = self.latest()
        partial = self.folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        model.save_weights(partial / WEIGHTS)
        if is_best:
            shutil.copyfile(partial / WEIGHTS, partial / BEST_WEIGHTS)
        elif state.best is not None:
            shutil.copyfile(previous / BEST_WEIGHTS, partial / BEST_WEIGHTS)
        write_json(partial / STATE, dataclasses.asdict(state))
        os.replace(partial, self.folder / f"epoch_{state.epochs:04d}")
        for old in self._finished()[:-KEPT]:
            shutil.rmtree(old)

    def latest(self):
        """Returns the folder of the last checkpoint, or None."""
        finished = self._finished()
        return finished[-1] if finished else None

    def restore(self, model):
        """Loads the last checkpoint into a compiled model, if there is one, and returns its `TrainingState`."""
        latest = self.latest()
        if latest is None:
            return TrainingState()
        model.optimizer.build(model.trainable_variables)
        model.load_weights(latest / WEIGHTS)
        return TrainingState(**read_json(latest / STATE))

    def _finished(self):
        return sorted(self.folder.glob("epoch_*"), key=lambda path: int(path.name.removeprefix("epoch_")))
