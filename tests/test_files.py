"""Files that are whole or missing, and reading them."""

import os
import re
import resource

import pytest

from aa_keras.errors import UserError
from aa_keras.files import read_fields, read_json, require_space, write_json, write_whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "metrics.csv"
    write_whole(path, "old")

    def no_space_left(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", no_space_left)
        with pytest.raises(OSError, match="no space left"):
            write_whole(path, "new")
    assert path.read_text() == "old"
    write_whole(path, "new: ä")
    assert path.read_text(encoding="utf-8") == "new: ä"
    assert list(tmp_path.iterdir()) == [path]


def test_what_json_cannot_hold_leaves_the_file_as_it_was(tmp_path):
    write_json(tmp_path / "result.json", {"top1": 0.5})
    with pytest.raises(TypeError):
        write_json(tmp_path / "result.json", {"top1": object()})
    assert read_json(tmp_path / "result.json") == {"top1": 0.5}


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"top1": true}', '{"top1": "high"}', "no JSON"])
def test_a_file_with_other_content_is_named(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result\.json (was not written by train\.py: its field 'top1'|is not a JSON)"):
        read_fields(tmp_path / "result.json", {"top1": float})
    (tmp_path / "result.json").write_text('{"top1": 1, "more": []}')
    assert read_fields(tmp_path / "result.json", {"top1": float}) == {"top1": 1, "more": []}


def test_what_may_have_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("pipe.json", "folder.json", "/dev/zero"):
        with pytest.raises(UserError, match=rf"{name} must be a file"):
            read_json(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing.json")


def test_space_is_required_as_writing_would_require_it(tmp_path):
    """A file size limit stands in for a full disk: both end in an error of the operating system when a file grows."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        require_space(tmp_path, 1000)
        with pytest.raises(OSError, match=re.escape(str(tmp_path))):
            require_space(tmp_path, 1001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
