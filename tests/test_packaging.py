"""The library is the same from a checkout, an editable install, `pip install .` and a wheel, in fresh processes."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile

import pytest

import aa_keras

ROOT = pathlib.Path(__file__).parents[1]

# What is found, and where, from a folder that has nothing to do with it.
FIND = """
import json, pathlib, sys
import aa_keras, aa_keras.applications
from aa_keras.applications import AAResNet50, datasets, pretrained
from aa_keras.recipes import list_recipes
print(json.dumps({
    "library": str(pathlib.Path(aa_keras.__file__).resolve().parent),
    "applications": str(pathlib.Path(aa_keras.applications.__file__).resolve().parent),
    "module": AAResNet50.__module__,
    "version": aa_keras.__version__,
    "recipes": len(list_recipes()),
    "classes": len(datasets.IMAGENET.class_names),
    "weights": pretrained.PRETRAINED[0].path().is_file(),
    "stray": sorted(name for name in sys.modules if name.split(".")[0] == "applications"),
}))
"""


def run(command, **environment):
    # Without what tests run with: the folder of the checkout, and its own editable install.
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    completed = subprocess.run(
        list(map(str, command)),
        env={**inherited, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
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


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The wheel and the source distribution, built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("built")
    checkout = checkout_in(folder / "checkout")
    for name in ("tests", "benchmarks", "docs", ".ci"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout])
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return wheel, source


def environment_in(folder):
    """A Python that has what the tests' has, but for the library."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (library,) = folder.glob("lib/python*/site-packages")
    (library / "others.pth").write_text(sysconfig.get_paths()["purelib"])  # of whose own .pth files none is read
    return python


def install(python, *arguments):
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    run([*command, "--no-build-isolation", "--disable-pip-version-check", *arguments])


def found_by(python, **environment):
    return json.loads(run([python, "-c", FIND], KERAS_BACKEND="jax", **environment))


def is_whole(found):
    expected = {"version": aa_keras.__version__, "classes": 1000, "weights": True, "stray": []}
    return expected.items() <= found.items() and found["recipes"] > 10 and found["module"].startswith("aa_keras.")


@pytest.mark.parametrize("link", [True, False], ids=["with its link", "without links"])
def test_a_bare_checkout(tmp_path, link):
    """Also with another clone installed: that of the tests."""
    checkout = checkout_in(tmp_path / "checkout", link)
    found = found_by(sys.executable, PYTHONPATH=str(checkout))
    assert is_whole(found)
    assert (found["library"], found["applications"]) == (str(checkout / "aa_keras"), str(checkout / "applications"))


def test_an_editable_install(tmp_path):
    checkout = checkout_in(tmp_path / "checkout")
    python = environment_in(tmp_path / "environment")
    install(python, "-e", checkout)
    found = found_by(python)
    assert is_whole(found)
    assert (found["library"], found["applications"]) == (str(checkout / "aa_keras"), str(checkout / "applications"))


def test_pip_install_of_a_checkout(tmp_path):
    python = environment_in(tmp_path / "environment")
    install(python, checkout_in(tmp_path / "checkout"))
    found = found_by(python)
    assert is_whole(found)
    assert found["applications"] == str(pathlib.Path(found["library"]) / "applications")
    assert tmp_path / "environment" in pathlib.Path(found["library"]).parents


def test_the_source_distribution_holds_what_a_checkout_does(distributions):
    """The wheel below is built from it."""
    with tarfile.open(distributions[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", ".ci/run", "requirements.txt", "tests/conftest.py", "applications/resnet.py"} <= names
    assert not any(name.startswith("aa_keras/applications") for name in names)


def test_a_wheel_and_its_program(tmp_path, distributions):
    python = environment_in(tmp_path / "environment")
    install(python, distributions[0])
    found = found_by(python)
    assert is_whole(found)
    assert found["applications"] == str(pathlib.Path(found["library"]) / "applications")
    program = python.with_name("aa-keras")
    assert run([program, "--version"]).strip() == aa_keras.__version__
    assert "digits_aa_wide_resnet10_2" in run([program, "train", "--help"])


def test_the_wheel_holds_what_runs_need_and_no_evidence(distributions):
    with zipfile.ZipFile(distributions[0]) as archive:
        names = set(archive.namelist())
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"aa_keras"}
    assert {
        "aa_keras/py.typed",
        "aa_keras/configs/image_folder.py",
        "aa_keras/applications/labels/cifar100.txt",
        "aa_keras/applications/converters/timm_results.txt",
    } <= names
    assert not [name for name in names if name.endswith((".csv", ".png", ".json"))]


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "aa_keras").rglob("__init__.py")}
    folders |= {"aa_keras" / path.parent.relative_to(ROOT) for path in (ROOT / "applications").rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in folders} == set(listed)
