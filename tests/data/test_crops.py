"""Crops of images of any size, each eager and inside `tf.data`: against Pillow and plain loops."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import odd_images
from PIL import Image

from aa_keras.data import Preprocessing, image_ops


def eagerly(operation, *arguments):
    return np.asarray(operation(*map(tf.constant, arguments)))


def in_tf_data(operation, *arguments):
    return next(tf.data.Dataset.from_tensors(tuple(map(tf.constant, arguments))).map(operation).as_numpy_iterator())


def boxes(shape, count=300, smallest_area=0.08, inside_tf_data=False):
    """An array of (top, left, height, width)."""

    def box(seed):
        return image_ops.random_box(np.array(shape, "int32"), seed, smallest_area)

    seeds = np.array([[5, number] for number in range(count)])
    drawn = tf.data.Dataset.from_tensor_slices(seeds).map(box) if inside_tf_data else map(box, seeds)
    return np.array([(*begin[:2], *size[:2]) for begin, size in drawn])


@pytest.mark.parametrize("shape", [(375, 500, 3), (500, 333, 3), (64, 64, 1)])
def test_boxes_lie_inside_and_have_the_areas_and_ratios_of_inception(shape):
    top, left, height, width = boxes(shape).T
    assert (np.minimum(top, left) >= 0).all()
    assert (top + height <= shape[0]).all()
    assert (left + width <= shape[1]).all()
    area, ratio = height * width / (shape[0] * shape[1]), width / height
    rounding = 2 / min(height.min(), width.min())
    assert area.min() > 0.08 * (1 - 2 * rounding)
    assert area.max() > 0.6
    assert area.min() < 0.2
    assert 3 / 4 * (1 - rounding) < ratio.min() < 0.85
    assert 1.2 < ratio.max() < 4 / 3 * (1 + rounding)
    # All over the image.
    assert np.ptp(top / (shape[0] - height + 1)) > 0.9
    assert np.ptp(left / (shape[1] - width + 1)) > 0.9


def test_the_smallest_area_of_a_box_can_be_chosen():
    height, width = boxes((100, 100, 3), smallest_area=0.7).T[2:]
    assert (height * width).min() >= 0.68 * 100 * 100


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3, 3), (1000, 3, 3), (3, 1000, 3)])
def test_boxes_of_extreme_images_are_not_empty(shape):
    top, left, height, width = boxes(shape, count=50).T
    assert (np.minimum(height, width) >= 1).all()
    assert (top + height <= shape[0]).all()
    assert (left + width <= shape[1]).all()


def test_a_seed_decides_the_box_wherever_it_is_drawn():
    tf.random.set_seed(1)
    first = boxes((300, 400, 3), count=20)
    tf.random.set_seed(2)
    np.testing.assert_array_equal(boxes((300, 400, 3), count=20, inside_tf_data=True), first)
    assert len(np.unique(first, axis=0)) == 20


@pytest.mark.parametrize("apply", [eagerly, in_tf_data])
@pytest.mark.parametrize("shape", [(90, 120), (200, 150), (20, 30)])
def test_random_resized_crop_is_the_box_resized_by_pillow(apply, shape):
    image = odd_images.picture(*shape)
    for number in range(5):
        seed = np.array([3, number])
        result = apply(lambda image, seed: image_ops.random_resized_crop(image, 24, seed), image, seed)
        assert result.shape == (24, 24, 3)
        assert result.dtype == "float32"
        top, left, height, width = np.concatenate(
            [part[:2] for part in image_ops.random_box(np.array(image.shape, "int32"), seed)]
        )
        box = Image.fromarray(image[top : top + height, left : left + width])
        expected = np.asarray(box.resize((24, 24), Image.Resampling.BILINEAR), "float64")
        assert np.abs(result - expected).max() < 1.01  # Pillow rounds, twice


@pytest.mark.parametrize("apply", [eagerly, in_tf_data])
def test_resize_without_antialiasing_interpolates_between_two_pixels(apply):
    row = np.array([0, 100, 50, 10, 200, 30], "float32")
    image = np.tile(row[None, :, None], (6, 1, 3))
    result = apply(lambda image: image_ops.resize(image, 4), image)
    assert result.shape == (4, 4, 3)
    positions = (np.arange(4) + 0.5) * 6 / 4 - 0.5
    expected = np.interp(positions, np.arange(6), row)
    np.testing.assert_allclose(result, np.broadcast_to(expected[None, :, None], (4, 4, 3)), rtol=1e-5)


def weights_of_pixels(length, scale, size):
    """The weights of `length` pixels in each of `size` around the centre of the scaled row, in plain loops."""
    weights = np.zeros((size, length))
    reach = max(1, 1 / scale)
    for result in range(size):
        position = (result + 0.5 - (size - scale * length) / 2) / scale
        for pixel in range(length):
            weights[result, pixel] = max(0, 1 - abs(pixel + 0.5 - position) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("apply", [eagerly, in_tf_data])
@pytest.mark.parametrize(
    ("shape", "size"), [((90, 120), 32), ((61, 47), 16), ((128, 128), 112), ((20, 33), 28), ((300, 40), 7), ((1, 1), 8)]
)
def test_centre_crop_by_definition(apply, shape, size):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype="uint8")
    scale = round(size * 256 / 224) / min(shape)
    rows, columns = (weights_of_pixels(length, scale, size) for length in shape)
    expected = np.einsum("yh,xw,hwc->yxc", rows, columns, image.astype("float64"), optimize=True)
    result = apply(lambda image: image_ops.resize_and_centre_crop(image, size), image)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, expected, atol=1e-2)


@pytest.mark.parametrize(
    ("shape", "size", "fraction"), [((90, 120), (32, 20), 0.5), ((47, 61), (16, 40), 1.0), ((30, 30), (30, 30), 1.0)]
)
def test_the_centre_of_any_shape_and_share(shape, size, fraction):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype="uint8")
    scale = max(side / fraction / length for side, length in zip(size, shape, strict=True))
    rows, columns = (weights_of_pixels(length, scale, side) for length, side in zip(shape, size, strict=True))
    expected = np.einsum("yh,xw,hwc->yxc", rows, columns, image.astype("float64"), optimize=True)
    np.testing.assert_allclose(image_ops.resize_and_centre_crop(image, size, fraction), expected, atol=1e-2)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(375, 500), (512, 384), (256, 256), (100, 150)])
def test_centre_crop_is_what_pillow_makes_of_it(shape, interpolation):
    image = odd_images.picture(*shape)
    scale = 256 / min(shape)
    filter_ = Image.Resampling[interpolation.upper()]
    whole = Image.fromarray(image).resize((round(shape[1] * scale), round(shape[0] * scale)), filter_)
    top, left = ((length - 224) // 2 for length in (whole.height, whole.width))
    expected = np.asarray(whole, "float64")[top : top + 224, left : left + 224]
    ours = image_ops.resize_and_centre_crop(image, 224, interpolation=interpolation)
    difference = np.abs(np.clip(ours, 0, 255) - expected)
    # Pillow rounds colours to integers, and here the crop's place to whole pixels.
    assert difference.mean() < 1
    assert difference.max() < 6


def test_a_batch_of_images_is_cropped_as_each_of_them():
    images = np.stack([odd_images.picture(50, 70, seed=seed) for seed in range(3)])
    together = image_ops.resize_and_centre_crop(tf.constant(images), 32)
    assert together.shape == (3, 32, 32, 3)
    for image, result in zip(images, together, strict=True):
        np.testing.assert_array_equal(image_ops.resize_and_centre_crop(image, 32), result)


def test_preprocessing_of_any_size_in_a_graph_without_sizes():
    preprocessing = Preprocessing((120.0, 110.0, 100.0), (60.0, 50.0, 40.0), image_size=32)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def served(images):
        return preprocessing.for_evaluation(images)

    for shape in ((50, 70), (200, 31)):
        image = odd_images.picture(*shape)
        pixels = np.round(image_ops.resize_and_centre_crop(image, 32))
        expected = (pixels - [120, 110, 100]) / [60, 50, 40]
        np.testing.assert_allclose(served(image[None])[0], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(preprocessing.for_evaluation(image), served(image[None])[0], rtol=1e-6, atol=1e-6)
