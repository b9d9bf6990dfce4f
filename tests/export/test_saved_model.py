"""The SavedModel: raw images in, probabilities out, with TensorFlow alone."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers.exports import blank_classifier, small_network, write_saved_model

from aa_keras.data import Preprocessing
from aa_keras.errors import UserError

PREPROCESSING = Preprocessing(mean=(130.0, 120.0, 5.0), std=(70.0, 60.0, 110.0), horizontal_flip=True, crop_padding=4)
NAMES = ("apple", "maple tree", "Ölbaum", "worm")

SERVER = """
import sys
sys.modules["keras"] = sys.modules["aa_keras"] = None  # as if they were not installed
import numpy as np
import tensorflow as tf

folder = sys.argv[1]
loaded = tf.saved_model.load(folder + "/saved_model")
serve = loaded.signatures["serving_default"]
(images,) = serve.structured_input_signature[1].values()
assert (images.name, images.dtype, images.shape.as_list()) == ("images", tf.uint8, [None, 8, 6, 3]), images
results = {}
for batch, raw in np.load(folder + "/images.npz").items():
    (results[batch],) = serve(images=tf.constant(raw)).values()
    assert list(serve(images=tf.constant(raw))) == ["probabilities"]
    best = loaded.signatures["top_k"](images=tf.constant(raw))
    results[batch + " top"], results[batch + " labels"] = best["probabilities"], best["labels"].numpy().astype("S")
np.savez(folder + "/served.npz", **results)
"""


@pytest.fixture(scope="module")
def model():
    return small_network(classes=len(NAMES))


def raw_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(count, 8, 6, 3), dtype="uint8")


def test_a_process_with_tensorflow_alone_serves_it(model, tmp_path):
    write_saved_model(model, PREPROCESSING, NAMES, tmp_path / "saved_model")
    np.savez(tmp_path / "images.npz", one=raw_images(1), three=raw_images(3))
    subprocess.run([sys.executable, "-c", SERVER, tmp_path], check=True, cwd=tmp_path)
    with np.load(tmp_path / "served.npz") as served:
        for batch, count in (("one", 1), ("three", 3)):
            raw = raw_images(count).astype("float32")
            expected = model.predict((raw - PREPROCESSING.mean) / PREPROCESSING.std, verbose=0)
            np.testing.assert_allclose(served[batch], expected, atol=1e-5, rtol=0)
            np.testing.assert_allclose(served[f"{batch} top"], -np.sort(-expected, axis=1), atol=1e-5, rtol=0)
            labels = [[NAMES[index].encode() for index in row] for row in np.argsort(-expected, axis=1)]
            assert served[f"{batch} labels"].tolist() == labels
    assert np.ptp(expected, axis=0).max() > 0.05  # the images do make a difference
    assert np.abs(model.predict(raw, verbose=0) - expected).max() > 0.05  # and so does preprocessing


@pytest.fixture(scope="module")
def small_model():
    return blank_classifier(classes=len(NAMES))


def test_labels_lie_in_it_in_the_order_of_the_classes(small_model, tmp_path):
    write_saved_model(small_model, PREPROCESSING, NAMES, tmp_path / "saved_model")
    assert (tmp_path / "saved_model" / "labels.txt").read_text(encoding="utf-8") == "apple\nmaple tree\nÖlbaum\nworm\n"
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]
    # Each weight is written once, where `track` of Keras's archive would write it twice.
    written = tf.train.list_variables(str(tmp_path / "saved_model" / "variables" / "variables"))
    assert sum(int(np.prod(shape)) for name, shape in written if "VARIABLE_VALUE" in name) == small_model.count_params()


def test_one_that_is_there_is_replaced_when_the_new_one_is_whole(small_model, tmp_path, monkeypatch):
    old = tmp_path / "saved_model"
    old.mkdir()
    (old / "labels.txt").write_text("old")
    monkeypatch.setattr("tensorflow.saved_model.save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_saved_model(small_model, PREPROCESSING, NAMES, old)
    assert [path.read_text() for path in old.iterdir()] == ["old"]
    monkeypatch.undo()
    write_saved_model(small_model, PREPROCESSING, NAMES, str(old))
    assert (old / "labels.txt").read_text(encoding="utf-8") != "old"
    assert (old / "saved_model.pb").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def test_a_folder_of_something_else_is_kept(small_model, tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        UserError, match=r"output must be a new folder, or the folder of a SavedModel\. Received: output=/"
    ):
        write_saved_model(small_model, PREPROCESSING, NAMES, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def interrupted(saved, path, *_, **__):
    pathlib.Path(path).mkdir()
    raise KeyboardInterrupt
