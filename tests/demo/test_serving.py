"""The page's server: where it listens, and what it leaves behind."""

import os
import socket
import urllib.request

import pytest
from helpers.demo import shifting_predictor, write_image

from aa_keras.demo import running
from aa_keras.demo.serving import MAX_EXAMPLES
from aa_keras.errors import UserError

pytest.importorskip("gradio")


def test_it_serves_a_page_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)  # so that it is read
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    (tmp_path / "examples").mkdir()
    for seed in range(MAX_EXAMPLES + 1):
        write_image(tmp_path / "examples" / f"{seed:02}.png", seed=seed)
    with running(shifting_predictor(), "A <b>title</b>", "- About it", tmp_path / "examples") as address:
        assert address.startswith("http://127.0.0.1:")
        (folder,) = tmp_path.glob("aa_keras_demo_*")
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert len(list(folder.rglob("*.png"))) == MAX_EXAMPLES
        with urllib.request.urlopen(address) as response:
            page = response.read().decode()
        assert "About it" in page
        assert "<b>title" not in page
        with pytest.raises(RuntimeError, match="a page already"), running(shifting_predictor()):
            pass
        for service in ("googleapis", "gstatic", "cdnjs", "huggingface.co"):
            assert service not in page
    assert [path.name for path in tmp_path.iterdir()] == ["examples"]
    assert "GRADIO_TEMP_DIR" not in os.environ
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)


def refuses(**arguments):
    with pytest.raises(UserError) as raised, running(shifting_predictor(), **arguments):
        pass
    return str(raised.value)


def test_addresses_that_cannot_be_listened_at():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        used = refuses(host="127.0.0.1", port=port)
    assert used == f"port must be free. Received: port={port}, which another program uses"
    for host in ("203.0.113.7", "no.such.host.invalid", "a" * 70 + ".b"):
        assert refuses(host=host) == f"host must be an address of this machine. Received: host={host}"


def test_examples_must_be_images(tmp_path):
    assert str(tmp_path) in refuses(examples=tmp_path)
    assert "missing" in refuses(examples=tmp_path / "missing")
