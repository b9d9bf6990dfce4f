"""What the tests of several workers look at is made once, by the first one that needs it."""

import fcntl
import os


def once(tmp_path_factory, name, make):
    """Returns the folder with this name that all workers share, in which `make(folder)` has made something."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = shared / name, shared / f"{name}.made"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
