"""A step of training on whichever backend runs the tests."""

import keras
import numpy as np
import pytest
from helpers.builders import images

from aa_keras.applications import AAWideResNet

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("implementation", ["auto", "blockwise"])
def test_a_step_of_fit_changes_every_weight_and_lowers_the_loss(implementation):
    model = AAWideResNet(
        10, 1, input_shape=(8, 12, 3), classes=4, classifier_activation=None, implementation=implementation
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit_compile = "auto" if implementation == "auto" else keras.backend.backend() == "jax"
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), loss, jit_compile=jit_compile)
    inputs, labels = images(8, 8, 12, 3), np.arange(8) % 4
    before = model.get_weights()

    history = model.fit(inputs, labels, batch_size=8, epochs=6, verbose=0).history["loss"]

    assert np.isfinite(history).all()
    assert history[-1] < 0.8 * history[0]
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new), weight.path
