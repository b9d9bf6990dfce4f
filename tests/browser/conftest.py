"""Chromium, and images to upload, for the tests of pages."""

import pytest
from helpers.demo import write_image
from helpers.pages import chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two images of the network's size, one of the detector's, and a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate(("first.png", "second.png")):
        write_image(folder / name, seed=seed)
    write_image(folder / "large.png", 64, 128)
    (folder / "corrupt.png").write_bytes(bytes(range(256)))
    return folder
