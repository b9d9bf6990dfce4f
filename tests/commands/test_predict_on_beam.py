"""Apache Beam predicts what `aa-keras predict` does."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from helpers import odd_images
from helpers.exports import servable
from helpers.runs import CLASSES
from keras import Sequential, layers

from aa_keras.commands.predict import SKIPPED, predict_images
from aa_keras.data import Preprocessing
from aa_keras.export import export_servable

beam = pytest.importorskip("apache_beam", reason="the extra `beam` is not installed")

from apache_beam.io.localfilesystem import LocalFileSystem  # noqa: E402

from aa_keras.commands import predict_on_beam  # noqa: E402


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network of the colours of an image."""
    pooled = layers.GlobalAveragePooling2D()
    model = Sequential([*[layers.Input((24, 24, 3)), pooled], layers.Dense(3, activation="softmax")])
    model.set_weights([np.eye(3, dtype="float32") / 50, np.zeros(3, "float32")])
    path = tmp_path_factory.mktemp("network") / "network.tflite"
    export_servable(
        servable(model, Preprocessing((0.0,) * 3, (1.0,) * 3, image_size=(24, 24)), CLASSES, (24, 24, 3)),
        path,
        "litert",
    )
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of images and a corrupt one, in two folders."""
    folder = tmp_path_factory.mktemp("photographs")
    files = {f"of/{seed}.png": odd_images.encode(odd_images.picture(20, 30, seed), "PNG") for seed in range(9)}
    return odd_images.write_images(folder, {**files, "corrupt, too.jpg": b"no image"})


def rows(paths):
    found = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
            found += [tuple(line) for line in lines]
    return header, sorted(found)


TWO_PROCESSES = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


@pytest.mark.parametrize("arguments", [[], pytest.param(TWO_PROCESSES, marks=pytest.mark.slow)], ids=len)
def test_the_same_predictions_as_by_the_command(network, photographs, tmp_path, arguments):
    predict_images(
        [str(photographs)], litert=str(network), top=2, batch_size=4, output=str(tmp_path / "by_command.csv")
    )
    flags = [
        f"--network={network}",
        f"--images={photographs}/**",
        f"--output={tmp_path}/part",
        "--top=2",
        "--batch_size=4",
    ]
    command = [sys.executable, "-m", "aa_keras.commands.predict_on_beam", *flags, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == SKIPPED, done.stderr
    assert done.stdout.splitlines()[-1] == f"{tmp_path}/part-*: 9 images read, 1 skipped"
    header, predicted = rows(sorted(tmp_path.glob("part-*.csv")))
    assert (header, predicted) == rows([tmp_path / "by_command.csv"])
    assert len(predicted) == 18
    reason = "it is not an image of a known format"
    assert rows(tmp_path.glob("part.skipped-*.csv")) == (
        ["image", "reason"],
        [(str(photographs / "corrupt, too.jpg"), reason)],
    )


def test_the_handler_alone(network):
    handler = predict_on_beam.PredictorHandler(str(network), batch_size=3)
    red, blue = (np.full((9, 7, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    found = handler.run_inference([("red", red), ("blue", blue)], handler.load_model())
    assert [(each.image, each.size, each.outputs["probabilities"].argmax()) for each in found] == [
        ("red", (9, 7), 0),
        ("blue", (9, 7), 2),
    ]
    assert handler.batch_elements_kwargs() == {"min_batch_size": 3, "max_batch_size": 3}


class OtherFiles(LocalFileSystem):
    """A file system of Beam, whose files are local ones."""

    @classmethod
    def scheme(cls):
        return "other"

    def open(self, path, *arguments, **options):
        return super().open(path.removeprefix("other://"), *arguments, **options)


def test_a_network_on_a_file_system_of_beam(network):
    spec = predict_on_beam.PredictorHandler(f"other://{network}").load_model().spec
    assert spec.class_names == CLASSES


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--network=missing.onnx", "--images={folder}/**"], "--network must be that of a trained network. Received: "),
        (["--network={network}", "--images={folder}/**", "--images=a/*"], "--images=a/*, which matches none"),
        (["--network={network}", "--images=nowhere://a/*"], "--images=nowhere://a/* cannot be read: ValueError: "),
    ],
)
def test_mistakes_are_one_line(network, photographs, tmp_path, flags, error):
    flags = [flag.format(folder=photographs, network=network) for flag in flags]
    with pytest.raises(SystemExit) as raised:
        predict_on_beam.main([*flags, f"--output={tmp_path}/part"])
    assert "\n" not in raised.value.code
    assert error in raised.value.code
    assert not list(tmp_path.iterdir())
