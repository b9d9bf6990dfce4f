"""The folder of a run: which config it belongs to, and what lies in it."""

import contextlib
import errno
import json
import os
import pathlib
import shutil

from aa_keras.errors import UserError

try:
    import fcntl
except ImportError:  # on Windows: no two processes are kept apart there
    fcntl = None

# What a run and its evaluation write. Nothing else in a folder is ever removed.
CONTENTS = (
    "checkpoints",
    "metrics.csv",
    "tensorboard",
    "curves.png",
    "model.keras",
    "best.keras",
    "averaged.keras",
    "result.json",
    "saved_model",
    "labels.txt",
    "evaluation.json",
    "class_accuracy.png",
    "confusion_matrix.png",
    "mistakes.png",
    "data.json",
    "config.json",  # last, since it is what tells that a folder is a run's
)
# In the names of files that are being written: what is left of them is of no use.
PARTIAL = ".partial"


class RunDirectory:
    """A run's folder.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def __truediv__(self, name):
        return self.path / name

    def check(self, config, overwrite):
        """Raises UserError if the folder cannot take a run of `config`; changes nothing.

        Args:
            config: the config as a dictionary, from `config_as_dictionary`.
            overwrite: whether another run in the folder may go.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UserError(f"--workdir must be a folder. Received: --workdir={self.path}, which is a file")
        foreign = sorted(name for name in os.listdir(self.path) if PARTIAL not in name)
        if is_run(self.path):
            if not overwrite:
                self._check_same(config)
        elif foreign:
            known = ", whose config.json is not one that train.py wrote" if "config.json" in foreign else ""
            raise UserError(
                "--workdir must be a new or empty folder, or one with a run in it. "
                f"Received: --workdir={self.path}, which holds {', '.join(foreign[:3])}{known}"
            )

    def _check_same(self, config):
        there = flattened(read_json(self / "config.json"))
        here = flattened(config)
        # Where TensorFlow Datasets lie does not change the result, but the image folder is the data set.
        not_compared = () if config["dataset"] == "image_folder" else ("data_dir",)
        differences = [
            f"{field} is {there.get(field, 'not set')!r} there and {here.get(field, 'not set')!r} here"
            for field in sorted({**there, **here})
            if there.get(field) != here.get(field) and field not in not_compared
        ]
        if differences:
            raise UserError(
                f"--workdir={self.path} holds a run of another config: {'; '.join(differences)}. "
                "Choose another --workdir, or pass --overwrite to replace that run"
            )

    def check_data(self, data, overwrite):
        """Raises UserError if the folder's run saw other data; changes nothing.

        Args:
            data: dictionary that tells a data set from others: the names of its classes, and numbers of images.
            overwrite: whether another run in the folder may go.
        """
        if overwrite or not (self / "data.json").exists():
            return
        there = read_json(self / "data.json")
        differences = [
            f"{field.replace('_', ' ')} were {there.get(field)} and are {number}"
            for field, number in data.items()
            if field != "class_names" and there.get(field) != number
        ]
        classes = there.get("class_names", [])
        if classes != data["class_names"]:
            changed = sorted(set(classes) ^ set(data["class_names"]))
            differences.append(f"classes came or went: {', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''}")
        if differences:
            raise UserError(
                f"--workdir={self.path} holds a run on other data: {'; '.join(differences)}. "
                "Choose another --workdir, or pass --overwrite to replace that run"
            )

    def start(self, config, overwrite, data):
        """Makes the folder ready: writes config and data, unless their run is there already and goes on."""
        if overwrite and self.path.exists():
            for name in (*(name for name in os.listdir(self.path) if PARTIAL in name), *CONTENTS):
                _remove(self / name)
        self.path.mkdir(parents=True, exist_ok=True)
        # The config first: it is what tells that a folder is a run's.
        for name, content in (("config.json", config), ("data.json", data)):
            if not (self / name).exists():
                write_json(self / name, content)

    @contextlib.contextmanager
    def held(self):
        """Keeps the folder to this process within the `with` block, or raises UserError if another one holds it."""
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
    except (OSError, UserError):
        return False
    return isinstance(config, dict) and {"dataset", "builder", "epochs"} <= set(config)


def config_as_dictionary(config):
    """Returns an `ml_collections.ConfigDict` as a dictionary that equals what JSON makes of it.

    An image folder gets its whole path, which means the same wherever a program is called from.
    """
    dictionary = json.loads(json.dumps(config.to_dict()))
    if dictionary.get("dataset") == "image_folder" and dictionary.get("data_dir"):
        dictionary["data_dir"] = str(pathlib.Path(dictionary["data_dir"]).expanduser().resolve())
    return dictionary


def flattened(dictionary, prefix=""):
    """Returns {"a": {"b": 1}} as {"a.b": 1}."""
    flat = {}
    for key, value in dictionary.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def read_json(path):
    """Reads a JSON file, or raises UserError naming it."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON or of the encoding
        raise UserError(f"{path} is not a JSON file ({error})") from None


def require_space(folder, size):
    """Raises OSError, as writing does, unless `size` bytes can be written in a folder.

    For libraries that do not raise it: HDF5 prints a page and crashes when the disk is full.
    """
    reserved = pathlib.Path(folder) / f"reserved{PARTIAL}"
    try:
        with reserved.open("wb") as file:
            if hasattr(os, "posix_fallocate"):  # which minds quotas
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno), str(folder)) from None
    finally:
        reserved.unlink(missing_ok=True)


def write_json(path, content):
    """Writes a JSON file, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


def write_whole(path, text):
    """Writes a text file so that a reader, also after a crash, finds the old text or the new one."""
    partial = pathlib.Path(f"{path}{PARTIAL}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
