"""Named weights for color images in networks for gray images, and for images of more channels, as in timm."""

import logging

import keras
import numpy as np
import pytest

from aa_keras.applications import AAResNet, AAWideResNet16_4, ResNet, WideResNet16_4
from aa_keras.applications.weights import Weights


def images(channels):
    return np.random.default_rng(0).normal(size=(2, 32, 32, channels)).astype("float32")


@pytest.fixture(scope="module")
def colored():
    return AAWideResNet16_4(weights="cifar100")


def test_a_network_for_gray_images_sees_what_the_one_for_color_sees_in_gray(colored, caplog):
    with caplog.at_level(logging.WARNING, "aa_keras"):
        gray = AAWideResNet16_4(weights="cifar100", input_shape=(32, 32, 1))
    assert "the kernel of stem_conv is adapted from 3 channels to 1" in caplog.text
    expected = colored.predict(np.repeat(images(1), 3, axis=-1), verbose=0)
    np.testing.assert_allclose(gray.predict(images(1), verbose=0), expected, atol=1e-5)


def test_more_channels_repeat_the_kernel_and_keep_the_size_of_outputs(colored):
    many = AAWideResNet16_4(weights="cifar100", input_shape=(32, 32, 5))
    kernel, of_color = (keras.ops.convert_to_numpy(model.get_layer("stem_conv").kernel) for model in (many, colored))
    np.testing.assert_allclose(kernel, of_color[:, :, [0, 1, 2, 0, 1]] * 3 / 5, rtol=1e-6)


def test_an_augmented_network_takes_the_adapted_kernel_of_a_plain_one(tmp_path):
    arguments = {"input_shape": (32, 32, 3), "classes": 4, "width": 8}
    plain = ResNet(18, **arguments)
    plain.save(tmp_path / "plain.keras")
    weights = Weights(tmp_path / "plain.keras", is_exact=False)
    gray = AAResNet(18, **{**arguments, "input_shape": (32, 32, 1)}, num_heads=2, weights=weights)
    kernel, of_color = (keras.ops.convert_to_numpy(model.get_layer("stem_conv").kernel) for model in (gray, plain))
    np.testing.assert_allclose(kernel, of_color.sum(axis=2, keepdims=True), rtol=1e-5, atol=1e-6)


def test_a_file_by_its_path_must_fit_as_it_is(tmp_path):
    WideResNet16_4().save(tmp_path / "color.keras")
    with pytest.raises(ValueError, match=r"stem_conv.*has the shape \(3, 3, 3, 16\) in the file, \(3, 3, 1, 16\)"):
        WideResNet16_4(weights=tmp_path / "color.keras", input_shape=(32, 32, 1))
