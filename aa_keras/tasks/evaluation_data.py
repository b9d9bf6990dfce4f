"""The test images of an evaluation: those of the run's own folder, or all images of another one."""

import copy
import os

from aa_keras.data import FOLDERS, count_same, listed
from aa_keras.errors import UserError


def choose(task, data_dir, trained, class_names):
    """Sets the data set of a task to the images to evaluate a network on, with the network's classes.

    The folder that the network was trained on keeps the test images that training held out, also where it was moved to.
    Another folder is evaluated whole: its test split, or all its class folders.

    Args:
        task: the `aa_keras.tasks.Task`, whose config has the folder that was trained on.
        data_dir: folder to use instead of that of the config, or None.
        trained: the `fingerprint` of the data that the network was trained on, or None if it is not known.
        class_names: names of the network's classes, or None if they are not known.

    Returns:
        Lines that describe the choice, a list.

    Raises:
        UserError: if the folder holds no images in a known way, or images of a class that the network does not know.
    """
    config = task.config
    is_folder = config.dataset in FOLDERS
    trained_paths = None
    is_own = data_dir is None or not is_folder or _is_same(config.data_dir, data_dir)
    if not is_own and trained is not None:
        trained_paths = _training_paths(task)
    config.data_dir = config.data_dir if data_dir is None else data_dir
    if not is_own and trained is not None:
        is_own = _is_of(task, trained)
    dataset = task.load(for_test_alone=not is_own)
    lines = []
    if dataset.test_source:
        lines.append(f"Evaluating {len(dataset.test):,} images of {dataset.test_source}")
    lines += _overlap(dataset, is_own, trained_paths)
    has_classes = len(dataset.class_names) > 0
    if has_classes and class_names is not None and not _is_numbered(class_names, dataset.class_names):
        dataset, lacking = task.matched(dataset, class_names)
        if lacking:
            lines.append(
                f"{len(lacking):,} of the network's {len(class_names):,} classes have no test images: {listed(lacking)}"
            )
    elif has_classes and is_folder:
        lines.append(
            "The names of the network's classes are not known: they are taken in the order of the data set, "
            f"{listed(dataset.class_names)}"
        )
    task.dataset = dataset
    return lines


def _overlap(dataset, is_own, trained_paths):
    """Yields a line about test images that the network was trained on, if there are any or if it is not known."""
    if dataset.test is dataset.train:
        same = len(dataset.test)
    elif is_own:
        return
    elif trained_paths is None:
        yield "It is not known which images the network was trained on: some of these may be among them"
        return
    else:
        same = count_same(dataset.test.paths, trained_paths)
    if same:
        yield f"{same:,} of the test images are images that the network was trained on"


def _is_same(folder, other):
    if folder is None:
        return False
    return os.path.realpath(os.path.expanduser(folder)) == os.path.realpath(os.path.expanduser(other))


def _another(task):
    """Returns a task with the same config, whose data set is not loaded."""
    return type(task)(copy.deepcopy(task.config))


def _training_paths(task):
    """Returns the paths of the training images, or None where they are no more."""
    if task.config.data_dir is None:
        return None
    try:
        return _another(task).load().train.paths
    except UserError:
        return None


def _is_of(task, trained):
    """Whether the data in the folder of a task are those of a fingerprint, moved or copied."""
    try:
        here = _another(task).fingerprint
    except UserError:
        return False
    return all(here.get(field) == value for field, value in trained.items())


def _is_numbered(class_names, found):
    """Whether the names of classes are only their numbers, which exports have that were given no names."""
    return tuple(class_names) == tuple(map(str, range(len(class_names)))) and not set(found) <= set(class_names)
