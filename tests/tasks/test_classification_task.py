"""The task of classification: its data, and the network of a config."""

import types

import keras
import numpy as np
import pytest
from helpers.exports import randomized

from aa_keras import applications
from aa_keras.applications import datasets
from aa_keras.data import ImageDataset, LabelledImages
from aa_keras.errors import UserError
from aa_keras.export import DetectionSpec, ServingSpec, saved_model
from aa_keras.export.spec import SPECS
from aa_keras.recipes import default_config
from aa_keras.tasks import TASKS, Classification, Detection, Task, resolved, task_for
from aa_keras.training.callbacks import _best_value


def small_config(**values):
    config = default_config()
    config.update(name="run", dataset="digits", builder="AAWideResNet", epochs=2, batch_size=32)
    config.update(learning_rate_per_256=0.2, builder_arguments={"depth": 10, "width": 1})
    config.update(values)
    return config


def task_of(config, dataset):
    task = Classification(config)
    task.dataset = dataset
    return task


def dataset_of(images, name="mine", classes=3):
    examples = LabelledImages(np.asarray(images, "uint8"), np.zeros(len(images), "int32"))
    return ImageDataset(name, tuple("abcdefgh"[:classes]), examples, examples, examples)


def test_every_task_is_found_by_its_name():
    assert {"classification", "detection"} <= set(TASKS)
    assert all(TASKS[name].spec_type is SPECS[name] for name in TASKS)
    assert type(task_for(small_config())) is Classification
    message = r"config.task must be one of classification, detection.*Received: task='segmentation'"
    for function in (task_for, resolved):
        with pytest.raises(UserError, match=message):
            function(small_config(task="segmentation"))


def test_a_task_needs_a_name_of_its_own():
    with pytest.raises(
        ValueError, match=r"`task` must be another name than .*DetectionSpec.* Received: task='detection'"
    ):

        class Mine(ServingSpec):
            task, outputs, columns = "detection", (), ()

    assert SPECS["detection"] is DetectionSpec


def test_what_a_task_lacks_is_named_where_it_is_defined():
    with pytest.raises(TypeError, match=r"^Mine must define columns$"):

        class Mine(ServingSpec):
            task, outputs = "mine", ()

    with pytest.raises(TypeError, match=r"^MyTask must define results_type, metrics$"):

        class MyTask(Task):
            spec_type, best_metric, curves = DetectionSpec, "ap", {}

    assert "mine" not in SPECS
    assert TASKS["detection"] is Detection


def test_the_best_metric_is_one_of_the_validation():
    task = types.SimpleNamespace(best_metric="top1")
    assert _best_value(task, {"loss": 1.0}) is None  # there are no validation images
    assert _best_value(task, {"loss": 1.0, "val_loss": 1.0, "val_top1": 0.5}) == 0.5
    with pytest.raises(ValueError, match=r"`best_metric` must be one of loss, ap\. Received: best_metric='top1'"):
        _best_value(task, {"loss": 1.0, "val_loss": 1.0, "val_ap": 0.5})


def test_what_a_run_keeps_of_its_data():
    names = [str(digit) for digit in range(10)]
    counts = {"training_images": 1257, "validation_images": 180, "test_images": 360}
    assert Classification(small_config()).fingerprint == {"class_names": names, **counts}


@pytest.mark.parametrize(
    ("result", "phrase"),
    [
        ({"top1": 0.5, "top5": 0.75}, "top-1 50.00%, top-5 75.00% (1,234 test images)"),
        ({"top1": 0.5, "top5": 1.0}, "top-1 50.00% (1,234 test images)"),  # of up to five classes
        (
            {"top1": 0.5, "top5": 0.75, "averaged": {"top1": 0.625, "top5": 0.8}},
            "top-1 50.00%, top-5 75.00% (1,234 test images), averaged weights top-1 62.50%",
        ),
    ],
)
def test_a_finished_run_is_described(result, phrase):
    assert Classification(small_config()).describe({**result, "test_examples": 1234}) == phrase


def test_preprocessing_uses_the_statistics_of_the_training_images():
    images = np.random.default_rng(0).integers(0, 256, size=(50, 4, 4, 2))
    images[..., 1] = 7  # nothing to divide by
    preprocessing = task_of(small_config(horizontal_flip=True, crop_padding=2), dataset_of(images)).preprocessing
    assert (preprocessing.horizontal_flip, preprocessing.crop_padding) == (True, 2)
    np.testing.assert_allclose(preprocessing.mean, [images[..., 0].mean(), 7], rtol=1e-12)
    np.testing.assert_allclose(preprocessing.std, [images[..., 0].std(), 1], rtol=1e-12)


def test_preprocessing_uses_the_papers_statistics_for_the_papers_data():
    preprocessing = Classification(small_config(dataset="cifar100:3.0.2", data_dir="/gone")).preprocessing
    assert preprocessing.mean == (129.3, 124.1, 112.4)
    assert preprocessing.std == (68.2, 65.4, 70.4)
    assert (preprocessing.horizontal_flip, preprocessing.crop_padding) == (False, 0)


def test_what_a_run_knows_of_its_data_serves_a_network_without_it():
    task = Classification(small_config(dataset="image_folder", image_size=24, data_dir="/gone"))
    model = keras.Sequential([keras.Input((24, 24, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    spec = task.servable(model, {"class_names": ["a", "b"]}).spec
    assert (spec.class_names, spec.image_shape) == (("a", "b"), (None, None, 3))
    assert (spec.preprocessing.image_size, spec.preprocessing.central_fraction) == ((24, 24), 0.875)
    assert spec.preprocessing.mean == datasets.IMAGENET.mean


@pytest.mark.slow
def test_what_trained_in_half_precision_is_exported_in_float32(tmp_path):
    task = task_of(small_config(precision="mixed_bfloat16"), dataset_of(np.zeros((2, 8, 6, 3))))
    model = randomized(task.inference_model())
    exact = task_of(small_config(), task.dataset).inference_model()
    exact.set_weights(model.get_weights())
    task.export(model, tmp_path / "saved_model")
    images = np.random.default_rng(0).integers(0, 2, (3, 8, 6, 3), dtype="uint8")  # of a deviation of 1
    found = saved_model.load(tmp_path / "saved_model").run(images)["probabilities"]
    np.testing.assert_allclose(found, exact.predict(images.astype("float32"), verbose=0), atol=1e-6)
    assert np.abs(found - model.predict(images.astype("float32"), verbose=0)).max() > 1e-5


DATASET = dataset_of(np.zeros((2, 12, 8, 1)), classes=4)


@pytest.mark.parametrize("method", ["training_model", "inference_model"])
def test_the_model_is_for_the_images_and_classes_of_the_data(method):
    arguments = {"depth": 16, "width": 2, "attention_stages": (3,), "name": "mine"}
    model = getattr(task_of(small_config(builder_arguments=arguments), DATASET), method)()
    assert (model.input_shape, model.output_shape, model.name) == ((None, 12, 8, 1), (None, 4), "mine")
    outputs = np.sum(model(np.random.default_rng(0).normal(size=(1, 12, 8, 1))))
    assert (abs(outputs - 1) < 1e-6) == (method == "inference_model")
    built = applications.AAWideResNet(**arguments, input_shape=(12, 8, 1), classes=4)
    assert [(weight.path, weight.shape) for weight in model.weights] == [
        (weight.path, weight.shape) for weight in built.weights
    ]


def test_precision_is_the_models_alone():
    model = task_of(small_config(precision="mixed_bfloat16"), DATASET).training_model()
    assert model.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert model.get_layer("predictions").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"depth": 11, "width": 1}, "AAWideResNet.*`depth` must be .*depth=11"), ({"depth": 10}, "AAWideResNet.*width")],
)
def test_arguments_that_the_builder_does_not_take(arguments, error):
    config = small_config(precision="mixed_bfloat16")
    config.builder_arguments = arguments
    with pytest.raises(UserError, match=error) as raised:
        task_of(config, DATASET).training_model()
    assert "\n" not in str(raised.value)
    assert keras.config.dtype_policy().name == "float32"
