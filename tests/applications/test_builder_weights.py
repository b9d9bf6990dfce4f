"""`weights=`: files of the same network, of another image size, without the classifier, and of no use."""

import logging

import numpy as np
import pytest
from helpers.builders import images, with_random_statistics

from aa_keras.applications import AAWideResNet, WideResNet


def network(builder=AAWideResNet, **arguments):
    return builder(**{"depth": 10, "width": 1, "input_shape": (8, 8, 3), "classes": 5, **arguments})


@pytest.fixture(scope="module")
def trained():
    return with_random_statistics(network())


@pytest.fixture(scope="module", params=["network.weights.h5", "network.keras"])
def file(request, trained, tmp_path_factory):
    """The weights of a network in each kind of file."""
    path = tmp_path_factory.mktemp("weights") / request.param
    if path.name.endswith(".keras"):
        trained.save(path)
    else:
        trained.save_weights(path)
    return path


def test_weights_of_the_same_network(trained, file, caplog):
    with caplog.at_level(logging.INFO, logger="aa_keras"):
        for path in (file, str(file)):
            model = network(weights=path)
            for ours, theirs in zip(model.weights, trained.weights, strict=True):
                np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(model(images(2, 8, 8, 3)), trained(images(2, 8, 8, 3)), rtol=0, atol=1e-6)
    assert caplog.records == []


def test_weights_without_the_classifier(trained, file):
    model = network(weights=file, include_top=False, classes=3)
    assert len(model.weights) == len(trained.weights) - 2
    for ours, theirs in zip(model.weights, trained.weights, strict=False):
        np.testing.assert_array_equal(ours, theirs)


def linear(table, size):
    """A table of relative positions for another size by NumPy's own interpolation: ends and offset zero stay."""
    there = np.linspace(-1, 1, len(table))
    here = np.linspace(-1, 1, 2 * size - 1) if size > 1 else [0]
    return np.stack([np.interp(here, there, column) for column in table.T], axis=1)


@pytest.mark.parametrize("size", [(12, 8), (4, 16)])
def test_weights_of_another_image_size_have_their_tables_resized(trained, file, caplog, size):
    with caplog.at_level(logging.INFO, logger="aa_keras"):
        model = network(weights=file, input_shape=(*size, 3))
    resized = 0
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        assert ours.path == theirs.path
        expected = theirs.numpy()
        if ours.name in ("height_table", "width_table"):
            resized += ours.shape != theirs.shape
            expected = linear(expected, (ours.shape[0] + 1) // 2)
            np.testing.assert_array_equal(ours[ours.shape[0] // 2], theirs[theirs.shape[0] // 2])
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    (record,) = caplog.records
    assert f"resized {resized} tables" in record.getMessage()
    assert str(file) in record.getMessage()


def test_weights_of_other_classes_are_refused(file):
    with pytest.raises(ValueError, match=r"(?s)`weights` must be of the same architecture.*\(64, 5\).*\(64, 7\)"):
        network(weights=file, classes=7)


@pytest.mark.parametrize(
    "other", [{"builder": WideResNet}, {"width": 2}, {"depth": 16}, {"shortcut": "projection"}, {"num_heads": 4}]
)
def test_weights_of_another_network_are_refused(trained, tmp_path, other):
    trained.save_weights(tmp_path / "network.weights.h5")
    with pytest.raises(ValueError, match=r"(?s)`weights` must be of the same architecture.*Received: weights="):
        network(weights=tmp_path / "network.weights.h5", **other)


@pytest.mark.parametrize("name", ["some.weights.h5", "some.keras", "some.txt"])
def test_files_that_hold_no_weights_are_refused(name, tmp_path):
    (tmp_path / name).write_text("not weights")
    with pytest.raises(ValueError, match=f"(?s)`weights`.*Received: weights=.*{name}"):
        network(weights=tmp_path / name)
    with pytest.raises(ValueError, match="`weights` must be None, the path of a file"):
        network(weights=tmp_path)
