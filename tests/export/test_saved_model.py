"""The SavedModel: raw images in, probabilities out, with TensorFlow alone."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from aa_keras.applications import AAWideResNet
from aa_keras.data import Preprocessing
from aa_keras.export import export_saved_model

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
np.savez(folder + "/served.npz", **results)
"""


@pytest.fixture(scope="module")
def model():
    model = AAWideResNet(10, 1, input_shape=(8, 6, 3), classes=len(NAMES))
    noise = np.random.default_rng(0)
    model.set_weights([weight + noise.normal(scale=0.02, size=weight.shape) for weight in model.get_weights()])
    return model


def raw_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(count, 8, 6, 3), dtype="uint8")


def test_a_process_with_tensorflow_alone_serves_it(model, tmp_path):
    export_saved_model(model, PREPROCESSING, NAMES, tmp_path / "saved_model")
    np.savez(tmp_path / "images.npz", one=raw_images(1), three=raw_images(3))
    subprocess.run([sys.executable, "-c", SERVER, tmp_path], check=True, cwd=tmp_path)
    with np.load(tmp_path / "served.npz") as served:
        for batch, count in (("one", 1), ("three", 3)):
            raw = raw_images(count).astype("float32")
            expected = model.predict((raw - PREPROCESSING.mean) / PREPROCESSING.std, verbose=0)
            np.testing.assert_allclose(served[batch], expected, atol=1e-5, rtol=0)
    assert np.ptp(expected, axis=0).max() > 0.05  # the images do make a difference
    assert np.abs(model.predict(raw, verbose=0) - expected).max() > 0.05  # and so does preprocessing


@pytest.fixture(scope="module")
def small_model():
    pooled = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input((8, 6, 3)), pooled, keras.layers.Dense(len(NAMES), activation="softmax")])


def test_labels_lie_beside_it_in_the_order_of_the_classes(small_model, tmp_path):
    export_saved_model(small_model, PREPROCESSING, NAMES, tmp_path / "saved_model")
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8") == "apple\nmaple tree\nÖlbaum\nworm\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.txt", "saved_model"]


def test_one_that_is_there_is_replaced_when_the_new_one_is_whole(small_model, tmp_path, monkeypatch):
    old = tmp_path / "saved_model"
    old.mkdir()
    (old / "old.txt").write_text("old")
    monkeypatch.setattr("tensorflow.saved_model.save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_saved_model(small_model, PREPROCESSING, NAMES, old)
    assert [path.name for path in old.iterdir()] == ["old.txt"]
    monkeypatch.undo()
    export_saved_model(small_model, PREPROCESSING, NAMES, str(old))
    assert not (old / "old.txt").exists()
    assert (old / "saved_model.pb").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.txt", "saved_model"]


def interrupted(saved, path, *_, **__):
    pathlib.Path(path).mkdir()
    raise KeyboardInterrupt
