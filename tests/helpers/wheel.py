"""The library as a wheel, installed apart from the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

from .once import once

ROOT = pathlib.Path(__file__).parents[2]


def run(command, folder="/", **environment):
    """Runs a command in a folder, without the tests' own paths, and returns its output."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    completed = subprocess.run(
        list(map(str, command)),
        env={**inherited, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def checkout_in(folder, link=True):
    """A copy of the checkout's files."""
    folder.mkdir(parents=True)
    names = ("aa_keras", "applications", *(name for name in os.listdir(ROOT) if (ROOT / name).is_file()))
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    if not link:  # what Git makes of it where there are no links
        (folder / "aa_keras" / "applications").unlink()
        (folder / "aa_keras" / "applications").write_text("../applications")
    return folder


def built(tmp_path_factory):
    """Returns the paths of the wheel and of the source distribution."""
    folder = once(tmp_path_factory, "built", build)
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return wheel, source


def build(folder):
    """Builds the wheel and the source distribution from a copy of the checkout."""
    checkout = checkout_in(folder / "checkout")
    for name in ("tests", "benchmarks", "docs", ".ci"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout])


def environment_in(folder):
    """A Python with the packages of the tests', except the library."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (library,) = folder.glob("lib/python*/site-packages")
    (library / "others.pth").write_text(sysconfig.get_paths()["purelib"])  # of whose own .pth files none is read
    return python


def install(python, *arguments):
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    run([*command, "--no-build-isolation", "--disable-pip-version-check", *arguments])
