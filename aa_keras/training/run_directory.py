"""The folder of a run: its config and its files."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil

from aa_keras.errors import UserError
from aa_keras.files import local_path, lock, partial_path, read_fields, read_json, write_json
from aa_keras.recipes.fields import FOLDER_DATASETS, SINCE, flattened
from aa_keras.tasks import TASKS

# The folders of a run, each with a pattern of the files in it.
FOLDERS = {
    "checkpoints": r"epoch_[0-9]+|partial",
    "tensorboard": r"train|validation",
    "saved_model": r"saved_model\.pb|fingerprint\.pb|variables|assets|labels\.txt|aa_keras\.json",
}


def run_files():
    """Returns the names of the files that a run and its evaluation write. Nothing else in a folder is ever removed."""
    return (
        *("metrics.csv", "curves.png", "model.keras", "best.keras", "averaged.keras", "aa_keras.json", "result.json"),
        *sorted({name for task in TASKS.values() for name in task.results_type.FILES}),
        "report.html",
        "data.json",
        "config.json",  # last, since it marks a folder as that of a run
    )


def partial_files():
    """Returns the names that files have first, while they are written; what a kill leaves of these is useless."""
    names = (*run_files(), "saved_model")
    return tuple(partial_path(name).name for name in names if not name.endswith((".png", ".txt")))


class RunDirectory:
    """A run's folder.

    Args:
        path: the folder; it need not exist yet. "~" is the user's home.

    Raises:
        UserError: if it is not a local path.
    """

    def __init__(self, path):
        self.path = pathlib.Path(local_path("--workdir", path))
        self._made = ()  # the folders that `lock` has created
        self._descriptor = None

    def __truediv__(self, name):
        return self.path / name

    def check(self, config, overwrite):
        """Raises UserError if the folder cannot take a run of `config`; changes nothing.

        Args:
            config: the config as a dictionary, from `aa_keras.recipes.fields.as_dictionary`.
            overwrite: whether another run in the folder may be replaced.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UserError(f"--workdir must be a folder. Received: --workdir={self.path}, which is a file")
        foreign = sorted(set(os.listdir(self.path)) - set(partial_files()))
        if is_run(self.path):
            self._check_kinds()
            if not overwrite:
                self._check_same(config)
        elif foreign:
            known = ", whose config.json was not written by train.py" if "config.json" in foreign else ""
            raise UserError(
                "--workdir must be a new or empty folder, or one with a run in it. "
                f"Received: --workdir={self.path}, which holds {', '.join(foreign[:3])}{known}"
            )

    def _check_kinds(self):
        """Raises UserError if a file has the name of a folder of a run, or the reverse."""
        for name in (*run_files(), *FOLDERS):
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
        """Raises UserError if the folder's run had other data than a task; changes nothing.

        Args:
            task: the `aa_keras.tasks.Task` of the run.
            overwrite: whether another run in the folder may be replaced.
        """
        if overwrite or not (self.path / "data.json").exists():
            return
        differences = task.data_differences(read_fields(self / "data.json", task.data_fields))
        if differences:
            raise UserError(
                f"--workdir={self.path} holds a run on other data: {'; '.join(differences)}. "
                "Choose another --workdir, or pass --overwrite to replace that run"
            )

    def start(self, config, overwrite, data):
        """Prepares the folder: writes config and data, unless it already has the run.

        With `overwrite` this removes the previous run: call it when nothing can fail any more.
        """
        if overwrite and self.path.exists():
            for name, pattern in FOLDERS.items():
                _remove_contents(self / name, pattern)
            for name in (*partial_files(), *run_files()):
                _remove(self / name)
        self.path.mkdir(parents=True, exist_ok=True)
        # The config first: it marks a folder as that of a run.
        for name, content in (("config.json", config), ("data.json", data)):
            if not (self / name).exists():
                write_json(self / name, content)

    @contextlib.contextmanager
    def held(self):
        """Locks the folder within the `with` block: see `lock`."""
        self.lock()
        try:
            yield
        finally:
            self.release()

    def lock(self):
        """Creates the folder if needed, and locks it for this process until `release`, or until the process ends.

        Raises:
            UserError: if another process has locked it.
        """
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = lock(self.path)
        except BlockingIOError:
            _remove_empty(made)
            raise UserError(
                f"--workdir={self.path} is in use by another process: wait until it ends, or choose another folder"
            ) from None
        self._made, self._descriptor = made, descriptor

    def release(self):
        """Ends the lock, and removes the folders that `lock` created and that are still empty."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        _remove_empty(self._made)
        self._made, self._descriptor = (), None


def is_run(path):
    """Whether a folder has a run: a config.json with the required fields of recipes."""
    try:
        config = read_json(pathlib.Path(path) / "config.json")
    except (FileNotFoundError, NotADirectoryError, UserError):  # other checks report that it cannot be read
        return False
    return isinstance(config, dict) and {"dataset", "builder", "epochs"} <= set(config)


def fingerprint(config):
    """Returns a checksum of the parts of a config that `check` compares: runs with equal ones resume each other."""
    return hashlib.sha256(json.dumps(_compared(config, config), sort_keys=True).encode()).hexdigest()


def _compared(dictionary, config):
    """Returns the parts of a dictionary of a config that are compared.

    The folder of TensorFlow Datasets does not change the result, but a folder of images is the data set. The first
    configs did not have a task.
    """
    ignored = {name for name, value in SINCE.items() if dictionary.get(name) == value}
    if config.get("dataset") not in FOLDER_DATASETS:
        ignored.add("data_dir")
    return {field: value for field, value in dictionary.items() if field not in ignored}


def _remove_empty(folders):
    """Removes folders, each one after those in it, up to the first one that is not empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _remove_contents(folder, pattern):
    """Removes the files that a run wrote into a folder, and the folder unless it has other files."""
    if folder.is_symlink() or not folder.is_dir():
        _remove(folder)
        return
    for name in os.listdir(folder):
        if re.fullmatch(pattern, name):
            _remove(folder / name)
    with contextlib.suppress(OSError):  # it has other files
        folder.rmdir()


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
