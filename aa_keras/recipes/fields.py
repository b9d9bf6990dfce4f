"""The fields of a recipe: the meaning, the default and the valid values of each."""

import dataclasses
import json
import os
import pathlib

import ml_collections

from aa_keras.recipes import rules

OPTIMIZERS = ("sgd", "adam", "adamw")
SAMPLINGS = ("shuffle", "balanced")
CHANNELS = (1, 3)
BAD_BOXES = ("error", "skip")
INTERPOLATIONS = ("bilinear", "bicubic")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# The backend of Keras that each distribution needs; aa_keras/training/distribution.py says what they do.
DISTRIBUTIONS = {"none": None, "mirrored": "tensorflow", "data_parallel": "jax", "multihost": "jax"}
# Data sets that are themselves the folder `data_dir`.
FOLDER_DATASETS = ("image_folder", "coco_folder")


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
    rule: rules.Rule
    default: object = None
    required: bool = False


GROUPS = {
    "Task and data": {
        "name": Field("name of the recipe, and of the run's folder in runs/", rules.file_name(), required=True),
        "task": Field(
            'task of the network: "classification", "detection", or one of your own', rules.text(), "classification"
        ),
        "dataset": Field(
            '"digits", "image_folder", "coco_folder", "bccd", or a name in TensorFlow Datasets',
            rules.text(),
            required=True,
        ),
        "data_dir": Field("folder of TensorFlow Datasets, or the image folder; by default AA_KERAS_DATA", rules.text()),
        "validation_examples": Field("number of training images to hold out for validation", rules.whole(0, 10**9), 0),
        "test_split": Field('split to report on; unset: "test" or "validation"', rules.text()),
        "test_fraction": Field(
            "share of each class to report on, for an image folder without such splits",
            rules.number(0, 1, beyond_least=True, below_most=True),
            0.2,
        ),
        "image_size": Field("height and width to resize images of any size to", rules.whole(1, 2**13)),
        "channels": Field(
            "1 for grayscale images, 3 for color, for an image folder; unset: 3", rules.whole_of(CHANNELS)
        ),
        "sampling": Field(
            '"shuffle", or "balanced" to draw all classes equally often', rules.one_of(SAMPLINGS), "shuffle"
        ),
        "shuffle_buffer": Field(
            "number of encoded images in memory to draw from, if not all fit", rules.whole(1, 10**9), 8192
        ),
        "image_mean": Field(
            "mean of each channel, for pixels in [0, 255]; unset: that of the data set or weights", rules.numbers()
        ),
        "image_std": Field("standard deviation of each channel, likewise", rules.numbers(above=0)),
        "central_fraction": Field(
            "share of the shorter side that evaluation uses; unset: 0.875 or that of the weights",
            rules.number(0, 1, beyond_least=True),
        ),
        "interpolation": Field(
            'resizing in evaluation, "bilinear" or "bicubic"; unset: bilinear or that of the weights',
            rules.one_of(INTERPOLATIONS),
        ),
        "corrupt_files_limit": Field(
            "largest number of corrupt images that training may skip", rules.whole(0, 10**9), 10
        ),
    },
    "Augmentation": {
        "horizontal_flip": Field("mirror half of the training images", rules.switch(), False),
        "crop_padding": Field("largest shift of training images, in pixels", rules.whole(0, 2**10), 0),
        "rand_augment_operations": Field(
            "RandAugment: number of operations on an image; 0: none", rules.whole(0, 16), 0
        ),
        "rand_augment_magnitude": Field(
            "RandAugment: strength, up to 1; at 1 images turn by up to 30 degrees", rules.number(0, 1), 0.5
        ),
        "color_jitter": Field(
            "largest change of brightness, contrast and saturation; 0: none", rules.number(0, 1), 0.0
        ),
        "random_erasing": Field("share of training images of which a part is erased", rules.number(0, 1), 0.0),
        "mixup_alpha": Field(
            "MixUp: parameter of the beta distribution of its weights; 0: none", rules.number(0, 100), 0.0
        ),
        "cutmix_alpha": Field(
            "CutMix: likewise, up to 1; with MixUp too, each batch goes through one of the two", rules.number(0, 1), 0.0
        ),
    },
    "Detection": {
        "input_size": Field("height and width that images are resized to fit into", rules.size(), (640, 640)),
        "scale_jitter": Field(
            "range of the factor by which training images are larger than what fits", rules.scales(), (1.0, 1.0)
        ),
        "bad_boxes": Field(
            '"error", or "skip" to leave out impossible boxes and count them', rules.one_of(BAD_BOXES), "error"
        ),
    },
    "Network": {
        "builder": Field("name of a network that `aa-keras models` lists", rules.text(), required=True),
        "builder_arguments": Field(
            "arguments of the builder other than its defaults, such as drop_path_rate", rules.arguments(), {}
        ),
        "weights": Field(
            'weights to start from, for a detector those of its backbone: "timm/NAME", "hf://...", a path', rules.text()
        ),
        "freeze": Field(
            'part of the network that is not trained: "none", "backbone", or stages such as "stem,1,2"',
            rules.stages(),
            "none",
        ),
        "precision": Field(
            f"precision of the computation, one of {', '.join(PRECISIONS)}", rules.one_of(PRECISIONS), "float32"
        ),
        "benchmark_precision": Field(
            "measure a few steps in float32 and mixed_bfloat16 first, and print the ratio", rules.switch(), False
        ),
        "jit_compile": Field("compile with XLA; always on with JAX", rules.switch(), False),
        "distribution": Field(
            'devices to train on: "none", "mirrored" (TensorFlow), "data_parallel" or "multihost" (JAX)',
            rules.one_of(DISTRIBUTIONS),
            "none",
        ),
    },
    "Training": {
        "seed": Field("seed of weights, order and augmentation", rules.whole(0, 2**32 - 1), 0),
        "epochs": Field("number of epochs", rules.whole(1, 10**6), required=True),
        "steps_per_epoch": Field("number of steps in an epoch; unset: all training images", rules.whole(1, 10**9)),
        "batch_size": Field(
            'number of examples in a step, on all devices together; "auto": a power of two, at most 256, that fits',
            rules.size_of_a_batch(2**20),
            required=True,
        ),
        "gradient_accumulation_steps": Field(
            "number of steps whose gradients are averaged for one update of the weights", rules.whole(1, 2**16), 1
        ),
        "learning_rate_per_256": Field(
            "the highest learning rate for an update by 256 examples, to whose number it is proportional",
            rules.number(0, 1e30, beyond_least=True),
            required=True,
        ),
        "head_learning_rate_multiplier": Field(
            "how many times as fast the head learns, and attention that is new",
            rules.number(0, 1e6, beyond_least=True),
            1.0,
        ),
        "layer_decay": Field(
            "learning rate of a stage in parts of that of the next stage", rules.number(0, 1, beyond_least=True), 1.0
        ),
        "warmup_fraction": Field("share of all steps with a linear warm-up", rules.number(0, 1, below_most=True), 0.05),
        "decay_epochs": Field(
            "epochs after which the learning rate is divided by 10; (): a cosine", rules.epochs(), ()
        ),
        "final_learning_rate_fraction": Field(
            "learning rate at the end of the cosine, in parts of the highest one", rules.number(0, 1), 0.0
        ),
        "optimizer": Field(f"optimizer, one of {', '.join(OPTIMIZERS)}", rules.one_of(OPTIMIZERS), "sgd"),
        "clip_norm": Field(
            "largest norm of all gradients, to which they are scaled down; 0: none", rules.number(0, 1e30), 0.0
        ),
        "momentum": Field("momentum of SGD, beta_1 of Adam and AdamW", rules.number(0, 1, below_most=True), 0.9),
        "beta_2": Field("beta_2 of Adam and AdamW", rules.number(0, 1, below_most=True), 0.999),
        "epsilon": Field("epsilon of Adam and AdamW", rules.number(0, 1, beyond_least=True), 1e-7),
        "weight_decay": Field(
            "weight decay of the kernels of convolutions and dense layers; for AdamW decoupled, in parts of the rate",
            rules.number(0, 1),
            0.0,
        ),
        "class_weights": Field(
            '"balanced" to weight the loss of each class by its inverse frequency, or a dictionary by class name',
            rules.weights_of_classes(),
        ),
        "label_smoothing": Field(
            "share of a label that is spread evenly over all classes", rules.number(0, 1, below_most=True), 0.0
        ),
        "ema_momentum": Field(
            "momentum of a moving average of the weights, which is also evaluated; 0: none",
            rules.number(0, 1, below_most=True),
            0.0,
        ),
        "best_metric": Field(
            "validation metric that chooses best.keras: for classifiers top1, balanced_accuracy, macro_f1 or loss; for "
            "detectors ap, ap50, ap75 or loss; unset: the first",
            rules.text(),
        ),
        "early_stopping_epochs": Field(
            "stop after so many epochs without a better best_metric; unset: never", rules.whole(1, 10**6)
        ),
        "time_limit": Field(
            'time for training in one call, such as "8h"; the same command resumes; unset: none', rules.duration()
        ),
        "export": Field("write saved_model/ at the end", rules.switch(), False),
    },
}
FIELDS = {name: field for group in GROUPS.values() for name, field in group.items()}
# Fields that were added to recipes later: earlier runs, which lack them, had their defaults.
LATER = (
    *("task", "input_size", "scale_jitter", "bad_boxes", "optimizer", "clip_norm"),
    *("image_mean", "image_std", "central_fraction", "interpolation"),
    *("weights", "freeze", "head_learning_rate_multiplier", "layer_decay"),
    *("benchmark_precision", "channels", "sampling", "color_jitter", "random_erasing"),
    *("gradient_accumulation_steps", "final_learning_rate_fraction", "beta_2", "epsilon"),
    *("class_weights", "best_metric", "early_stopping_epochs", "time_limit"),
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


def with_batch_size(config, size):
    """Returns a copy of a config with a number as its batch size, where it may have "auto"."""
    config = config.copy_and_resolve_references()
    with config.ignore_type():
        config.batch_size = size
    return config


def as_dictionary(config):
    """Returns a config as a dictionary that survives JSON unchanged.

    A folder that is the data set gets its absolute path, which is the same wherever a program is called from.
    """
    dictionary = json.loads(json.dumps(config.to_dict()))
    for name in ("benchmark_precision", "time_limit"):  # they change nothing in an epoch
        dictionary.pop(name, None)
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
