"""The fields of a recipe: the meaning, the default and the valid values of each."""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Callable

import ml_collections

from aa_keras.errors import is_integer, is_number

OPTIMIZERS = ("sgd", "adam")
BAD_BOXES = ("error", "skip")
INTERPOLATIONS = ("bilinear", "bicubic")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# The backend of Keras that each distribution needs; aa_keras/training/distribution.py says what they do.
DISTRIBUTIONS = {"none": None, "mirrored": "tensorflow", "data_parallel": "jax", "multihost": "jax"}
# Data sets that are themselves the folder `data_dir`.
FOLDER_DATASETS = ("image_folder", "coco_folder")


@dataclasses.dataclass(frozen=True)
class Rule:
    """The valid values of a field.

    Attributes:
        kind: its type, to which ml_collections converts the text of the command line.
        is_valid: predicate of its value.
        wanted: description of the valid values, for errors.
    """

    kind: type
    is_valid: Callable
    wanted: str


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a recipe.

    Attributes:
        meaning: its meaning, in a phrase.
        rule: its valid values.
        default: its value if the recipe does not set it; None for none.
        required: whether a recipe must set it.
    """

    meaning: str
    rule: Rule
    default: object = None
    required: bool = False


def _text():
    return Rule(str, lambda value: isinstance(value, str), "a string")


def _switch():
    return Rule(bool, lambda value: isinstance(value, bool), "True or False")


def _whole(least, most):
    wanted = f"a whole number, at least {least:,} and at most {most:,}"
    return Rule(int, lambda value: is_integer(value) and least <= value <= most, wanted)


def _number(least, most, beyond_least=False, below_most=False):
    def is_valid(value):
        return (
            is_number(value)
            and least <= value <= most
            and not ((beyond_least and value == least) or (below_most and value == most))
        )

    lower = f"{'above' if beyond_least else 'at least'} {least:g}"
    return Rule(float, is_valid, f"a number, {lower} and {'below' if below_most else 'at most'} {most:g}")


def _one_of(choices):
    return Rule(str, lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}")


def _file_name():
    def is_valid(name):
        return isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", "..")

    return Rule(str, is_valid, "a file name")


def _pair(is_valid, wanted):
    return Rule(
        tuple,
        lambda value: isinstance(value, (tuple, list)) and len(value) == 2 and is_valid(*value),
        f"a pair {wanted}",
    )


def _numbers(above=None):
    def is_valid(values):
        return (
            isinstance(values, (tuple, list))
            and len(values) > 0
            and all(is_number(value) and abs(value) <= 1e6 and (above is None or value > above) for value in values)
        )

    return Rule(tuple, is_valid, f"a tuple of a number{'' if above is None else f' above {above}'} for each channel")


def _size():
    def is_valid(height, width):
        return all(is_integer(side) and 1 <= side <= 2**13 for side in (height, width))

    return _pair(is_valid, "(height, width) of whole numbers, at least 1 and at most 8,192")


def _scales():
    def is_valid(least, most):
        return is_number(least) and is_number(most) and 0.1 <= least <= most <= 10

    return _pair(is_valid, "(least, most) of numbers, at least 0.1 and at most 10")


def _epochs():
    """Returns the rule of `decay_epochs`; the check of the config compares them with `config.epochs`."""
    return Rule(tuple, lambda value: isinstance(value, (tuple, list)) and all(map(is_integer, value)), "a tuple")


def _arguments():
    """Returns the rule of `builder_arguments`; the check of the config compares them with the builder."""
    return Rule(dict, lambda value: hasattr(value, "items"), "a dictionary of arguments of the builder")


GROUPS = {
    "Task and data": {
        "name": Field("name of the recipe, and of the run's folder in runs/", _file_name(), required=True),
        "task": Field(
            'task of the network: "classification", "detection", or one of your own', _text(), "classification"
        ),
        "dataset": Field(
            '"digits", "image_folder", "coco_folder", "bccd", or a name in TensorFlow Datasets', _text(), required=True
        ),
        "data_dir": Field("folder of TensorFlow Datasets, or the image folder; by default AA_KERAS_DATA", _text()),
        "validation_examples": Field("number of training images to hold out for validation", _whole(0, 10**9), 0),
        "test_split": Field('split to report on; unset: "test" or "validation"', _text()),
        "test_fraction": Field(
            "share of each class to report on, for an image folder without such splits",
            _number(0, 1, beyond_least=True, below_most=True),
            0.2,
        ),
        "image_size": Field("height and width to resize images of any size to", _whole(1, 2**13)),
        "shuffle_buffer": Field(
            "number of encoded images in memory to draw from, if not all fit", _whole(1, 10**9), 8192
        ),
        "image_mean": Field(
            "mean of each channel, for pixels in [0, 255]; unset: that of the data set or weights", _numbers()
        ),
        "image_std": Field("standard deviation of each channel, likewise", _numbers(above=0)),
        "central_fraction": Field(
            "share of the shorter side that evaluation uses; unset: 0.875 or that of the weights",
            _number(0, 1, beyond_least=True),
        ),
        "interpolation": Field(
            'resizing in evaluation, "bilinear" or "bicubic"; unset: bilinear or that of the weights',
            _one_of(INTERPOLATIONS),
        ),
        "corrupt_files_limit": Field("largest number of corrupt images that training may skip", _whole(0, 10**9), 10),
    },
    "Augmentation": {
        "horizontal_flip": Field("mirror half of the training images", _switch(), False),
        "crop_padding": Field("largest shift of training images, in pixels", _whole(0, 2**10), 0),
        "rand_augment_operations": Field("RandAugment: number of operations on an image; 0: none", _whole(0, 16), 0),
        "rand_augment_magnitude": Field(
            "RandAugment: strength, up to 1; at 1 images turn by up to 30 degrees", _number(0, 1), 0.5
        ),
        "mixup_alpha": Field("MixUp: parameter of the beta distribution of its weights; 0: none", _number(0, 100), 0.0),
        "cutmix_alpha": Field(
            "CutMix: likewise, up to 1; with MixUp too, each batch goes through one of the two", _number(0, 1), 0.0
        ),
    },
    "Detection": {
        "input_size": Field("height and width that images are resized to fit into", _size(), (640, 640)),
        "scale_jitter": Field(
            "range of the factor by which training images are larger than what fits", _scales(), (1.0, 1.0)
        ),
        "bad_boxes": Field(
            '"error", or "skip" to leave out impossible boxes and count them', _one_of(BAD_BOXES), "error"
        ),
    },
    "Network": {
        "builder": Field("name of a network that `aa-keras models` lists", _text(), required=True),
        "builder_arguments": Field("arguments of the builder other than its defaults", _arguments(), {}),
        "weights": Field(
            'weights to start from, for a detector those of its backbone: "timm/NAME", "hf://...", a path', _text()
        ),
        "freeze": Field(
            'part of the network that is not trained: "none", "backbone", or stages such as "stem,1,2"',
            Rule(
                str,
                lambda value: isinstance(value, str) and re.fullmatch(r"none|backbone|(stem|\d)(,\d)*", value),
                "'none', 'backbone', or stages such as 'stem,1,2'",
            ),
            "none",
        ),
        "precision": Field(
            f"precision of the computation, one of {', '.join(PRECISIONS)}", _one_of(PRECISIONS), "float32"
        ),
        "benchmark_precision": Field(
            "measure a few steps in float32 and mixed_bfloat16 first, and print the ratio", _switch(), False
        ),
        "jit_compile": Field("compile with XLA; always on with JAX", _switch(), False),
        "distribution": Field(
            'devices to train on: "none", "mirrored" (TensorFlow), "data_parallel" or "multihost" (JAX)',
            _one_of(DISTRIBUTIONS),
            "none",
        ),
    },
    "Training": {
        "seed": Field("seed of weights, order and augmentation", _whole(0, 2**32 - 1), 0),
        "epochs": Field("number of epochs", _whole(1, 10**6), required=True),
        "steps_per_epoch": Field("number of steps in an epoch; unset: all training images", _whole(1, 10**9)),
        "batch_size": Field("number of examples in a step, on all devices together", _whole(1, 2**20), required=True),
        "learning_rate_per_256": Field(
            "the highest learning rate for a batch of 256, to which it is proportional",
            _number(0, 1e30, beyond_least=True),
            required=True,
        ),
        "head_learning_rate_multiplier": Field(
            "how many times as fast the head learns, and attention that is new",
            _number(0, 1e6, beyond_least=True),
            1.0,
        ),
        "layer_decay": Field(
            "learning rate of a stage in parts of that of the next stage", _number(0, 1, beyond_least=True), 1.0
        ),
        "warmup_fraction": Field("share of all steps with a linear warm-up", _number(0, 1, below_most=True), 0.05),
        "decay_epochs": Field(
            "epochs after which the learning rate is divided by 10; (): a cosine to zero", _epochs(), ()
        ),
        "optimizer": Field(f"optimizer, one of {', '.join(OPTIMIZERS)}", _one_of(OPTIMIZERS), "sgd"),
        "clip_norm": Field(
            "largest norm of all gradients, to which they are scaled down; 0: none", _number(0, 1e30), 0.0
        ),
        "momentum": Field("momentum of stochastic gradient descent", _number(0, 1, below_most=True), 0.9),
        "weight_decay": Field("weight decay of the kernels of convolutions and dense layers", _number(0, 1), 0.0),
        "label_smoothing": Field(
            "share of a label that is spread evenly over all classes", _number(0, 1, below_most=True), 0.0
        ),
        "ema_momentum": Field(
            "momentum of a moving average of the weights, which is also evaluated; 0: none",
            _number(0, 1, below_most=True),
            0.0,
        ),
        "export": Field("write saved_model/ at the end", _switch(), False),
    },
}
FIELDS = {name: field for group in GROUPS.values() for name, field in group.items()}
# Fields that were added to recipes later: earlier runs, which lack them, had their defaults.
LATER = (
    *("task", "input_size", "scale_jitter", "bad_boxes", "optimizer", "clip_norm"),
    *("image_mean", "image_std", "central_fraction", "interpolation"),
    *("weights", "freeze", "head_learning_rate_multiplier", "layer_decay"),
    "benchmark_precision",
)
SINCE = {name: json.loads(json.dumps(FIELDS[name].default)) for name in LATER}


def default_config() -> ml_collections.ConfigDict:
    """Returns the fields of every recipe with their defaults, as an `ml_collections.ConfigDict`.

    A recipe, a file with a function `get_config`, changes what it needs to and adds the arguments of its builder.
    """
    config = ml_collections.ConfigDict()
    for name, field in FIELDS.items():
        if field.default is None:
            config[name] = ml_collections.config_dict.placeholder(field.rule.kind)
        else:
            config[name] = ml_collections.ConfigDict() if field.default == {} else field.default
    config.data_dir = os.environ.get("AA_KERAS_DATA") or None
    config.lock()  # a mistyped field of a recipe is an error
    config.builder_arguments.unlock()
    return config


def as_dictionary(config):
    """Returns a config as a dictionary that survives JSON unchanged.

    A folder that is the data set gets its absolute path, which is the same wherever a program is called from.
    """
    dictionary = json.loads(json.dumps(config.to_dict()))
    dictionary.pop("benchmark_precision", None)  # it changes nothing in a run
    if dictionary.get("dataset") in FOLDER_DATASETS and dictionary.get("data_dir"):
        dictionary["data_dir"] = str(pathlib.Path(dictionary["data_dir"]).expanduser().resolve())
    return dictionary


def flattened(dictionary, prefix=""):
    """Returns {"a": {"b": 1}} as {"a.b": 1}."""
    flat = {}
    for key, value in dictionary.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
