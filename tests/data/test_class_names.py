"""Classes are matched by name, in any order, and what does not match is an error."""

import numpy as np
import pytest

from aa_keras.data import LabelledImages, count_same, matching_labels
from aa_keras.errors import UserError


def test_labels_follow_the_names():
    labels, lacking = matching_labels(["dog", "cat"], {0, 1}, ["bird", "cat", "dog"], "here")
    assert (labels.tolist(), lacking) == ([2, 1], ["bird"])
    images = LabelledImages(np.zeros((3, 1, 1, 1), np.uint8), np.array([0, 1, 0], np.int32))
    assert images.relabelled(labels).labels.tolist() == [2, 1, 2]
    assert images.classes == {0, 1}


def test_equal_names_keep_their_labels_also_twice():
    """Two of ImageNet's classes are called crane."""
    assert matching_labels(["crane", "crane"], {0, 1}, ["crane", "crane"], "here")[0].tolist() == [0, 1]
    with pytest.raises(UserError, match="here has images of 'crane', which is the name of two classes of the network"):
        matching_labels(["crane"], {0}, ["crane", "crane"], "here")


def test_letters_that_systems_write_differently_are_the_same():
    labels, lacking = matching_labels(["O\u0308lbaum"], {0}, ["apple", "Ölbaum"], "here")
    assert (labels.tolist(), lacking) == ([1], ["apple"])


def test_an_unknown_class_is_named_if_it_has_images():
    message = "here has images of 'dgo', a class that the network does not know. It knows cat, dog. Did you mean 'dog'?"
    with pytest.raises(UserError) as raised:
        matching_labels(["cat", "dgo"], {0, 1}, ["cat", "dog"], "here")
    assert str(raised.value) == message
    assert matching_labels(["cat", "dgo"], {0}, ["cat", "dog"], "here")[0].tolist() == [0, -1]


def test_copies_of_files_are_counted(tmp_path):
    contents = {"a": b"one", "b": b"two", "copy": b"one", "other": b"six", "long": b"three"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = {name: str(tmp_path / name) for name in contents}
    trained = [paths["a"], paths["b"], str(tmp_path / "gone")]
    assert count_same([paths["copy"], paths["other"], paths["long"], paths["b"]], trained) == 2
