"""Evaluation on other folders than that of training: all of their images, and their classes by name."""

import pathlib
import shutil

import keras
import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import write_saved_model
from helpers.runs import folder_run
from PIL import Image

from aa_keras.commands.evaluate import evaluate_run
from aa_keras.data import Preprocessing
from aa_keras.errors import UserError

LEVELS = {"dark": 30, "light": 220, "middle": 128}


def shades(folder, counts):
    """Writes {class: number} images of one shade into class folders, no two the same."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = np.full((8, 8, 3), LEVELS[name], np.uint8)
            pixels[0, 0] = number
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def brightness_classifier():
    """A classifier of normalized images into dark and light by their mean."""
    pooled = keras.layers.GlobalAveragePooling2D()
    model = keras.Sequential([keras.Input((8, 8, 3)), pooled, keras.layers.Dense(2, activation="softmax")])
    model.set_weights([np.array([[-9, 9]] * 3, "float32"), np.zeros(2, "float32")])
    return model


@pytest.fixture
def run(tmp_path):
    """A run that was trained on 20 dark and 20 light images, of which 8 are held out."""
    folder = shades(tmp_path / "trained on", {"dark": 20, "light": 20})
    return folder_run(tmp_path / "run", brightness_classifier(), folder, image_size=8)


def evaluated(run, data_dir=None):
    return evaluate_run(workdir=run, data_dir=None if data_dir is None else str(data_dir), output=run / "out")


def fails(run, data_dir, message):
    with pytest.raises(UserError, match=message) as raised:
        evaluated(run, data_dir)
    assert "\n" not in str(raised.value)


def test_the_runs_own_folder_keeps_what_was_held_out(run, tmp_path, capsys):
    assert evaluated(run).examples == 8
    trained_on = tmp_path / "trained on"
    assert capsys.readouterr().out.startswith(
        f"Evaluating 8 images of {trained_on}, which are held out of training\nTest: top-1 100.00%"
    )
    assert evaluated(run, f"{trained_on}/").examples == 8
    shutil.copytree(trained_on, tmp_path / "copy")
    assert evaluated(run, tmp_path / "copy").examples == 8
    trained_on.rename(tmp_path / "moved")
    assert evaluated(run, tmp_path / "moved").examples == 8


def test_another_folder_is_evaluated_whole(run, tmp_path, capsys):
    other = shades(tmp_path / "other", {"light": 3, "dark": 4})
    measured = evaluated(run, other)
    assert (measured.examples, measured.top1) == (7, 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"Evaluating 7 images of {other}",
        "4 of the test images are images that the network was trained on",  # the others were held out
    ]
    (other / "light").rename(other / "dawn")  # now the order is another one, and a class unknown
    fails(run, other, "has images of 'dawn', a class that the network does not know. It knows dark, light")
    shutil.rmtree(other / "dawn")
    evaluated(run, other)
    assert "1 of the network's 2 classes have no test images: light" in capsys.readouterr().out


def test_classes_are_matched_by_name(tmp_path, capsys):
    """The network's second class is first in the folder."""
    run = folder_run(
        tmp_path / "run", brightness_classifier(), tmp_path, image_size=8, class_names=["zwielicht", "light"]
    )
    measured = evaluated(run, shades(tmp_path / "other", {"light": 3}))
    assert (measured.examples, measured.top1) == (3, 1.0)
    assert measured.confusion.tolist() == [[0, 0], [0, 3]]
    assert "\nIt is not known which images the network was trained on: some of these may be" in capsys.readouterr().out


def test_a_test_split_alone(run, tmp_path, capsys):
    shades(tmp_path / "other" / "Test", {"light": 2, "dark": 1})
    assert evaluated(run, tmp_path / "other").examples == 3
    out = capsys.readouterr().out
    assert out.startswith(f"Evaluating 3 images of {tmp_path / 'other' / 'Test'}\n")
    assert "not known" not in out


def test_a_saved_model_has_its_own_labels(tmp_path, capsys):
    run = folder_run(tmp_path / "run", brightness_classifier(), tmp_path, image_size=8, class_names=["dark", "light"])
    preprocessing = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), image_size=(8, 8))
    other = shades(tmp_path / "other", {"light": 3, "dark": 2})
    write_saved_model(brightness_classifier(), preprocessing, ["dark", "light"], run / "saved_model")
    measured = evaluate_run(saved_model=run / "saved_model", data_dir=str(other), output=tmp_path / "out")
    assert (measured.examples, measured.top1) == (5, 1.0)
    write_saved_model(brightness_classifier(), preprocessing, ["light", "dark"], run / "saved_model")
    measured = evaluate_run(saved_model=run / "saved_model", data_dir=str(other), output=tmp_path / "out")
    assert measured.top1 == 0.0
    for name in ("aa_keras.json", "labels.txt"):
        (run / "saved_model" / name).unlink()
        labels = ("\ufeff" if name == "aa_keras.json" else "") + "light\ndark\n"
        (run / "saved_model" / "labels.txt").write_text(labels, encoding="utf-8")
        measured = evaluate_run(saved_model=run / "saved_model", data_dir=str(other), output=tmp_path / "out")
        assert measured.top1 == 0.0
    # Names that are only numbers say nothing.
    write_saved_model(brightness_classifier(), preprocessing, ["0", "1"], run / "saved_model")
    capsys.readouterr()
    measured = evaluate_run(saved_model=run / "saved_model", data_dir=str(other), output=tmp_path / "out")
    assert measured.top1 == 1.0
    assert "names of the network's classes are not known: they are taken in the order of the data set, dark, light" in (
        capsys.readouterr().out
    )


def test_what_cannot_be_evaluated(run, tmp_path):
    fails(run, tmp_path / "nowhere", "config.data_dir must be a folder of class folders")
    flat = odd_images.write_images(tmp_path / "flat", {"1.jpg": b""})
    fails(run, flat, "flat must hold a folder of images for each class. It holds no folders")
    assert not (pathlib.Path(run) / "out").exists()
