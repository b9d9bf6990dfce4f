"""Exports are evaluated in their own runtimes, with the metrics of Keras."""

import json

import keras
import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import LITERT, NAMES, ONNX, OUTPUTS, randomized, servable, small_network
from helpers.runs import folder_run

from aa_keras import recipes
from aa_keras.applications import AAWideResNet
from aa_keras.commands.evaluate import evaluate_run
from aa_keras.commands.trained import servable_of_run
from aa_keras.data import Preprocessing
from aa_keras.errors import UserError
from aa_keras.export import export_servable
from aa_keras.recipes.fields import as_dictionary
from aa_keras.tasks import task_for

FORMATS = ["saved_model", ONNX, LITERT]
DIGITS = tuple("0123456789")


def digits_config():
    config = recipes.default_config()
    config.update(name="run", dataset="digits", builder="AAWideResNet", epochs=2, batch_size=120)
    config.update(learning_rate_per_256=0.2, builder_arguments={"depth": 10, "width": 1, "attention_stages": (1,)})
    return config


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """The folder of a run on the digits with a network of random weights."""
    folder = tmp_path_factory.mktemp("of") / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(as_dictionary(digits_config())))
    (folder / "data.json").write_text(json.dumps(task_for(digits_config()).fingerprint))
    model = AAWideResNet(10, 1, input_shape=(8, 8, 1), classes=10, attention_stages=(1,))
    randomized(model, scale=0.1).save(folder / "model.keras")
    return folder


@pytest.mark.parametrize("export_format", FORMATS)
def test_metrics_and_pictures_are_those_of_keras(digits_run, tmp_path, export_format):
    of_keras = evaluate_run(workdir=digits_run, output=tmp_path / "keras")
    path = digits_run / OUTPUTS[export_format]
    export_servable(servable_of_run(digits_run), path, export_format, overwrite=True)
    measured = evaluate_run(**{export_format: path}, output=tmp_path / "exported", report=True)
    np.testing.assert_array_equal(measured.confusion, of_keras.confusion)
    assert 0.02 < measured.top1 < 0.9
    assert measured.cross_entropy == pytest.approx(of_keras.cross_entropy, rel=1e-5)
    written = {file.name for file in (tmp_path / "exported").iterdir()}
    assert written == {file.name for file in (tmp_path / "keras").iterdir()} | {"report.html"}


@pytest.mark.parametrize("export_format", [ONNX, LITERT])
def test_classes_are_matched_by_name(digits_run, tmp_path, export_format):
    network = servable_of_run(digits_run)
    shuffled = tuple(np.roll(DIGITS, 3))
    path = tmp_path / OUTPUTS[export_format]
    export_servable(network.with_class_names(shuffled), path, export_format)
    as_before = evaluate_run(workdir=digits_run, output=tmp_path / "keras").confusion
    measured = evaluate_run(digits_config(), **{export_format: path}, output=tmp_path / "exported")
    # The same image has the same output, which has another name now; rows are those of the images.
    expected = np.zeros_like(as_before)
    for output, name in enumerate(shuffled):
        expected[:, int(name)] = as_before[:, output]
    np.testing.assert_array_equal(measured.confusion[np.ix_(*[np.argsort(measured.class_names)] * 2)], expected)


@pytest.mark.parametrize("export_format", [ONNX, LITERT])
def test_photographs_are_resized_as_for_keras(tmp_path, export_format):
    """Each of its own size, for a network of one size."""
    for label, name in enumerate(NAMES[:2]):
        for split in ("train", "test"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(5):
                picture = odd_images.picture(20 + 7 * number, 40 - 3 * number, seed=10 * label + number)
                (folder / f"{number}.png").write_bytes(odd_images.encode(picture, "PNG"))
    model = small_network((24, 24), classes=2)
    run = folder_run(tmp_path / "run", model, tmp_path / "data", image_size=24)
    path = tmp_path / "run" / OUTPUTS[export_format]
    export_servable(servable_of_run(run), path, export_format)
    of_keras = evaluate_run(workdir=run, output=tmp_path / "keras")
    measured = evaluate_run(**{export_format: path}, output=tmp_path / "exported")
    np.testing.assert_array_equal(measured.confusion, of_keras.confusion)
    assert measured.cross_entropy == pytest.approx(of_keras.cross_entropy, rel=1e-3)  # whole pixel values


def test_exports_that_do_not_fit(digits_run, tmp_path):
    other = keras.Sequential([keras.Input((32, 32, 10)), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()])
    zero = Preprocessing((0.0,) * 10, (1.0,) * 10)
    export_servable(servable(other, zero, DIGITS), tmp_path / "colours.tflite", "litert")
    for arguments, error in (
        (
            {"litert": tmp_path / "colours.tflite"},
            "^--litert must be in its run directory, or --config must be given too",
        ),
        ({"onnx": digits_run / "missing.onnx"}, "^--onnx must be a file.*missing.onnx"),
        ({"onnx": digits_run / "config.json"}, "^--onnx must be a file that `aa-keras export` wrote"),
    ):
        with pytest.raises(UserError, match=error):
            evaluate_run(**arguments)
    with pytest.raises(UserError, match=r"^--litert must be for images of the data set, 8x8x1\. Received: .*32x32x10"):
        evaluate_run(digits_config(), litert=tmp_path / "colours.tflite")
