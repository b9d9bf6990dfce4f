"""Checks of a config: an error names the field before anything is done."""

import inspect
import itertools
import math

import keras

from aa_keras import applications
from aa_keras.applications.builders import OF_THE_DATA
from aa_keras.applications.catalogue import tasks
from aa_keras.errors import UserError
from aa_keras.recipes.fields import DISTRIBUTIONS, FIELDS


def check_config(config):
    """Raises UserError, naming the field, unless a config's values are of the types and in the ranges of `FIELDS`.

    `check_backend` checks what the backend can do.
    """
    for name, field in FIELDS.items():
        wanted = field.rule.wanted
        if name == "decay_epochs":
            wanted = f"a tuple of ascending whole epochs from 1 to {config.epochs - 1}, or () for a cosine schedule"
        if config[name] is None and field.required:
            raise UserError(f"config.{name} must be set by the recipe, to {wanted}. Received: {name}=None")
        is_optional = field.default is None and not field.required
        require(
            config,
            name,
            lambda value, field=field, is_optional=is_optional: (
                (is_optional and value is None) or field.rule.is_valid(value)
            ),
            f"{wanted}, or unset" if is_optional else wanted,
        )
        if name == "decay_epochs":
            require(config, name, lambda epochs: _is_ascending((0, *epochs, config.epochs)), wanted)
    require(
        config,
        "freeze",
        lambda freeze: freeze == "none" or config.weights is not None,
        "'none' without config.weights: random weights would stay random",
    )
    require(
        config,
        "final_learning_rate_fraction",
        lambda fraction: not (fraction and config.decay_epochs),
        "0 with config.decay_epochs, which have no cosine",
    )
    is_pair = len(config.image_mean or ()) == len(config.image_std or ())
    require(config, "image_std", lambda _: is_pair, "as long as config.image_mean, and set if that is set")
    # A task of one's own may train any network.
    builders = applications.list_models(task=config.task if config.task in tasks() else None)
    require(config, "builder", lambda name: name in builders, f"one of {', '.join(builders)} for {config.task}")
    _check_builder_arguments(config)


def check_unused(config, names):
    """Raises UserError, naming the field, if one of these fields, which the task does not use, has another value."""
    for name in names:
        value, default = config[name], FIELDS[name].default
        value = tuple(value) if isinstance(value, list) else value
        require(
            config,
            name,
            lambda _, value=value, default=default: value == default,
            f"{'unset' if default is None else repr(default)} for task={config.task!r}, which does not use it",
        )


def require(config, field, is_valid, wanted):
    """Raises UserError unless the value of a field is valid."""
    if not is_valid(config[field]):
        raise UserError(f"config.{field} must be {wanted}. Received: {field}={config[field]!r:.100}")


def _is_ascending(values):
    return all(first < second for first, second in itertools.pairwise(values))


def _check_builder_arguments(config):
    arguments = config.builder_arguments
    parameters = inspect.signature(getattr(applications, config.builder)).parameters
    allowed = sorted(set(parameters) - OF_THE_DATA)
    unknown = [str(name) for name in arguments if name not in allowed]
    if unknown:
        raise UserError(
            f"config.builder_arguments must be arguments of {config.builder}: {', '.join(allowed)}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    for name, value in arguments.items():
        if name == "backbone_arguments" and not (value is None or hasattr(value, "values")):
            raise UserError(
                "config.builder_arguments.backbone_arguments must be a dictionary of the builder's arguments. "
                f"Received: backbone_arguments={value!r:.100}"
            )
        parts = value.values() if name == "backbone_arguments" and value is not None else [value]
        if not all(map(_is_plain, parts)):
            raise UserError(
                f"config.builder_arguments.{name} must be a finite number, a string, True, False, None or a tuple of "
                f"such. Received: {name}={value!r:.100}"
            )
    if arguments.get("attention_stages") == "auto" and arguments.get("attention_budget") is None:
        raise UserError(
            "config.builder_arguments.attention_budget must be set, to bytes for each image of a batch, if "
            "attention_stages is 'auto'. Received: attention_budget=None"
        )


def _is_plain(value):
    """Whether a value is a finite number, a string, a boolean or None, or a tuple of such."""

    def is_part(value):
        return value is None or isinstance(value, str) or (isinstance(value, (int, float)) and math.isfinite(value))

    return all(map(is_part, value)) if isinstance(value, (tuple, list)) else is_part(value)


def check_backend(config):
    """Raises UserError, naming the field, for what the backend of Keras cannot do in training.

    It is apart from `check_config`, since any backend can evaluate what another one has trained.
    """
    backend = keras.backend.backend()
    able = DISTRIBUTIONS[config.distribution]
    require(
        config,
        "distribution",
        lambda _: able is None or able == backend,
        f"'none' or another on the {backend} backend, since {config.distribution!r} needs KERAS_BACKEND={able}",
    )
    require(
        config,
        "export",
        lambda export: not export or backend == "tensorflow",
        f"False on the {backend} backend: export from TensorFlow",
    )
    require(
        config,
        "benchmark_precision",
        lambda benchmark: not benchmark or config.distribution == "none",
        "False if several devices share a batch",
    )
    require(
        config,
        "jit_compile",
        lambda jit_compile: not jit_compile or config.distribution != "mirrored",
        "False with distribution='mirrored', which Keras cannot compile",
    )
    require(
        config,
        "clip_norm",
        lambda norm: not norm or config.distribution != "mirrored",
        "0 with distribution='mirrored', since Keras would clip the gradients of each device separately",
    )
    require(
        config,
        "gradient_accumulation_steps",
        lambda steps: steps == 1 or config.distribution != "mirrored",
        "1 with distribution='mirrored', in which Keras cannot accumulate gradients",
    )
    require(
        config,
        "batch_size",
        lambda size: size != "auto" or config.distribution != "multihost",
        "a number with distribution='multihost', since each host would choose its own",
    )
