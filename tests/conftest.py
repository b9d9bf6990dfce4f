"""Settings of every test: TensorFlow kept quiet, random numbers the same at each run."""

import gc
import os
import pathlib
import random
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA's optimizations are not what is tested, and compiling with them takes more than twice as long. What one worker has
# compiled for JAX is there for the others, and for the next time.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import numpy as np
import pytest
from helpers.programs import WarmPython


@pytest.fixture(autouse=True, scope="module")
def _same_random_numbers_of_keras():
    """Once a file, since TensorFlow then forgets all operations that it has prepared."""
    import keras  # not above, since a process that only distributes tests would wait for it

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _same_random_numbers():
    """Keras draws the seeds of new layers and initializers from Python's."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left():
    """Collects a file's garbage: TensorFlow at times waits for an old iterator of tf.data, up to a minute."""
    yield
    gc.collect()
    gc.freeze()  # what is still there, so that the next collections are quick


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    """Lets evaluation draw three mistakes, which takes a second less than all of them."""
    if "aa_keras.tasks.classification" in sys.modules:
        monkeypatch.setattr("aa_keras.tasks.classification.MISTAKES", 3)


@pytest.fixture(scope="session")
def warm_python():
    """A Python that has imported the library, in an environment without the tests' data."""
    python = WarmPython(AA_KERAS_DATA=None, PYTHONPATH=str(pathlib.Path(__file__).parents[1]))
    yield python
    python.close()


def pytest_addoption(parser):
    words = "every tenth of the selected tests in the order of their names, from this one on: some of each large file"
    parser.addoption("--tenth", type=int, choices=range(10), help=words)


@pytest.hookimpl(trylast=True)  # after -m
def pytest_collection_modifyitems(config, items):
    tenth = config.getoption("tenth")
    if tenth is not None:
        chosen = {item.nodeid for item in sorted(items, key=lambda item: item.nodeid)[tenth::10]}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
        items[:] = [item for item in items if item.nodeid in chosen]


def pytest_collection_finish():
    """Excludes imported objects from garbage collection: each `clear_session` would visit all of them."""
    gc.collect()
    gc.freeze()
