"""Image folders that a network sees in shades of gray: the same pixels in training, evaluation and serving."""

import pathlib

import numpy as np
import pytest
from helpers.odd_images import encode, picture
from PIL import Image

from aa_keras.data import Preprocessing, evaluation_dataset, load_dataset, raw_dataset, training_dataset
from aa_keras.data.decoding import decode_image
from aa_keras.errors import UserError
from aa_keras.recipes import default_config
from aa_keras.tasks.preprocessing import preprocessing_for, statistics_of

FORMATS = ("JPEG", "PNG", "GIF", "BMP")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of images in several formats, some of which are gray already."""
    root = tmp_path_factory.mktemp("gray")
    for number, name in enumerate(("a", "b")):
        for part, count in (("train", 4), ("test", 4)):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                image, kind = picture(40, 40, seed=10 * number + index), FORMATS[index]
                mode = "L" if index % 2 else "RGB"
                (root / part / name / f"{index}.{kind.lower()}").write_bytes(encode(image, kind, mode))
    return root


def load(folder, **arguments):
    return load_dataset("image_folder", folder, image_size=40, **arguments)


def expected(paths):
    decoded = (decode_image(pathlib.Path(path).read_bytes()) for path in paths)
    return np.stack([np.asarray(Image.fromarray(image).convert("L"))[..., None] for image in decoded])


def test_images_have_one_channel_of_pillows_gray(folder):
    dataset = load(folder, channels=1)
    assert dataset.image_shape == (40, 40, 1)
    assert load(folder).image_shape == load(folder, channels=3).image_shape == (40, 40, 3)
    raw = np.stack([image for image, _ in raw_dataset(dataset.test).as_numpy_iterator()])
    np.testing.assert_array_equal(raw, expected(dataset.test.paths))
    assert load(folder, channels=1, for_test_alone=True).image_shape == (40, 40, 1)
    assert dataset.test.relabelled(np.array([1, 0])).image_shape == (40, 40, 1)


def test_training_and_evaluation_see_the_same_gray(folder):
    """Of whole images: a JPEG is decoded in the graph in training, whose luminance is Pillow's up to rounding."""
    dataset = load(folder, channels=1)
    preprocessing = Preprocessing((0.0,), (1.0,), image_size=40, central_fraction=1.0, smallest_crop=0.999)
    (images, labels) = next(training_dataset(dataset.train, preprocessing, 8, 1, 0, range(1)).as_numpy_iterator())
    (plain, plain_labels) = next(evaluation_dataset(dataset.train, preprocessing, 8).as_numpy_iterator())
    assert images.shape == plain.shape == (8, 40, 40, 1)
    for image, label in zip(images, labels, strict=True):
        differences = [np.abs(image - other).mean() for other in plain[plain_labels == label]]
        assert min(differences) < 2.5  # one pixel less on a side, at most


def test_other_data_sets_have_the_channels_that_they_have():
    with pytest.raises(UserError, match=r"config\.channels must be unset for dataset='digits'"):
        load_dataset("digits", channels=1)


def test_statistics_of_color_become_those_of_gray():
    config = default_config()
    config.update(name="run", dataset="image_folder", image_size=40, channels=1, batch_size=1)
    config.update(image_mean=(10.0, 20.0, 60.0), image_std=(1.0, 2.0, 3.0), color_jitter=0.1)
    statistics = [(float(np.mean(config[name])),) for name in ("image_mean", "image_std")]
    assert list(statistics_of(config, None)) == statistics == [(30.0,), (2.0,)]
    assert preprocessing_for(config, statistics, lambda: 1).policy is not None
