"""Files that are written whole or not at all and checked when they are read; local paths."""

import codecs
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil

from aa_keras.errors import UserError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]


def _any_text(error):
    """Handles what an encoding lacks: a file name that is no text keeps its bytes, anything else is escaped."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


# The name of this handler, for `errors=`.
ANY_TEXT = "aa_keras.any_text"
codecs.register_error(ANY_TEXT, _any_text)


def is_line(value):
    """Whether a value is a line of text, which UTF-8 can hold: the name of a file may be another."""
    if not isinstance(value, str) or len(value.splitlines()) != 1:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def as_text(name):
    """Returns the name of a file as text for pages and pictures, with escapes for bytes that are no text."""
    return os.fspath(name).encode("utf-8", errors="backslashreplace").decode("utf-8")


def partial_path(path):
    """Returns the path to which a file or folder is written before it gets its name: "model.partial.keras"."""
    path = pathlib.Path(path)
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def local_path(flag, path):
    """Returns the path of a flag, with "~" as the user's home; raises UserError for an empty path and for a URL."""
    if not os.fspath(path).strip():
        raise UserError(f"{flag} must be a path. Received: {flag}={os.fspath(path)!r}, which is empty")
    if "://" in os.fspath(path) or re.match(r"[A-Za-z][\w+.-]+:/", os.fspath(path)):
        raise UserError(f"{flag} must be a path on this machine, and not a URL. Received: {flag}={os.fspath(path)}")
    return os.path.expanduser(path)


def read_text(path):
    """Returns the text of a file that a user may have written: in UTF-8, or in UTF-16, with its byte-order mark or not.

    Raises:
        ValueError: if it is in another encoding.
    """
    content = pathlib.Path(path).read_bytes()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def checksum(path):
    """Returns the SHA-256 of a file; raises ValueError for a folder, a pipe or a device."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path):
    """Returns the number of bytes of a file, or of all files in a folder."""
    path = pathlib.Path(path)
    return sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file())


def read_json(path):
    """Reads a JSON file, or raises UserError naming it."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{path} must be a file, and is a folder, a pipe or a device")  # reading these may never end
    try:
        return json.loads(read_text(path))
    except ValueError as error:  # errors of JSON or of the encoding
        raise UserError(f"{path} is not a JSON file ({error})") from None


def read_fields(path, fields):
    """Reads a JSON file of an object with at least these fields, or raises UserError naming it.

    Args:
        path: the file.
        fields: dictionary from names to types; a float may be a whole number.
    """
    content = read_json(path)
    for name, kind in fields.items():
        value = content.get(name) if isinstance(content, dict) else None
        accepted = (int, float) if kind is float else kind
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise UserError(f"{path} was not written by train.py: its field {name!r} is {value!r:.40}")
    return content


def require_space(folder, size):
    """Raises OSError, as writing does, unless `size` bytes can be written into a folder.

    It is for libraries that do not raise it: HDF5 prints a page and crashes when the disk is full.
    """
    reserved = pathlib.Path(folder) / "reserved.partial"
    try:
        with reserved.open("wb") as file:
            if hasattr(os, "posix_fallocate"):  # this respects quotas
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno), str(folder)) from None
    finally:
        reserved.unlink(missing_ok=True)


def lock(path):
    """Locks a file or folder for this process.

    Returns:
        The descriptor that `os.close` unlocks it with, or None on Windows, where two processes are not kept apart.

    Raises:
        BlockingIOError: if another process has locked it.
    """
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # a file system without locks
        pass
    return descriptor


def require_writable(path):
    """Raises OSError, as `write_whole` does, unless a file can be written."""
    partial = partial_path(path)
    if pathlib.Path(path).is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with partial.open("w"):
        pass
    partial.unlink()


def write_json(path, content):
    """Writes a JSON file, whole or not at all."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


def write_whole(path, content):
    """Writes text or bytes so that a reader finds the old file or the new one, also after a crash.

    File names in the text that are not UTF-8 keep their bytes.
    """
    partial = partial_path(path)
    try:
        partial.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", errors=ANY_TEXT))
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
