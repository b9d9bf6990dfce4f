"""The run that several tests use."""

import json

import pytest
from helpers.once import once
from helpers.training import tiny_config

from aa_keras.training import train_and_evaluate


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a finished run, and its result. Nobody changes either."""

    def train(folder):
        result = train_and_evaluate(tiny_config(), str(folder / "run"))
        (folder / "returned.json").write_text(json.dumps(result))

    folder = once(tmp_path_factory, "finished", train)
    return folder / "run", json.loads((folder / "returned.json").read_text())
