"""The rules to convert timm's ResNets and BoTNets: names of layers, and the network of a checkpoint."""

import functools
import re

from .timm import TimmRules

_RESNET_NAMES = (
    (r"stem_conv", "conv1"),
    (r"stem_bn", "bn1"),
    (r"stage(\d+)_block(\d+)_shortcut_conv", "layer{0}.{1}.downsample.0"),
    (r"stage(\d+)_block(\d+)_shortcut_bn", "layer{0}.{1}.downsample.1"),
    (r"stage(\d+)_block(\d+)_((?:conv|bn)\d)", "layer{0}.{1}.{2}"),
    (r"stage(\d+)_block(\d+)_se", "layer{0}.{1}.se"),
    (r"predictions", "fc"),
)
_BOTNET_NAMES = (
    (r"stem_(conv|bn)(\d)", "stem.conv{1}.{0}"),
    (r"stage(\d+)_block(\d+)_shortcut_(conv|bn)", "stages.{0}.{1}.shortcut.{2}"),
    (r"stage(\d+)_block(\d+)_(conv|bn)([13])", "stages.{0}.{1}.conv{3}_1x1.{2}"),
    (r"stage(\d+)_block(\d+)_(conv|bn)2", "stages.{0}.{1}.conv2_kxk.{2}"),
    (r"stage(\d+)_block(\d+)_attention", "stages.{0}.{1}.self_attn"),
    (r"stage(\d+)_block(\d+)_attention_bn", "stages.{0}.{1}.post_attn"),
    (r"stage(\d+)_block(\d+)_(?:se|eca)", "stages.{0}.{1}.attn"),
    (r"head_(conv|bn)", "final_conv.{0}"),
    (r"predictions", "head.fc"),
)


def resnet_rules(blocks_of_depths, without_bottleneck, named):
    """Returns the `TimmRules` of ResNets.

    Args:
        blocks_of_depths: dictionary from depths to the blocks of each stage.
        without_bottleneck: the depths whose blocks have two 3x3 convolutions.
        named: the depths with builders of their own, of width 64.
    """
    return TimmRules(_RESNET_NAMES, functools.partial(_resnet_structure, blocks_of_depths, without_bottleneck, named))


def _resnet_structure(blocks_of_depths, without_bottleneck, named, state):
    width, channels = state["conv1.weight"].shape[:2]
    blocks = []
    for stage in range(1, 5):
        state[f"layer{stage}.0.conv1.weight"]  # raises KeyError if it is missing
        numbers = [int(match[1]) for name in state if (match := re.match(rf"layer{stage}\.(\d+)\.", name))]
        blocks.append(1 + max(numbers))
    is_narrow = "layer1.0.conv3.weight" in state
    kinds = [depth for depth in blocks_of_depths if (depth not in without_bottleneck) == is_narrow]
    depths = [depth for depth in kinds if blocks_of_depths[depth] == tuple(blocks)]
    has_excitation = any(".se." in name for name in state)
    usual = str(depths[0]) if width == 64 and set(depths) & set(named) else ""
    return f"{'SE' if has_excitation else ''}ResNet{usual}", {
        "name": f"{'se_' if has_excitation else ''}resnet{usual}",
        "depth": (depths or kinds)[0],
        "blocks": tuple(blocks),
        "width": width,
        "attention_stages": (),
        "channel_attention": "squeeze_excite" if has_excitation else None,
        "channel_attention_bias": has_excitation,
        "input_shape": (224, 224, channels),
        **_head(state, "fc"),
    }


def botnet_rules(structures):
    """Returns the `TimmRules` of BoTNets.

    Args:
        structures: dictionary from the names of the builders of timm's networks to arguments of the family's function.
    """
    return TimmRules(_BOTNET_NAMES, functools.partial(_botnet_structure, structures))


def _botnet_structure(structures, state):
    state["stem.conv1.conv.weight"]  # raises KeyError if it is missing
    weighing = "squeeze_excite" if any(name.endswith(".attn.fc1.weight") for name in state) else None
    weighing = "efficient" if any(name.endswith(".attn.conv.weight") for name in state) else weighing
    builder = next(name for name, structure in structures.items() if structure.get("channel_attention") == weighing)
    stages = structures[builder]["stages"]
    # The first block with attention, and the stride of its input.
    stage, block = next((stage, blocks.index("a")) for stage, blocks in enumerate(stages, start=1) if blocks.count("a"))
    stride = 2 ** (stage + (block > 0))
    tables = f"stages.{stage - 1}.{block}.self_attn.pos_embed"
    sides = [(len(state[f"{tables}.{axis}_rel"]) + 1) // 2 * stride for axis in ("height", "width")]
    head = _head(state, "head.fc")
    return builder, {**structures[builder], "name": builder.lower(), "input_shape": (*sides, 3), **head}


def _head(state, name):
    """Returns the arguments for the classifier of a checkpoint, which may have none."""
    if f"{name}.weight" in state:
        return {"classes": state[f"{name}.weight"].shape[0]}
    return {"include_top": False}
