"""The run that several tests use."""

import pytest
from helpers.training import tiny_config

from aa_keras.training import train_and_evaluate


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a finished run, and its result. Nobody changes either."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, train_and_evaluate(tiny_config(), str(workdir))
