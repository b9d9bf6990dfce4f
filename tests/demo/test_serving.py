"""The page's server: where it listens, and what it leaves behind."""

import os
import pathlib
import socket
import stat
import urllib.request

import pytest
from helpers.demo import shifting_predictor, write_image

from aa_keras.demo import running
from aa_keras.demo.serving import MAX_EXAMPLES, folder_name
from aa_keras.errors import UserError

pytest.importorskip("gradio")


def test_it_serves_a_page_and_leaves_nothing(tmp_path, monkeypatch):
    """Twice: Gradio remembers the folder of the first page."""
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    for seed in range(MAX_EXAMPLES + 1):
        write_image(tmp_path / f"{seed:02}.png", seed=seed)
    folder = pathlib.Path(folder_name())
    asked, look_up = set(), socket.getaddrinfo
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda host, *rest, **more: asked.add(host) or look_up(host, *rest, **more)
    )
    for _ in range(2):
        assert not folder.exists()
        with running(shifting_predictor(), "A <b>title</b>", "- About it", tmp_path) as address:
            assert address.startswith("http://127.0.0.1:")
            assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert len(list(folder.rglob("*.png"))) == MAX_EXAMPLES
            with urllib.request.urlopen(address) as response:
                page = response.read().decode()
            with pytest.raises(RuntimeError, match="a page already"), running(shifting_predictor()):
                pass
        assert "About it" in page
        assert "<b>title" not in page
        for service in ("googleapis", "gstatic", "cdnjs", "huggingface.co"):
            assert service not in page
        assert not folder.exists()
        assert "GRADIO_TEMP_DIR" not in os.environ
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(address)
    assert asked == {"127.0.0.1"}  # no other server, such as that of Gradio's analytics


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
