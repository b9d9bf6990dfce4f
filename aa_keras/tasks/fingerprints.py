"""Fingerprints of data: what a run keeps of its data set, so that it does not resume on another one."""

import hashlib
import os
import pathlib


def fingerprint_of(dataset, classes, folder):
    """Returns a dictionary of JSON that identifies a data set, and the contents of its folder.

    Args:
        dataset: the data set, with `train`, `validation` and `test`, sized or None.
        classes: a field with a list of its classes.
        folder: its folder, or None.
    """
    return {
        **classes,
        "training_images": len(dataset.train),
        "validation_images": len(dataset.validation or ()),
        "test_images": len(dataset.test),
        **_names_of_files(dataset.train, folder),
    }


def _names_of_files(examples, folder):
    """Returns a field that distinguishes folders: a checksum of the paths of training examples in their folder."""
    if not getattr(examples, "paths", ()):
        return {}
    root = f"{pathlib.Path(folder).expanduser()}{os.sep}"
    names = sorted(path.removeprefix(root) for path in examples.paths)
    return {"files": hashlib.sha256(b"\0".join(map(os.fsencode, names))).hexdigest()}


def differences(here, there, fields):
    """Returns in words, as a list, how a fingerprint differs from an earlier one in some fields.

    Args:
        here: the fingerprint.
        there: the earlier one.
        fields: names of the fields.
    """
    changed = [field for field in fields if there.get(field) != here[field]]
    changed.sort(key=lambda field: isinstance(here[field], list))  # classes last
    return [_difference(field, there.get(field), here[field]) for field in changed]


def _difference(field, before, now):
    changed = set(before or ()) ^ set(now) if isinstance(now, list) else ()
    if changed:
        names = sorted(changed)
        return f"classes were added or removed: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
    return f"{field.replace('_', ' ')} were {before!r:.200} and are {now!r:.200}"
