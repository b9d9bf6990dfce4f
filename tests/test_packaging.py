"""The library is the same from a checkout, an editable install, `pip install .` and a wheel, in fresh processes."""

import json
import pathlib
import sys
import tarfile
import tomllib
import zipfile

import pytest
from helpers.wheel import ROOT, built, checkout_in, environment_in, install, run

import aa_keras

# Prints what is found, and where, from an unrelated folder.
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


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The wheel and the source distribution."""
    return built(tmp_path_factory)


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
