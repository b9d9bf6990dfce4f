"""Checkpoints and the cache of converted ones, for the tests of both."""

import pytest
from helpers.timm_checkpoints import small_resnet, write


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras's cache, empty, of which the library has a folder."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models" / "aa_keras"


@pytest.fixture
def checkpoint(tmp_path):
    """The path of a small ResNet's checkpoint."""
    return write(tmp_path / "small.safetensors", small_resnet())
