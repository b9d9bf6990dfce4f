"""Requirements are in one place, and include everything that the program imports."""

import ast
import importlib.metadata
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

OTHER_BACKENDS = {"jax", "torch"}  # imported only where they are Keras's backend


def requirements():
    lines = (line.strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def names(specifications):
    """{"ml-collections"} of ["ml_collections>=1.0"]"""
    return {re.match(r"[\w.-]+", line).group().lower().replace("_", "-") for line in specifications}


def test_requirements_are_those_of_the_extra():
    assert requirements() == ["-e .[train]"]


def test_nothing_is_required_twice():
    extra = names(PROJECT["optional-dependencies"]["train"])
    assert len(extra) == len(PROJECT["optional-dependencies"]["train"])
    assert not extra & names(PROJECT["dependencies"])


def test_data_sets_can_be_prepared():
    """TensorFlow Datasets 4.9.10 imports what it does not require, when it is about to download."""
    import tensorflow_datasets as tfds

    for name in ("cifar100", "imagenet2012", "coco/2017"):
        builder = tfds.builder(name, data_dir="/nowhere")
        assert builder.code_path.name.endswith(".py")
        assert builder.url_infos


def test_everything_that_is_imported_is_required():
    files = [*ROOT.glob("*.py"), *(ROOT / "aa_keras").rglob("*.py"), *(ROOT / "applications").rglob("*.py")]
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"aa_keras", *OTHER_BACKENDS}
    providers = importlib.metadata.packages_distributions()
    packages = {name for module in third_party for name in names(providers.get(module, [module]))}
    extras = PROJECT["optional-dependencies"]
    required = names(PROJECT["dependencies"]).union(*(names(extras[name]) for name in extras if name != "test"))
    assert packages - required <= {"h5py", "ml-dtypes", "pillow"}  # of Keras and of matplotlib
    assert {"tensorflow", "matplotlib", "scikit-learn"} <= packages
