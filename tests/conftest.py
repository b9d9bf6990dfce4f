"""Settings of every test: TensorFlow kept quiet, random numbers the same at each run."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest


@pytest.fixture(autouse=True)
def _same_random_numbers():
    keras.utils.set_random_seed(0)


def pytest_collection_finish():
    """Excludes imported objects from garbage collection: each `clear_session` would visit all of them."""
    gc.collect()
    gc.freeze()
