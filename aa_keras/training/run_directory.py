"""The folder of a run: which config it belongs to, and what lies in it."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil

from aa_keras.errors import UserError
from aa_keras.files import local_path, partial_path, read_fields, read_json, write_json
from aa_keras.recipes.fields import FOLDER_DATASETS, SINCE
from aa_keras.tasks import TASKS

try:
    import fcntl
except ImportError:  # on Windows: no two processes are kept apart there
    fcntl = None  # type: ignore[assignment]

# What a run and its evaluation write. Nothing else in a folder is ever removed.
FILES = (
    *("metrics.csv", "curves.png", "model.keras", "best.keras", "averaged.keras", "result.json"),
    *sorted({name for task in TASKS.values() for name in task.FILES}),
    "report.html",
    "data.json",
    "config.json",  # last, since it is what tells that a folder is a run's
)
# And the folders, each with a pattern of what is written into it.
FOLDERS = {
    "checkpoints": r"epoch_[0-9]+|partial",
    "tensorboard": r"train|validation",
    "saved_model": r"saved_model\.pb|fingerprint\.pb|variables|assets|labels\.txt|aa_keras\.json",
}
# Those that are written under another name first, and what is left of that by a kill is of no use.
PARTIAL = tuple(partial_path(name).name for name in (*FILES, "saved_model") if not name.endswith((".png", ".txt")))


class RunDirectory:
    """A run's folder.

    Args:
        path: the folder; it need not exist yet. "~" is the user's home.

    Raises:
        UserError: if it is not a path of this machine.
    """

    def __init__(self, path):
        self.path = pathlib.Path(local_path("--workdir", path))

    def __truediv__(self, name):
        return self.path / name

    def check(self, config, overwrite):
        """Raises UserError if the folder cannot take a run of `config`; changes nothing.

        Args:
            config: the config as a dictionary, from `aa_keras.recipes.fields.as_dictionary`.
            overwrite: whether another run in the folder may go.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UserError(f"--workdir must be a folder. Received: --workdir={self.path}, which is a file")
        foreign = sorted(set(os.listdir(self.path)) - set(PARTIAL))
        if is_run(self.path):
            self._check_kinds()
            if not overwrite:
                self._check_same(config)
        elif foreign:
            known = ", whose config.json is not one that train.py wrote" if "config.json" in foreign else ""
            raise UserError(
                "--workdir must be a new or empty folder, or one with a run in it. "
                f"Received: --workdir={self.path}, which holds {', '.join(foreign[:3])}{known}"
            )

    def _check_kinds(self):
        """Raises UserError where something has the name of a file or folder of a run's, and is not of its kind."""
        for name in (*FILES, *FOLDERS):
            if (self / name).exists() and (self / name).is_dir() != (name in FOLDERS):
                wanted, found = ("folder", "file") if name in FOLDERS else ("file", "folder")
                raise UserError(f"{self / name} must be a {wanted} of the run, and is a {found}: move it elsewhere")

    def _check_same(self, config):
        there = flattened(_compared(read_json(self / "config.json"), config))
        here = flattened(_compared(config, config))
        differences = [
            f"{field} is {there.get(field, 'not set')!r} there and {here.get(field, 'not set')!r} here"
            for field in sorted({**there, **here})
            if there.get(field) != here.get(field)
        ]
        if differences:
            raise UserError(
                f"--workdir={self.path} holds a run of another config: {'; '.join(differences)}. "
                "Choose another --workdir, or pass --overwrite to replace that run"
            )

    def check_data(self, task, overwrite):
        """Raises UserError if the folder's run saw other data than a task has; changes nothing.

        Args:
            task: what `aa_keras.tasks` has of the run.
            overwrite: whether another run in the folder may go.
        """
        if overwrite or not (self.path / "data.json").exists():
            return
        differences = task.data_differences(read_fields(self / "data.json", task.DATA_FIELDS))
        if differences:
            raise UserError(
                f"--workdir={self.path} holds a run on other data: {'; '.join(differences)}. "
                "Choose another --workdir, or pass --overwrite to replace that run"
            )

    def start(self, config, overwrite, data):
        """Makes the folder ready: writes config and data, unless their run is there already and goes on.

        With `overwrite` this is what removes the run that was there: to be called when nothing can fail any more.
        """
        if overwrite and self.path.exists():
            for name, pattern in FOLDERS.items():
                _remove_contents(self / name, pattern)
            for name in (*PARTIAL, *FILES):
                _remove(self / name)
        self.path.mkdir(parents=True, exist_ok=True)
        # The config first: it is what tells that a folder is a run's.
        for name, content in (("config.json", config), ("data.json", data)):
            if not (self / name).exists():
                write_json(self / name, content)

    @contextlib.contextmanager
    def held(self):
        """Makes the folder if need be, and keeps it to this process within the `with` block.

        What was made and is still empty then is removed at the end.

        Raises:
            UserError: if another process holds it.
        """
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with self._locked():
                yield
        finally:
            with contextlib.suppress(OSError):  # one that is not empty ends it
                for folder in made:
                    folder.rmdir()

    @contextlib.contextmanager
    def _locked(self):
        if fcntl is None:
            yield
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which ends with the process, however it ends
        except BlockingIOError:
            raise UserError(
                f"--workdir={self.path} is in use by another process: wait for its end, or choose another folder"
            ) from None
        except OSError:  # a file system without locks
            pass


def is_run(path):
    """Whether a folder holds a run: a config.json with what every recipe has."""
    try:
        config = read_json(pathlib.Path(path) / "config.json")
    except (FileNotFoundError, NotADirectoryError, UserError):  # others say that it cannot be read
        return False
    return isinstance(config, dict) and {"dataset", "builder", "epochs"} <= set(config)


def fingerprint(config):
    """Returns a checksum of what `check` compares of a config: equal configs have runs that go on with each other."""
    return hashlib.sha256(json.dumps(_compared(config, config), sort_keys=True).encode()).hexdigest()


def _compared(dictionary, config):
    """Returns what is compared of a dictionary with a config: where TensorFlow Datasets lie does not change the result,
    but a folder of images is the data set; and the first configs did not tell their task."""
    ignored = {name for name, value in SINCE.items() if dictionary.get(name) == value}
    if config.get("dataset") not in FOLDER_DATASETS:
        ignored.add("data_dir")
    return {field: value for field, value in dictionary.items() if field not in ignored}


def flattened(dictionary, prefix=""):
    """Returns {"a": {"b": 1}} as {"a.b": 1}."""
    flat = {}
    for key, value in dictionary.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _remove_contents(folder, pattern):
    """Removes what a run wrote into a folder, and the folder unless it holds anything else."""
    if folder.is_symlink() or not folder.is_dir():
        _remove(folder)
        return
    for name in os.listdir(folder):
        if re.fullmatch(pattern, name):
            _remove(folder / name)
    with contextlib.suppress(OSError):  # it holds what is not ours
        folder.rmdir()


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
