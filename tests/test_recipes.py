"""Recipes: those in configs/, errors that name a field, and the data and model that a config stands for."""

import ast
import pathlib

import keras
import numpy as np
import pytest

from aa_keras import applications, recipes
from aa_keras.config_fields import RULES, check_config
from aa_keras.data import ImageDataset, LabelledImages
from aa_keras.errors import UserError
from aa_keras.recipe_files import load_recipe

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))


def load(name):
    return load_recipe(CONFIGS[0].parent / f"{name}.py")


def small_config(**fields):
    """A config that is in order, with other values for some fields."""
    config = recipes.default_config()
    config.update(name="run", dataset="digits", builder="AAWideResNet", epochs=2, batch_size=32)
    config.update(learning_rate_per_256=0.2, builder_arguments={"depth": 10, "width": 1})
    with config.ignore_type():
        config.update(fields)
    return config


def dataset_of(images, name="mine", classes=3):
    examples = LabelledImages(np.asarray(images, "uint8"), np.zeros(len(images), "int32"))
    return ImageDataset(name, tuple("abcdefgh"[:classes]), examples, examples, examples)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe_is_in_order_and_says_how_to_run_it(path):
    config = load(path.stem)
    check_config(config)
    assert config.builder in applications.__all__
    header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    is_default = path.stem == "digits_aa_wide_resnet10_2"
    command = "python train.py" if is_default else f"python train.py --config=configs/{path.name}"
    data_dir = "" if path.stem.startswith("digit") else " --config.data_dir=FOLDER"
    assert f"{command}{data_dir}\n" in header
    assert set(config) == set(recipes.default_config())  # no field of its own


def test_recipes_have_names_and_so_folders_of_their_own():
    names = [load(path.stem).name for path in CONFIGS]
    assert len(names) == len(set(names)) > 3


def test_the_recipes_of_the_papers_table_have_its_hyperparameters():
    common = {
        "dataset": "cifar100",
        "horizontal_flip": True,
        "crop_padding": 4,
        "validation_examples": 0,
        "epochs": 500,
        "steps_per_epoch": None,
        "learning_rate_per_256": 0.2,
        "warmup_fraction": 0.05,
        "momentum": 0.9,
    }
    plain = {**common, "builder": "WideResNet28_10", "batch_size": 1024, "weight_decay": 2e-4}
    augmented = {**common, "builder": "AAWideResNet28_10", "batch_size": 256, "weight_decay": 5e-4}
    for name, expected in (("cifar100_wide_resnet28_10", plain), ("cifar100_aa_wide_resnet28_10", augmented)):
        config = load(name)
        assert {field: config[field] for field in expected} == expected
        assert config.builder_arguments.to_dict() == {}


def test_the_default_recipe_needs_no_download():
    assert load("digits_aa_wide_resnet10_2").dataset == "digits"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", ".."),
        ("name", "a/b"),
        ("builder", "ResNet"),
        ("builder", "preprocess_input"),
        ("precision", "float16"),
        ("epochs", 0),
        ("batch_size", 0),
        ("batch_size", -1),
        ("steps_per_epoch", 0),
        ("validation_examples", -1),
        ("crop_padding", -1),
        ("weight_decay", -1e-4),
        ("weight_decay", float("nan")),
        ("seed", -1),
        ("seed", 2**32),
        ("learning_rate_per_256", 0.0),
        ("learning_rate_per_256", float("inf")),
        ("learning_rate_per_256", float("nan")),
        ("warmup_fraction", 1.0),
        ("warmup_fraction", -0.1),
        ("decay_epochs", (0,)),
        ("decay_epochs", (2,)),
        ("decay_epochs", (1, 1)),
        ("decay_epochs", (0.5,)),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("rand_augment_operations", -1),
        ("rand_augment_magnitude", 1.5),
        ("mixup_alpha", -0.1),
        ("mixup_alpha", float("inf")),
        ("cutmix_alpha", 1.5),
        ("label_smoothing", 1.0),
        ("ema_momentum", 1.0),
        ("distribution", "parallel"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(field, value):
    with pytest.raises(UserError, match=rf"^config\.{field} must be .*Received: {field}=") as error:
        check_config(small_config(**{field: value}))
    assert repr(value) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("epochs", value) for value in ("four", 4.5, True, 10**20)),
        *(("batch_size", value) for value in (64.0, "64", 10**20)),
        *(("horizontal_flip", value) for value in ("no", 1)),
        *(("decay_epochs", value) for value in (3, (True,), "1", ("1",))),
        *(("builder", value) for value in (None.__class__, 3)),
        *(("dataset", value) for value in (3, ["digits"])),
        *(("data_dir", value) for value in (3, True)),
        *(("momentum", value) for value in ("0.9", True, None)),
        *(("image_size", value) for value in (10**8, 224.0, (224, 224))),
        *(("crop_padding", value) for value in (10**9, 4.0)),
        *(("rand_augment_operations", value) for value in (10**8, 1.0)),
        *(("mixup_alpha", value) for value in (1e300, float("nan"))),
        *(("shuffle_buffer", value) for value in (10**23, 0)),
        *(("steps_per_epoch", value) for value in (10**20, 2.0)),
        ("seed", 1.0),
        ("export", "False"),
        ("jit_compile", None),
        ("precision", ["float32"]),
        ("test_split", 3),
        ("builder_arguments", None),
        ("builder_arguments", [1]),
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_named(field, value):
    """As config.json may have them, or a recipe that ignores types."""
    config = small_config()
    with config.unlocked(), config.ignore_type():
        del config[field]
        config[field] = value
    with pytest.raises(UserError, match=rf"^config\.{field} must be .*Received: {field}=") as error:
        check_config(config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key_ratio": float("nan")}, r"^config\.builder_arguments\.key_ratio must be a finite number.*key_ratio=nan"),
        ({"key_ratio": {"a": 1}}, r"^config\.builder_arguments\.key_ratio must be"),
        ({"attention_stages": [[1]]}, r"^config\.builder_arguments\.attention_stages must be"),
        ({"attention_stages": "auto"}, r"^config\.builder_arguments\.attention_budget must be set"),
        ({"depht": 16}, r"^config\.builder_arguments must be arguments of AAWideResNet: .*Received: depht"),
    ],
)
def test_an_argument_of_the_builder_is_named(arguments, message):
    with pytest.raises(UserError, match=message):
        check_config(small_config(builder_arguments={"depth": 10, "width": 1, **arguments}))


def test_every_field_has_a_rule():
    assert {*RULES, "decay_epochs", "builder_arguments"} == set(recipes.default_config())


def test_numbers_may_be_written_without_a_point_and_tuples_as_lists():
    config = small_config(builder_arguments={"depth": 10, "width": 1, "attention_stages": [2, 3], "key_ratio": 1})
    with config.ignore_type():
        config.update(momentum=0, learning_rate_per_256=1, decay_epochs=[1])
    check_config(config)


@pytest.mark.parametrize("field", ["name", "dataset", "builder", "epochs", "batch_size", "learning_rate_per_256"])
def test_a_field_that_the_recipe_leaves_unset_is_named(field):
    complete = small_config()
    config = recipes.default_config()
    for other in set(complete) - {field}:
        if complete[other] is not None:
            config[other] = complete[other]
    with pytest.raises(UserError, match=rf"^config\.{field} must be set"):
        check_config(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps_per_epoch", None),
        ("seed", 2**32 - 1),
        ("warmup_fraction", 0.0),
        ("momentum", 0.0),
        ("decay_epochs", (1,)),
    ],
)
def test_values_at_the_edge_are_in_order(field, value):
    check_config(small_config(**{field: value}))


def test_data_lies_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("AA_KERAS_DATA", "/some/folder")
    assert recipes.default_config().data_dir == "/some/folder"
    monkeypatch.delenv("AA_KERAS_DATA")
    config = recipes.default_config()
    assert config.data_dir is None
    config.data_dir = "/another"  # can be set from the command line
    assert config.data_dir == "/another"


def test_preprocessing_uses_the_statistics_of_the_training_images():
    images = np.random.default_rng(0).integers(0, 256, size=(50, 4, 4, 2))
    images[..., 1] = 7  # nothing to divide by
    preprocessing = recipes.preprocessing_from(small_config(horizontal_flip=True, crop_padding=2), dataset_of(images))
    assert (preprocessing.horizontal_flip, preprocessing.crop_padding) == (True, 2)
    np.testing.assert_allclose(preprocessing.mean, [images[..., 0].mean(), 7], rtol=1e-12)
    np.testing.assert_allclose(preprocessing.std, [images[..., 0].std(), 1], rtol=1e-12)


def test_preprocessing_uses_the_papers_statistics_for_the_papers_data():
    images = np.zeros((2, 32, 32, 3))
    preprocessing = recipes.preprocessing_from(small_config(), dataset_of(images, name="cifar100"))
    assert preprocessing.mean == (129.3, 124.1, 112.4)
    assert preprocessing.std == (68.2, 65.4, 70.4)
    assert (preprocessing.horizontal_flip, preprocessing.crop_padding) == (False, 0)


DATASET = dataset_of(np.zeros((2, 12, 8, 1)), classes=4)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_the_model_is_for_the_images_and_classes_of_the_data(activation):
    arguments = {"depth": 16, "width": 2, "attention_stages": (3,), "name": "mine"}
    model = recipes.model_from(small_config(builder_arguments=arguments), DATASET, activation)
    assert (model.input_shape, model.output_shape, model.name) == ((None, 12, 8, 1), (None, 4), "mine")
    outputs = np.sum(model(np.random.default_rng(0).normal(size=(1, 12, 8, 1))))
    assert (abs(outputs - 1) < 1e-6) == (activation == "softmax")
    built = applications.AAWideResNet(**arguments, input_shape=(12, 8, 1), classes=4)
    assert [(weight.path, weight.shape) for weight in model.weights] == [
        (weight.path, weight.shape) for weight in built.weights
    ]


def test_precision_is_the_models_alone():
    model = recipes.model_from(small_config(precision="mixed_bfloat16"), DATASET, None)
    assert model.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert model.get_layer("predictions").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"depth": 10, "width": 1, "classes": 7}, "config.builder_arguments .*Received: classes"),
        ({"depth": 10, "width": 1, "input_shape": (8, 8, 1)}, "config.builder_arguments .*Received: input_shape"),
        ({"depth": 10, "width": 1, "include_top": False}, "config.builder_arguments .*Received: include_top"),
        ({"depth": 10, "width": 1, "include_preprocessing": True}, "config.builder_arguments .*Received: include_pre"),
        ({"depth": 11, "width": 1}, "AAWideResNet.*`depth` must be .*depth=11"),
        ({"depth": 10}, "AAWideResNet.*width"),
    ],
)
def test_arguments_that_the_builder_does_not_take(arguments, error):
    config = small_config(precision="mixed_bfloat16")
    config.builder_arguments = arguments

    def checked_model():
        check_config(config)
        recipes.model_from(config, DATASET, None)

    with pytest.raises(UserError, match=error) as raised:
        checked_model()
    assert "\n" not in str(raised.value)
    assert keras.config.dtype_policy().name == "float32"
