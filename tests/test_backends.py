"""The imports of `import aa_keras`, and the same network on another backend."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from aa_keras.applications import AAWideResNet, ResNet, WideResNet, builders

IMPORT = """
import json, sys
import keras
before = set(sys.modules)
import aa_keras, aa_keras.applications, aa_keras.complexity
added = {name.split(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(added - set(sys.stdlib_module_names))))
print(json.dumps([name for name in ("tensorflow", "tensorflow_datasets") if name in sys.modules]))
"""

FORWARD = """
import sys
import jax, keras, numpy as np
from aa_keras.applications import AAWideResNet, WideResNet
from aa_keras.applications import blocks as building
assert keras.backend.backend() == "jax"
folder = sys.argv[1]
weights = folder + "/network.weights.h5"
model = AAWideResNet(10, 1, input_shape=(8, 12, 3), classifier_activation=None, attention_pooling=2, weights=weights)
state = [variable.value for variable in model.trainable_variables], [
    variable.value for variable in model.non_trainable_variables
]
outputs, _ = jax.jit(model.stateless_call)(*state, np.load(folder + "/images.npy"))
np.save(folder + "/outputs.npy", outputs)
assert "tensorflow" not in sys.modules, "JAX should do"
"""


def run(code, *arguments, **environment):
    completed = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def imported(backend):
    """The modules that are imported besides Keras and its own imports."""
    return [json.loads(line) for line in run(IMPORT, KERAS_BACKEND=backend).splitlines()[-2:]]


def test_the_library_imports_keras_and_nothing_else():
    assert imported("tensorflow") == [["aa_keras"], ["tensorflow"]]


needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")


@needs_jax
def test_with_jax_tensorflow_is_not_imported():
    assert imported("jax") == [["aa_keras"], []]


@needs_jax
@pytest.mark.slow
def test_jax_computes_what_tensorflow_does(tmp_path):
    generator = np.random.default_rng(0)
    model = AAWideResNet(10, 1, input_shape=(8, 12, 3), classifier_activation=None, attention_pooling=2)
    model.set_weights([weight + generator.uniform(0, 0.1, size=weight.shape) for weight in model.get_weights()])
    images = generator.normal(size=(2, 8, 12, 3)).astype("float32")
    model.save_weights(tmp_path / "network.weights.h5")
    np.save(tmp_path / "images.npy", images)
    run(FORWARD, str(tmp_path), KERAS_BACKEND="jax")
    expected = model.predict(images, verbose=0)
    assert expected.std() > 0.1
    np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), expected, atol=1e-5, rtol=1e-5)


PLAIN = """
import sys
import keras
model = keras.models.load_model(sys.argv[1])
assert model.output_shape == (None, 100)
assert "aa_keras" not in sys.modules
"""

STRIPPED = """
import aa_keras
assert aa_keras.augment.__doc__ is None
assert aa_keras.applications.AAWideResNet(10, 1, input_shape=(8, 8, 3)).output_shape == (None, 100)
"""


@needs_jax
def test_the_file_of_a_network_of_keras_layers_needs_keras_alone(tmp_path):
    WideResNet(10, 1, input_shape=(8, 8, 3), shortcut="projection").save(tmp_path / "model.keras")
    run(PLAIN, str(tmp_path / "model.keras"), KERAS_BACKEND="jax")


def test_builders_without_docstrings_stay_without():
    definition = dataclasses.replace(ResNet.definition, function=lambda **_: None)
    assert builders._build(definition, "ResNet", None).__doc__ is None


@needs_jax
@pytest.mark.slow  # every import must be compiled again
def test_stripped_bytecode_works():
    run(STRIPPED, KERAS_BACKEND="jax", PYTHONOPTIMIZE="2")
