"""Runs on an image folder: corrupt images that are skipped, folders and contents that change."""

import json

import keras
import numpy as np
import pytest
from helpers.training import tiny_config

from aa_keras.errors import UserError
from aa_keras.files import read_json
from aa_keras.training import loop, train_and_evaluate

pytestmark = pytest.mark.jax


def add_images(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        keras.utils.save_img(folder / name, np.full((8, 8, 3), 20 * index, np.uint8), scale=False)


@pytest.fixture
def images(tmp_path):
    """Twelve images to train on, one of them corrupt, and four to validate and report on."""
    folder = tmp_path / "images"
    for kind in ("cat", "dog"):
        add_images(folder / "train" / kind, [f"{number}.png" for number in range(6)])
        add_images(folder / "test" / kind, ["1.png", "2.png"])
    (folder / "train" / "dog" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def config_for(folder, **fields):
    fields = {"epochs": 2, "batch_size": 4, "steps_per_epoch": None, "export": False, **fields}
    config = tiny_config(dataset="image_folder", image_size=8, crop_padding=0, builder="WideResNet", **fields)
    config.data_dir = str(folder)
    config.builder_arguments = {"depth": 10, "width": 1}
    return config


def test_skipped_images_are_counted_also_after_an_interruption(images, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.outcome, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(config_for(images), workdir)
    result = train_and_evaluate(config_for(images), workdir)
    assert result["skipped_images"] == read_json(workdir / "result.json")["skipped_images"] == 1
    assert "Corrupt training images that were skipped: 1" in capsys.readouterr().out


def test_another_folder_and_another_content_are_other_data(images, tmp_path, monkeypatch):
    workdir, config = tmp_path / "run", config_for(images)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.outcome, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_and_evaluate(config, workdir)
    data = json.loads((workdir / "data.json").read_text())
    assert len(data.pop("files")) == 64
    assert data == {
        "class_names": ["cat", "dog"],
        "training_images": 12,
        "validation_images": 0,
        "test_images": 4,
    }
    with pytest.raises(UserError, match=r"data_dir is '.*images' there and '.*elsewhere' here"):
        train_and_evaluate(config_for(tmp_path / "elsewhere"), workdir)
    add_images(images / "train" / "fox", ["1.png"])
    with pytest.raises(UserError, match="training images were 12 and are 13; classes were added or removed: fox"):
        train_and_evaluate(config, workdir)
