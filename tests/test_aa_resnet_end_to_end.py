"""AA-ResNet-50 from training to serving: ImageNet as TensorFlow Datasets mock it, and raw images of any size."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers.exports import write_saved_model

from aa_keras.applications import AAResNet50
from aa_keras.applications.datasets import IMAGENET
from aa_keras.commands.evaluate import evaluate_run
from aa_keras.data import Preprocessing
from aa_keras.data.decoding import decode_image
from aa_keras.recipes import find_recipe, load_recipe
from aa_keras.training import train_and_evaluate

CLASSES = tuple(f"class {label}" for label in range(1000))

SERVER = """
import sys
sys.modules["keras"] = sys.modules["aa_keras"] = None  # as if they were not installed
import numpy as np, tensorflow as tf
folder = sys.argv[1]
serve = tf.saved_model.load(folder + "/saved_model").signatures["serving_default"]
with np.load(folder + "/images.npz") as images:
    served = {name: serve(images=tf.constant(images[name][None]))["probabilities"] for name in images}
np.savez(folder + "/served.npz", **served)
"""


@pytest.mark.slow
def test_two_steps_on_imagenet_and_its_evaluation(tmp_path):
    config = load_recipe(find_recipe("imagenet_aa_resnet50"))
    config.update(image_size=64, batch_size=4, epochs=1, steps_per_epoch=2, shuffle_buffer=8, decay_epochs=())
    config.data_dir = None
    with tfds.testing.mock_data(num_examples=10):
        result = train_and_evaluate(config, tmp_path / "run")
        evaluation = evaluate_run(workdir=tmp_path / "run")
    assert result["test_examples"] == evaluation.examples == 10
    assert (evaluation.top1, evaluation.top5) == (result["top1"], result["top5"])
    assert evaluation.cross_entropy == pytest.approx(result["cross_entropy"], rel=1e-6)


def photographs():
    """Six photographs of ImageNet, or noise of six sizes and brightnesses where there are none."""
    folder = pathlib.Path(os.environ.get("AA_KERAS_DATA", "missing")) / "imagenet_samples"
    files = sorted(folder.glob("*/*.JPEG"))[:6]
    if files:
        return [decode_image(file.read_bytes()) for file in files]
    generator = np.random.default_rng(0)
    sizes = ((224, 224), (500, 375), (180, 640), (90, 70), (333, 257), (1000, 31))
    return [generator.integers(0, 256 - 30 * index, (*size, 3), dtype=np.uint8) for index, size in enumerate(sizes)]


@pytest.mark.slow
def test_a_saved_model_takes_raw_images_of_any_size_and_agrees_with_keras(tmp_path):
    model, images = AAResNet50(), photographs()
    preprocessing = Preprocessing(IMAGENET.mean, IMAGENET.std, image_size=224)
    normalized = np.stack([preprocessing.for_evaluation(image) for image in images])
    # With the statistics of these images, the network neither saturates nor sees them all alike.
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(normalized, training=True)
    write_saved_model(model, preprocessing, CLASSES, tmp_path / "saved_model")
    np.savez(tmp_path / "images.npz", **{str(index): image for index, image in enumerate(images)})
    subprocess.run([sys.executable, "-c", SERVER, tmp_path], check=True, cwd=tmp_path)

    expected = np.concatenate([model.predict(image[None], verbose=0) for image in normalized])
    with np.load(tmp_path / "served.npz") as served:
        probabilities = np.concatenate([served[str(index)] for index in range(len(images))])
    print(f"largest difference {np.abs(probabilities - expected).max():.2e}, largest probability {expected.max():.3f}")
    np.testing.assert_allclose(probabilities, expected, atol=1e-5, rtol=0)
    assert 0.01 < expected.max() < 0.9
    assert np.ptp(expected, axis=0).max() > 0.01  # the images do make a difference
