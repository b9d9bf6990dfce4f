"""Networks that start from trained weights: the fields that these decide, frozen layers, and learning rates."""

import os
import pathlib
import re

from aa_keras.applications import weights_of
from aa_keras.errors import UserError, missing_extra
from aa_keras.layers import AttentionAugmentedConv2D
from aa_keras.layers._transfer import normalizations_after

STEM = 0


def resolved(config, weights_fields):
    """Returns a copy of a config with the fields that its weights decide; the config itself if it has no weights.

    These fields are arguments of the builder (how windows are padded) and how images are normalized, cropped and
    resized. The run's config has them from then on, and its networks can be evaluated without the weights.

    Args:
        config: a recipe's config, checked.
        weights_fields: the fields that say how images are normalized, cropped and resized, with those of `WeightsInfo`.

    Raises:
        UserError: if the weights cannot be found or downloaded.
    """
    backbone_weights = config.builder_arguments.get("backbone_weights")  # the argument of detectors for the same
    if config.weights is None and backbone_weights is None:
        return config
    config = config.copy_and_resolve_references()
    if backbone_weights is not None:
        config.weights = config.weights or backbone_weights
        del config.builder_arguments["backbone_weights"]
    if os.path.exists(os.path.expanduser(config.weights)):
        config.weights = str(pathlib.Path(config.weights).expanduser().resolve())
    try:
        backbone = config.builder_arguments.get("backbone")
        found, settings = weights_of(config.builder, config.weights, backbone)
    except ImportError as error:
        raise UserError(f"config.weights: {missing_extra(error) or error}") from None
    except ValueError as error:
        raise UserError(f"config.weights: {error}") from None
    arguments = config.builder_arguments
    if backbone is not None:
        arguments.backbone_arguments = arguments.get("backbone_arguments") or {}
        arguments = arguments.backbone_arguments
    with arguments.unlocked():
        for name, value in settings.items():
            if name not in arguments:
                arguments[name] = value
    for name, of_info in weights_fields.items() if found.info else ():
        if config[name] is None:
            config[name] = getattr(found.info, of_info)
    return config


def prepare(model, backbone, config):
    """Freezes the part of a network that `config.freeze` names, and returns the learning rates of the rest.

    Args:
        model: the network to train.
        backbone: list of the layers that are not its head.
        config: the recipe's config.

    Raises:
        UserError: for a stage that the network does not have.
    """
    groups = {layer: _group(layer.name) for layer in backbone if layer.weights}
    last = max((group for group in groups.values() if group is not None), default=STEM)
    groups = {layer: last if group is None else group for layer, group in groups.items()}
    frozen = _frozen_groups(config.freeze, set(groups.values()))
    new = _new_layers(model, backbone)
    unsettled = normalizations_after(backbone, of=new)  # the statistics of new channels are not known yet
    for layer, group in groups.items():
        if group in frozen and layer not in unsettled:
            _freeze(layer, is_attention_new=layer in new)
    multipliers = {}
    for layer, group in groups.items():
        rate = config.layer_decay ** (last + 1 - group)
        multipliers.update({variable.path: rate for variable in layer.trainable_variables})
    for layer in new:
        attention = layer.self_attention.trainable_variables
        multipliers.update({variable.path: config.head_learning_rate_multiplier for variable in attention})
    return {
        variable.path: multipliers.get(variable.path, config.head_learning_rate_multiplier)
        for variable in model.trainable_variables
    }


def _group(name):
    """Returns the number of the stage of a layer in a backbone, 0 for the stem, None after the last stage."""
    if name.startswith("stem"):
        return STEM
    match = re.match(r"stage(\d+)_", name)
    return int(match[1]) if match else None


def _frozen_groups(freeze, groups):
    if freeze in ("none", "backbone"):
        return groups if freeze == "backbone" else set()
    frozen = {STEM if part == "stem" else int(part) for part in freeze.split(",")}
    if not frozen <= groups:
        stages = ", ".join(["stem", *(str(group) for group in sorted(groups) if group)])
        raise UserError(
            f"config.freeze must be 'none', 'backbone', or some of {stages}, separated by commas. "
            f"Received: freeze={freeze!r}"
        )
    return frozen


def _new_layers(model, backbone):
    """Returns the augmented convolutions with new attention, since the weights were those of a plain network."""
    if not getattr(model, "has_new_attention", False):
        return []
    return [layer for layer in backbone if isinstance(layer, AttentionAugmentedConv2D)]


def _freeze(layer, is_attention_new):
    if not is_attention_new:
        layer.trainable = False
    elif layer.convolution is not None:
        layer.convolution.trainable = False
