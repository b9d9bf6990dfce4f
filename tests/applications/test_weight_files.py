"""Untrusted files of weights: what is refused, and the reasons."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers.builders import images, with_random_statistics

from aa_keras.applications import AAWideResNet
from aa_keras.applications.blocks import dtype_policy
from aa_keras.applications.weights.files import stored_weights

KERNEL = "layers/conv2d/vars/0"
TABLE = "layers/attention_augmented_conv2d/self_attention/relative_embedding/vars/0"


def network(**arguments):
    return AAWideResNet(10, 1, **{"input_shape": (8, 12, 3), "classes": 5, "attention_stages": (1,), **arguments})


@pytest.fixture(scope="module")
def trained():
    return with_random_statistics(network())


@pytest.fixture
def weights_file(trained, tmp_path):
    path = tmp_path / "network.weights.h5"
    trained.save_weights(path)
    return path


@pytest.fixture
def keras_file(trained, tmp_path):
    path = tmp_path / "network.keras"
    trained.save(path)
    return path


def replace(path, name, *arguments, **options):
    """Replaces a data set by another one."""
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, *arguments, **options)


def refused(path, reason):
    with pytest.raises(ValueError, match=rf"^`weights` must be .*Received: weights='{path}'.*{reason}") as error:
        network(weights=path)
    assert "\n" not in str(error.value)


def test_data_of_other_files_do_not_become_weights(weights_file, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret".ljust(4 * 3 * 3 * 3 * 16))
    external = [(str(tmp_path / "secret"), 0, 4 * 3 * 3 * 3 * 16)]
    replace(weights_file, KERNEL, shape=(3, 3, 3, 16), dtype="f4", external=external)
    refused(weights_file, f"{KERNEL} takes its data from other files")


def test_virtual_data_sets_do_not_either(weights_file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.create_dataset("secret", data=np.ones((3, 3, 3, 16), "f4"))
    layout = h5py.VirtualLayout((3, 3, 3, 16), "f4")
    layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3, 3, 3, 16))
    with h5py.File(weights_file, "r+") as file:
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)
    refused(weights_file, f"{KERNEL} takes its data from other files")


@pytest.mark.parametrize("name", [KERNEL, "layers/conv2d", "elsewhere"])
def test_links_into_other_files_do_not_either(weights_file, trained, tmp_path, name):
    trained.save_weights(tmp_path / "other.weights.h5")
    with h5py.File(weights_file, "r+") as file:
        if name in file:
            del file[name]
        file[name] = h5py.ExternalLink(str(tmp_path / "other.weights.h5"), f"/{KERNEL}")
    refused(weights_file, f"{name} is a link into another file")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.full((3, 3, 3, 16), np.nan), "holds numbers that are infinite or NaN"),
        (np.full((3, 3, 3, 16), np.inf, "f2"), "holds numbers that are infinite or NaN"),
        (np.zeros((3, 3, 3, 16), "i1"), "it is a quantized model: .* has the type int8"),
        (np.full((3, 3, 3, 16), b"text"), "must hold numbers, and holds"),
        (np.zeros((3, 3, 3, 16), [("re", "f4"), ("im", "f4")]), "must hold numbers, and holds"),
    ],
)
def test_what_no_network_has_is_refused(weights_file, value, reason):
    replace(weights_file, KERNEL, data=value)
    refused(weights_file, reason)


@pytest.mark.parametrize("rows", [0, 14, 2**18 + 1])
def test_tables_have_an_odd_number_of_rows(weights_file, rows):
    replace(weights_file, TABLE, shape=(rows, 20), dtype="f4")
    refused(weights_file, f"{TABLE} is a table of {rows} rows, and the number of rows must be odd")


def test_a_data_set_larger_than_memory_is_not_read(weights_file):
    replace(weights_file, KERNEL, shape=(2**40,), dtype="f4", chunks=(1024,))
    refused(weights_file, r"has the shape \(1099511627776,\) in the file")


def test_a_legacy_file_is_called_so(trained, tmp_path):
    trained.save(tmp_path / "whole.h5")
    refused(tmp_path / "whole.h5", "it is a legacy HDF5 file")


def test_another_model_is_called_so(tmp_path):
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3), keras.layers.Dense(5)])
    other.save_weights(tmp_path / "other.weights.h5")
    other.save(tmp_path / "other.keras")
    for name in ("other.weights.h5", "other.keras"):
        refused(tmp_path / name, "the file has another model: ")


def rewritten(path, change):
    """Rewrites a whole model with another config.json."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["config.json"] = change(json.loads(contents["config.json"]))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: b"no JSON",
        lambda config: b"null",
        lambda config: json.dumps({**config, "config": None}),
        lambda config: json.dumps({**config, "config": {"layers": [{"class_name": "Dense"}]}}),
        lambda config: json.dumps({**config, "config": {"layers": [3]}}),
        lambda config: json.dumps({**config, "config": {"layers": [{"config": {}}]}}),
    ],
)
def test_layers_without_configurations_are_refused(keras_file, change):
    rewritten(keras_file, change)
    refused(keras_file, "its layers have no configurations")


def test_an_archive_without_weights_is_refused(keras_file):
    with zipfile.ZipFile(keras_file) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(keras_file, "w") as archive:
        archive.writestr("config.json", config)
    refused(keras_file, "model.weights.h5")


@pytest.mark.parametrize("shape", [(None, None, 3), (None, 12, 3), (8, None, 3)])
@pytest.mark.parametrize("kind", ["weights_file", "keras_file"])
def test_of_an_unknown_size_tables_stay_those_of_the_file(trained, kind, shape, request, caplog):
    model = network(weights=request.getfixturevalue(kind), input_shape=shape)
    assert caplog.messages == []
    np.testing.assert_allclose(model(images(2, 8, 12, 3)), trained(images(2, 8, 12, 3)), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_tables_stay_those_of_the_file_also_where_attention_is_pooled(tmp_path):
    options = {"attention_pooling": 2, "attention_stages": (2, 3)}
    trained = with_random_statistics(network(input_shape=(17, 13, 3), **options))
    trained.save_weights(tmp_path / "pooled.weights.h5")
    model = network(input_shape=(None, None, 3), weights=tmp_path / "pooled.weights.h5", **options)
    np.testing.assert_allclose(model(images(2, 17, 13, 3)), trained(images(2, 17, 13, 3)), rtol=1e-5, atol=1e-6)


def test_damaged_numbers_are_refused(weights_file):
    replace(weights_file, KERNEL, data=np.zeros((3, 3, 3, 16), "float32"), compression="gzip")
    with h5py.File(weights_file) as file:
        chunk = file[KERNEL].id.get_chunk_info(0)
    with weights_file.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    refused(weights_file, "read data")


def test_what_is_read_are_the_weights_of_layers(weights_file, trained):
    with stored_weights(weights_file) as weights:
        assert len(weights) == len(trained.weights)
        assert weights[TABLE].shape == (15, 20)


@pytest.mark.parametrize(
    ("stored", "suffix"),
    [("bfloat16", "keras"), ("bfloat16", "weights.h5"), ("float16", "weights.h5"), ("float32", "keras")],
)
def test_weights_of_any_type_for_a_network_of_any_type(stored, suffix, tmp_path):
    """Rounded once to the types of the file and of the network, also tiny numbers."""
    path = tmp_path / f"network.{suffix}"
    with dtype_policy(stored):
        model = network()
        model.set_weights([weight * np.float32(1e-3) for weight in model.get_weights()])
        model.save(path) if suffix == "keras" else model.save_weights(path)
    expected = [np.asarray(weight, "float32") for weight in model.get_weights()]
    for policy in ("bfloat16", "float16", "float32", "mixed_bfloat16"):
        with dtype_policy(policy):
            loaded = network(weights=path)
        for weight, wanted in zip(loaded.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(weight, wanted.astype(weight.dtype))
    resized = network(weights=path, input_shape=(10, 12, 3))
    assert all(np.isfinite(weight).all() for weight in resized.get_weights())


def test_numbers_of_bfloat16_must_be_finite(tmp_path):
    path = tmp_path / "network.weights.h5"
    with dtype_policy("bfloat16"):
        model = network()
        model.set_weights([weight * np.float32("nan") for weight in model.get_weights()])
        model.save_weights(path)
    refused(path, "holds numbers that are infinite or NaN")
