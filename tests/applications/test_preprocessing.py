"""`preprocess_input` and `decode_predictions`, as in `keras.applications` but without side effects."""

import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from aa_keras.applications import aa_resnet, aa_wide_resnet

# Statistics of pixels in [0, 255]: of CIFAR-100's training images to one decimal, and the usual ones of ImageNet.
STATISTICS = {
    aa_wide_resnet: (np.array([129.3, 124.1, 112.4]), np.array([68.2, 65.4, 70.4])),
    aa_resnet: (np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255),
}
FAMILIES = pytest.mark.parametrize("family", STATISTICS, ids=lambda family: family.__name__.rsplit(".", 1)[-1])


def pixels(dtype):
    return np.random.default_rng(0).integers(0, 256, size=(2, 4, 5, 3)).astype(dtype)


@FAMILIES
@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        ("uint8", "float32"),
        ("int64", "float32"),
        ("float16", "float16"),
        ("float32", "float32"),
        ("float64", "float64"),
    ],
)
def test_arrays_are_normalized_and_left_as_they_are(family, dtype, result):
    mean, std = STATISTICS[family]
    array = pixels(dtype)
    normalized = family.preprocess_input(array)
    assert isinstance(normalized, np.ndarray)
    assert normalized.dtype == result
    tolerance = {"float16": 5e-3, "float32": 1e-5, "float64": 1e-12}[result]
    np.testing.assert_allclose(normalized, (pixels("float64") - mean) / std, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(array, pixels(dtype))


@FAMILIES
@pytest.mark.parametrize(("dtype", "result"), [("uint8", "float32"), ("float32", "float32"), ("bfloat16", "bfloat16")])
def test_tensors_stay_tensors(family, dtype, result):
    tensor = tf.cast(tf.constant(pixels("uint8")), dtype)
    normalized = family.preprocess_input(tensor)
    assert tf.is_tensor(normalized)
    assert normalized.dtype == result
    mean, std = STATISTICS[family]
    tolerance = 1e-5 if result == "float32" else 2e-2
    np.testing.assert_allclose(tf.cast(normalized, "float64"), (pixels("float64") - mean) / std, atol=tolerance)


def test_it_can_be_mapped_over_a_dataset():
    dataset = tf.data.Dataset.from_tensor_slices(pixels("uint8")).map(aa_wide_resnet.preprocess_input)
    np.testing.assert_allclose(list(dataset), aa_wide_resnet.preprocess_input(pixels("uint8")), rtol=1e-6, atol=1e-6)


def test_it_can_stand_in_a_model():
    # As `keras.applications` allows and its tutorials do.
    image = keras.Input((4, 5, 3))
    model = keras.Model(image, aa_wide_resnet.preprocess_input(image))
    np.testing.assert_allclose(
        model.predict(pixels("float32"), verbose=0), aa_wide_resnet.preprocess_input(pixels("float32")), rtol=1e-5
    )


def test_lists_and_single_images_will_do():
    mean, std = STATISTICS[aa_wide_resnet]
    normalized = aa_wide_resnet.preprocess_input([[[0, 128, 255]]])
    np.testing.assert_allclose(normalized, [[(np.array([0, 128, 255]) - mean) / std]], rtol=1e-6)


@FAMILIES
def test_images_that_do_not_fit_are_refused(family):
    for shape in ((2, 4, 5, 1), (2, 3, 4, 5), (4,)):
        with pytest.raises(ValueError, match=r"`x` must have 3 channels.*Received: x of shape"):
            family.preprocess_input(np.zeros(shape))
    with pytest.raises(ValueError, match=r"`data_format` must be .*Received: data_format='channels_first'"):
        family.preprocess_input(np.zeros((2, 3, 4, 3)), data_format="channels_first")
    assert family.preprocess_input(np.zeros((2, 3, 4, 3)), data_format="channels_last").shape == (2, 3, 4, 3)


@FAMILIES
@pytest.mark.parametrize("x", [None, "image.jpg", [[1, 2, 3], [1, 2]], [None, 1, 2]])
def test_what_is_no_array_of_numbers_is_refused(family, x):
    with pytest.raises(ValueError, match=r"`x` must be an array or tensor of numbers\. Received: x="):
        family.preprocess_input(x)


@FAMILIES
def test_predictions_of_other_classes_are_called_by_the_names_given(family):
    predictions = [[0.1, 0.7, 0.2]]
    decoded = family.decode_predictions(predictions, top=2, class_names=("cat", "dog", "fox"))
    assert decoded == [[(1, "dog", 0.7), (2, "fox", 0.2)]]
    with pytest.raises(ValueError, match=r"`preds` must have the shape \(batch, 2\)"):
        family.decode_predictions(predictions, top=1, class_names=["cat", "dog"])
    for names in ("cat", [1, 2, 3]):
        with pytest.raises(ValueError, match="`class_names` must be a list of strings"):
            family.decode_predictions(predictions, top=1, class_names=names)
    assert family.decode_predictions(predictions, np.int64(1), ["a", "b", "c"]) == [[(1, "b", 0.7)]]


CLASSES = {aa_wide_resnet: 100, aa_resnet: 1000}


@FAMILIES
def test_the_highest_scores_come_first_and_equal_ones_by_class(family):
    scores = np.zeros((2, CLASSES[family]), dtype="float32")
    scores[0, [90, 7, 30]] = [0.5, 0.25, 0.125]
    scores[1, [3, 99, 50]] = 1
    decoded = family.decode_predictions(scores, top=4)
    assert [[score for *_, score in row] for row in decoded] == [[0.5, 0.25, 0.125, 0], [1, 1, 1, 0]]
    everything = family.decode_predictions(np.linspace(1, 0, CLASSES[family])[None], top=CLASSES[family])[0]
    names = [entry[:2] for entry in everything]
    expected = [[90, 7, 30, 0], [3, 50, 99, 0]]
    assert [[entry[:2] for entry in row] for row in decoded] == [[names[index] for index in row] for row in expected]
    assert len(set(names)) == CLASSES[family]
    assert [len(row) for row in family.decode_predictions(scores)] == [5, 5]


def test_classes_of_cifar100_are_numbered_from_apple_to_worm():
    decoded = aa_wide_resnet.decode_predictions(np.linspace(1, 0, 100)[None], top=100)[0]
    assert [index for index, *_ in decoded] == list(range(100))
    names = [name for _, name, _ in decoded]
    assert names == sorted(names)  # CIFAR-100 numbers its classes by the alphabet
    assert (names[0], names[31], names[-1]) == ("apple", "elephant", "worm")


@pytest.mark.skipif("AA_KERAS_DATA" not in os.environ, reason="AA_KERAS_DATA does not name a folder of data")
def test_classes_of_cifar100_are_those_of_tensorflow_datasets():
    import tensorflow_datasets as tfds

    folder = pathlib.Path(os.environ["AA_KERAS_DATA"])
    builder = tfds.builder("cifar100", data_dir=folder / "tfds" if (folder / "tfds").is_dir() else folder)
    decoded = aa_wide_resnet.decode_predictions(np.linspace(1, 0, 100)[None], top=100)[0]
    assert [name for _, name, _ in decoded] == builder.info.features["label"].names


def test_classes_of_imagenet_are_numbered_by_their_wordnet_identifiers():
    decoded = aa_resnet.decode_predictions(np.linspace(1, 0, 1000)[None], top=1000)[0]
    identifiers = [identifier for identifier, *_ in decoded]
    assert identifiers == sorted(set(identifiers))
    assert decoded[0][:2] == ("n01440764", "tench")
    assert decoded[207][:2] == ("n02099601", "golden retriever")
    assert decoded[-1][:2] == ("n15075141", "toilet tissue")


@FAMILIES
def test_predictions_that_do_not_fit_are_refused(family):
    classes = CLASSES[family]
    for shape in ((2, classes + 1), (classes,), (2, 2, classes)):
        with pytest.raises(ValueError, match=rf"`preds` must have the shape \(batch, {classes}\).*Received: preds of"):
            family.decode_predictions(np.zeros(shape))
    for top in (0, -1, classes + 1, 2.0, True):
        with pytest.raises(ValueError, match=f"`top` must be an integer from 1 to {classes}. Received: top={top}"):
            family.decode_predictions(np.zeros((2, classes)), top=top)
