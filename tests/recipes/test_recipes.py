"""Recipes: those in configs/, errors that name a field, and the data and model that a config stands for."""

import ast

import pytest

from aa_keras import applications, recipes
from aa_keras.errors import UserError
from aa_keras.recipes import find_recipe, list_recipes, load_recipe
from aa_keras.recipes.checks import check_config, check_unused
from aa_keras.recipes.fields import FIELDS
from aa_keras.tasks import task_type

CONFIGS = [find_recipe(name) for name in list_recipes()]


def load(name):
    return load_recipe(find_recipe(name))


def small_config(**fields):
    """A config that is in order, with other values for some fields."""
    config = recipes.default_config()
    config.update(name="run", dataset="digits", builder="AAWideResNet", epochs=2, batch_size=32)
    config.update(learning_rate_per_256=0.2, builder_arguments={"depth": 10, "width": 1})
    with config.ignore_type():
        config.update(fields)
    return config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe_is_in_order_and_says_how_to_run_it(path):
    config = load(path.stem)
    check_config(config)
    assert config.builder in applications.__all__
    header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    is_default = path.stem == "digits_aa_wide_resnet10_2"
    command = "aa-keras train" if is_default else f"aa-keras train --config={path.stem}"
    data_dir = "" if path.stem.startswith(("digit", "fashion")) else " --config.data_dir=FOLDER"
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
        ("builder", "ResNets"),
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


def test_every_field_has_a_rule_and_a_meaning():
    assert set(FIELDS) == set(recipes.default_config())
    assert all(field.meaning and field.rule.wanted for field in FIELDS.values())


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


@pytest.mark.parametrize(
    "argument", [{"classes": 7}, {"input_shape": (8, 8, 1)}, {"include_top": False}, {"include_preprocessing": True}]
)
def test_arguments_that_are_not_a_recipes(argument):
    config = small_config(builder_arguments={"depth": 10, "width": 1, **argument})
    with pytest.raises(UserError, match=f"config.builder_arguments .*Received: {next(iter(argument))}") as raised:
        check_config(config)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", list_recipes())
def test_recipes_set_nothing_that_their_task_does_not_use(name):
    config = load_recipe(find_recipe(name))
    check_unused(config, task_type(config).unused_fields)


@pytest.mark.parametrize(
    ("recipe", "field", "value"),
    [
        ("bccd_aa_retinanet", "class_weights", "balanced"),
        ("bccd_aa_retinanet", "mixup_alpha", 0.2),
        ("digits_aa_wide_resnet10_2", "scale_jitter", (0.5, 2.0)),
    ],
)
def test_a_field_that_the_task_does_not_use_is_refused(recipe, field, value):
    config = load_recipe(find_recipe(recipe))
    config[field] = value
    with pytest.raises(
        UserError, match=rf"config\.{field} must be .* for task='\w+', which does not use it\. Received"
    ):
        check_unused(config, task_type(config).unused_fields)
