"""The contract of every kind of network: it learns in every weight, and can be saved and described."""

import inspect
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.builders import CLASSIFIERS, KINDS, build, images, with_random_statistics, without_values

from aa_keras import applications
from aa_keras.applications import pyramid_outputs

# Kinds of which a SavedModel or a file of HDF5 is made: the others have the same layers in other numbers.
EXPORTED = ("AAWideResNet", "BoTNet", "GEWideResNet", "SEWideResNet", "WideResNet")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    """One network of each kind with 7 classes, for the tests that only look at it."""
    keras.utils.set_random_seed(0)  # a fixture of a module is made before each test sets it
    return with_random_statistics(build(kind, classes=7))


def test_outputs_are_probabilities_of_the_classes(model):
    outputs = model(images(2, *model.input_shape[1:])).numpy()
    assert outputs.shape == (2, 7) == (2, *model.output_shape[1:])
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-4  # the images do make a difference


def test_a_gradient_reaches_every_weight(model):
    with tf.GradientTape() as tape:
        outputs = model(images(2, *model.input_shape[1:]), training=True)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(np.array([0, 3]), outputs))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    without = [
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None or not np.any(gradient) or not np.all(np.isfinite(gradient))
    ]
    assert without == []


def test_a_keras_file_gives_the_same_network(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for before, after in zip(model.weights, loaded.weights, strict=True):
        assert before.path == after.path
        np.testing.assert_array_equal(before.numpy(), after.numpy())
    inputs = images(2, *model.input_shape[1:])
    np.testing.assert_allclose(loaded(inputs), model(inputs), rtol=0, atol=1e-6)
    assert loaded.to_json() == model.to_json()


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in EXPORTED else pytest.mark.slow) for kind in KINDS], indirect=True
)
def test_a_saved_model_gives_the_same_network(kind, model, tmp_path):
    model.export(tmp_path / "saved_model", format="tf_saved_model", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved_model")
    inputs = images(3, *model.input_shape[1:])
    np.testing.assert_allclose(served.serve(inputs), model(inputs), rtol=0, atol=1e-5)


def test_a_copy_has_its_feature_maps(model, tmp_path):
    """Though it is a plain model of Keras's, for which a file needs no class of ours but layers."""
    copy = keras.models.model_from_json(model.to_json())
    assert type(copy) is type(model) is type(keras.Model(model.inputs, model.outputs))
    found, expected = pyramid_outputs(copy), model.pyramid_outputs
    assert {name: output.shape for name, output in found.items()} == {
        name: output.shape for name, output in expected.items()
    }
    assert "P2" in found


@pytest.mark.parametrize("kind", EXPORTED, indirect=True)
def test_a_legacy_file_loads_as_those_of_keras_applications_do(kind, model, tmp_path):
    model.save(tmp_path / "model.h5")
    inputs = images(2, *model.input_shape[1:])
    loaded = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_allclose(loaded(inputs), model(inputs), rtol=0, atol=1e-6)


def test_layer_names_are_unique_and_the_same_each_time(kind, model):
    def names(network):
        return [layer.name for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]

    with without_values():
        again = names(build(kind, classes=7))
    assert again == names(model)
    assert len(set(again)) == len(again)
    # None is left to Keras, which numbers layers by what was built before: "conv2d_17".
    assert not {keras.src.utils.naming.to_snake_case(type(layer).__name__) for layer in model.layers} & {
        name.rstrip("0123456789").removesuffix("_") for name in again
    }


def test_calling_the_model_warns_of_nothing(model, recwarn):
    model(images(1, *model.input_shape[1:]))
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_arguments_stand_where_keras_applications_has_them(name):
    theirs = inspect.signature(keras.applications.ResNet50).parameters
    ours = inspect.signature(getattr(applications, name)).parameters
    required = [argument for argument, parameter in ours.items() if parameter.default is inspect.Parameter.empty]
    first = len(required) + ("alpha" in ours)  # Keras's MobileNets have it early, too
    common = list(ours)[first:][: len(theirs)]
    of_any_size = {"BoTNet": ["stages"], "ResNet": ["depth"], "WideResNet": ["depth", "width"]}
    assert list(ours)[: len(required)] == required == of_any_size.get(name[-len(name.lstrip("AGSE")) :], [])
    assert ("alpha" in ours) == ("Mnas" in name)
    assert common == list(theirs)
    for argument in set(common) - {"weights", "classes", "name"}:
        assert ours[argument].default == theirs[argument].default, argument
    assert ours["weights"].default is None
    assert ours["classes"].default == (100 if "Wide" in name else 1000)
    # The choices are visible.
    assert {parameter.kind for parameter in ours.values()} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


@pytest.mark.parametrize("name", applications.__all__)
def test_docstrings_name_every_argument(name):
    function = getattr(applications, name)
    documentation = inspect.getdoc(function)
    sections = [documentation.index(f"\n{section}:") for section in ("Args", "Returns", "Raises")]
    assert sections == sorted(sections)
    undocumented = [
        argument
        for argument in inspect.signature(function).parameters
        if f"\n    {argument}: " not in documentation and f"`{argument}`" not in documentation[: sections[0]]
    ]
    assert undocumented == []


def test_all_holds_every_builder_and_nothing_else():
    families = [value for value in vars(applications).values() if inspect.ismodule(value)]
    functions = {name for family in families for name, value in vars(family).items() if inspect.isfunction(value)}
    assert sorted(applications.__all__) == sorted(name for name in functions if name[0].isupper())


@pytest.mark.parametrize("name", ["AAWideResNet", "WideResNet"])
def test_predictions_are_float32_in_mixed_precision(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        probabilities = build(name)
        logits = build(name, classifier_activation=None)
    finally:
        keras.config.set_dtype_policy("float32")
    inside = keras.Model(probabilities.inputs, probabilities.get_layer("stage1_block1_conv1").output)
    assert inside(images(1, 8, 8, 3)).dtype == "bfloat16"
    for model in (probabilities, logits):
        outputs = model(images(2, *model.input_shape[1:]))
        assert outputs.dtype == "float32"
        # They were not rounded to bfloat16 on the way: 8 significant bits would leave the low 16 bits empty.
        assert np.any(outputs.numpy().view(np.uint32) & 0xFFFF)
    np.testing.assert_allclose(np.sum(probabilities(images(2, 8, 8, 3)), axis=1), 1, rtol=1e-6)


def test_files_of_an_earlier_class_of_models_still_load(tmp_path):
    """Networks were saved as `PyramidModel` at first, with the names of modules that are no longer there."""
    build("WideResNet").save(tmp_path / "now.keras")
    with zipfile.ZipFile(tmp_path / "now.keras") as now, zipfile.ZipFile(tmp_path / "then.keras", "w") as then:
        for name in now.namelist():
            content = now.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["module"], config["class_name"] = "aa_keras.applications._wide_resnet", "PyramidModel"
                config["registered_name"] = "aa_keras>PyramidModel"
                content = json.dumps(config)
            then.writestr(name, content)
    model = keras.models.load_model(tmp_path / "then.keras")
    assert set(pyramid_outputs(model)) == {"P0", "P1", "P2"}
