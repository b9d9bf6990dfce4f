"""Image operations, each eager and inside `tf.data`, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from aa_keras.data import image_ops

SEEDS = np.stack([np.full(400, 7), np.arange(400)], axis=1)


def eagerly(operation, image, seeds):
    return np.stack([operation(tf.constant(image), tf.constant(seed)).numpy() for seed in seeds])


def in_tf_data(operation, image, seeds):
    dataset = tf.data.Dataset.from_tensor_slices(seeds).map(lambda seed: operation(tf.constant(image), seed))
    assert dataset.element_spec.shape == image.shape  # known to whatever comes next
    return np.stack(list(dataset.as_numpy_iterator()))


def an_image(height, width, channels=2, dtype="float32"):
    """An image in which no two numbers are the same, and none is 0."""
    return np.arange(1, 1 + height * width * channels).reshape(height, width, channels).astype(dtype)


def shifted(image, down, right):
    """An image moved by so many pixels, zeros moving in, pixel by pixel."""
    result = np.zeros_like(image)
    height, width, _ = image.shape
    for y, x in np.ndindex(height, width):
        if 0 <= y - down < height and 0 <= x - right < width:
            result[y, x] = image[y - down, x - right]
    return result


@pytest.mark.parametrize("apply", [eagerly, in_tf_data])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_flip_mirrors_about_half_of_the_images_from_left_to_right(apply, dtype):
    image = an_image(3, 4, dtype=dtype)
    results = apply(image_ops.random_horizontal_flip, image, SEEDS)
    flipped = sum(np.array_equal(result, image[:, ::-1]) for result in results)
    assert flipped + sum(np.array_equal(result, image) for result in results) == len(SEEDS)
    assert 160 < flipped < 240  # four standard deviations to either side of 200


@pytest.mark.parametrize("apply", [eagerly, in_tf_data])
@pytest.mark.parametrize(("padding", "dtype"), [(1, "float32"), (2, "float32"), (1, "uint8")])
def test_crop_shifts_by_every_number_of_pixels_up_to_the_padding_and_no_more(apply, padding, dtype):
    image = an_image(4, 5, dtype=dtype)

    def crop(image, seed):
        return image_ops.random_crop_from_padded(image, padding, seed)

    span = range(-padding, padding + 1)
    expected = {shifted(image, down, right).tobytes(): (down, right) for down in span for right in span}
    shifts = [expected[result.tobytes()] for result in apply(crop, image, SEEDS)]
    counts = {shift: shifts.count(shift) for shift in expected.values()}
    assert len(counts) == (2 * padding + 1) ** 2
    # Each about as often as any other.
    mean = len(SEEDS) / len(counts)
    assert min(counts.values()) > mean - 4 * mean**0.5
    assert max(counts.values()) < mean + 4 * mean**0.5


def test_crop_without_padding_changes_nothing():
    image = an_image(4, 5)
    np.testing.assert_array_equal(image_ops.random_crop_from_padded(tf.constant(image), 0, SEEDS[0]), image)


@pytest.mark.parametrize(
    "operation",
    [image_ops.random_horizontal_flip, lambda image, seed: image_ops.random_crop_from_padded(image, 2, seed)],
    ids=["flip", "crop"],
)
def test_the_same_seed_gives_the_same_result_wherever_it_is_computed(operation):
    image = an_image(4, 5)
    tf.random.set_seed(1)
    first = eagerly(operation, image, SEEDS[:50])
    tf.random.set_seed(2)
    np.testing.assert_array_equal(eagerly(operation, image, SEEDS[:50]), first)
    np.testing.assert_array_equal(in_tf_data(operation, image, SEEDS[:50]), first)
    assert any(not np.array_equal(result, first[0]) for result in first)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int32"])
def test_normalize_subtracts_the_mean_and_divides_by_the_deviation_of_each_channel(dtype):
    image = np.random.default_rng(0).integers(0, 256, size=(4, 5, 3)).astype(dtype)
    mean, std = (10.0, 20.5, 255.0), (1.0, 2.0, 70.4)
    expected = np.zeros(image.shape)
    for channel in range(3):
        expected[..., channel] = (image[..., channel].astype("float64") - mean[channel]) / std[channel]

    result = image_ops.normalize(tf.constant(image), mean, std)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
    (mapped,) = tf.data.Dataset.from_tensors(image).map(lambda image: image_ops.normalize(image, mean, std))
    np.testing.assert_array_equal(mapped, result)
