"""The signatures of the builders for editors and type checkers, which `make stubs` writes."""

# ruff: noqa: N802

import os

import keras

from . import botnet as botnet
from . import mnasnet as mnasnet
from . import resnet as resnet
from . import retinanet as retinanet
from . import wide_resnet as wide_resnet
from .blocks import pyramid_outputs as pyramid_outputs
from .catalogue import architecture_of as architecture_of
from .catalogue import create_model as create_model
from .catalogue import list_models as list_models
from .catalogue import weights_of as weights_of

__all__ = [
    "AAMnasNet",
    "AAResNet",
    "AAResNet34",
    "AAResNet50",
    "AAResNet101",
    "AAResNet152",
    "AARetinaNet",
    "AARetinaNet50",
    "AARetinaNet101",
    "AAWideResNet",
    "AAWideResNet16_4",
    "AAWideResNet28_10",
    "BoTNet",
    "BoTNet26t",
    "BoTNet50",
    "ECABoTNeXt26ts",
    "GEWideResNet",
    "GEWideResNet28_10",
    "MnasNet",
    "ResNet",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "RetinaNet",
    "RetinaNet50",
    "RetinaNet101",
    "SEBoTNet33ts",
    "SEResNet",
    "SEResNet34",
    "SEResNet50",
    "SEResNet101",
    "SEResNet152",
    "SERetinaNet",
    "SERetinaNet50",
    "SEWideResNet",
    "SEWideResNet28_10",
    "WideResNet",
    "WideResNet16_4",
    "WideResNet28_10",
]

def AAMnasNet(
    alpha: float = 1.0,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_mnasnet",
    include_preprocessing: bool = False,
    num_heads: int = 4,
    key_ratio: float = 0.1,
    value_ratio: float = 0.05,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (3, 4, 5, 6, 7),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
) -> keras.Model:
    """Builds the attention-augmented MnasNet of the paper's Table 3, `alpha` times as wide."""

def AAResNet(
    depth: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_resnet",
    include_preprocessing: bool = False,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    channel_attention: str | None = None,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds an attention-augmented ResNet of any depth and width."""

def AAResNet34(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_resnet34",
    include_preprocessing: bool = False,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.25,
    value_ratio: float = 0.25,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the attention-augmented ResNet-34 of the paper's Table 2."""

def AAResNet50(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_resnet50",
    include_preprocessing: bool = False,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the attention-augmented ResNet-50 of the paper's Table 2."""

def AAResNet101(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_resnet101",
    include_preprocessing: bool = False,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the attention-augmented ResNet-101 of the paper's Table 2."""

def AAResNet152(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "aa_resnet152",
    include_preprocessing: bool = False,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the attention-augmented ResNet-152 of the paper's Table 2."""

def AARetinaNet(
    depth: int = 50,
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "aa_retinanet",
    include_preprocessing: bool = False,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    min_level: int = 3,
    max_level: int = 7,
    head_convolutions: int = 4,
    anchor_size: float = 4.0,
    channel_attention: str | None = None,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
    backbone: str | keras.Model | None = None,
    backbone_arguments: dict | None = None,
) -> keras.Model:
    """Builds a RetinaNet on an attention-augmented ResNet of any depth and width, or on another network."""

def AARetinaNet50(
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "aa_retinanet50",
    include_preprocessing: bool = False,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
) -> keras.Model:
    """Builds the RetinaNet on an attention-augmented ResNet-50 of the paper's COCO results."""

def AARetinaNet101(
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "aa_retinanet101",
    include_preprocessing: bool = False,
    padding: str | None = None,
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3, 4),
    attention_pooling: int = 2,
    implementation: str = "auto",
    attention_budget: int | None = None,
) -> keras.Model:
    """Builds the RetinaNet on an attention-augmented ResNet-101 of the paper's COCO results."""

def AAWideResNet(
    depth: int,
    width: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "aa_wide_resnet",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (1, 2, 3),
    attention_pooling: int = 1,
    implementation: str = "auto",
    attention_budget: int | None = None,
    channel_attention: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds an attention-augmented Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""

def AAWideResNet16_4(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "aa_wide_resnet16_4",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    num_heads: int = 4,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (2, 3),
    attention_pooling: int = 1,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a small attention-augmented Wide-ResNet, with attention where the maps are small; not in the paper."""

def AAWideResNet28_10(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "aa_wide_resnet28_10",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    num_heads: int = 8,
    key_ratio: float = 0.2,
    value_ratio: float = 0.1,
    position_encoding: str | None = "relative",
    attention_stages: tuple[int, ...] | str = (1, 2, 3),
    attention_pooling: int = 1,
    implementation: str = "auto",
    attention_budget: int | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the attention-augmented Wide-ResNet-28-10 of the paper's Table 1."""

def BoTNet(
    stages: tuple[str, str, str, str],
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "botnet",
    include_preprocessing: bool = False,
    stem: str = "7x7",
    activation: str = "relu",
    group_size: int | None = None,
    channel_attention: str | None = None,
    last_channels: int | None = None,
    head_channels: int | None = None,
    num_heads: int = 4,
    key_dim: int | None = None,
    position_encoding: str | None = "relative",
    implementation: str = "auto",
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a bottleneck transformer of any depth."""

def BoTNet26t(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "botnet26t",
    include_preprocessing: bool = False,
    position_encoding: str | None = "relative",
    implementation: str = "auto",
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds timm's `botnet26t_256`: 26 layers, attention in half of the third stage and in the fourth."""

def BoTNet50(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "botnet50",
    include_preprocessing: bool = False,
    position_encoding: str | None = "relative",
    implementation: str = "auto",
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the BoTNet-50 of Srinivas et al.: a ResNet-50 with attention in its last stage."""

def ECABoTNeXt26ts(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "ecabotnext26ts",
    include_preprocessing: bool = False,
    position_encoding: str | None = "relative",
    implementation: str = "auto",
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds timm's `eca_botnext26ts_256`: the same with groups of 16 channels, ECA and SiLU."""

def GEWideResNet(
    depth: int,
    width: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "ge_wide_resnet",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a Wide-ResNet with gather-excite of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""

def GEWideResNet28_10(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "ge_wide_resnet28_10",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the Wide-ResNet-28-10 with gather-excite that the paper's Table 1 compares with."""

def MnasNet(
    alpha: float = 1.0,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "mnasnet",
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds the MnasNet-A1 that the paper's Table 3 compares with, `alpha` times as wide."""

def ResNet(
    depth: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet",
    include_preprocessing: bool = False,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a ResNet of any depth and width."""

def ResNet34(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet34",
    include_preprocessing: bool = False,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-34 that the paper's Table 2 compares with."""

def ResNet50(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet50",
    include_preprocessing: bool = False,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-50 that the paper's Table 2 compares with."""

def ResNet101(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet101",
    include_preprocessing: bool = False,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-101 that the paper's Table 2 compares with."""

def ResNet152(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet152",
    include_preprocessing: bool = False,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-152 that the paper's Table 2 compares with."""

def RetinaNet(
    depth: int = 50,
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "retinanet",
    include_preprocessing: bool = False,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    min_level: int = 3,
    max_level: int = 7,
    head_convolutions: int = 4,
    anchor_size: float = 4.0,
    padding: str | None = None,
) -> keras.Model:
    """Builds a RetinaNet on a ResNet of any depth and width."""

def RetinaNet50(
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "retinanet50",
    include_preprocessing: bool = False,
    padding: str | None = None,
) -> keras.Model:
    """Builds the RetinaNet on a ResNet-50 that the paper compares with."""

def RetinaNet101(
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "retinanet101",
    include_preprocessing: bool = False,
    padding: str | None = None,
) -> keras.Model:
    """Builds the RetinaNet on a ResNet-101 that the paper compares with."""

def SEBoTNet33ts(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "sebotnet33ts",
    include_preprocessing: bool = False,
    position_encoding: str | None = "relative",
    implementation: str = "auto",
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds timm's `sebotnet33ts_256`: 33 layers, attention in three stages, squeeze-and-excitation and SiLU."""

def SEResNet(
    depth: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "se_resnet",
    include_preprocessing: bool = False,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a ResNet with squeeze-and-excitation of any depth and width."""

def SEResNet34(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "se_resnet34",
    include_preprocessing: bool = False,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-34 with squeeze-and-excitation that Table 2 compares with."""

def SEResNet50(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "se_resnet50",
    include_preprocessing: bool = False,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-50 with squeeze-and-excitation that Table 2 compares with."""

def SEResNet101(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "se_resnet101",
    include_preprocessing: bool = False,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-101 with squeeze-and-excitation that Table 2 compares with."""

def SEResNet152(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "se_resnet152",
    include_preprocessing: bool = False,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the ResNet-152 with squeeze-and-excitation that Table 2 compares with."""

def SERetinaNet(
    depth: int = 50,
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "se_retinanet",
    include_preprocessing: bool = False,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    min_level: int = 3,
    max_level: int = 7,
    head_convolutions: int = 4,
    anchor_size: float = 4.0,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
) -> keras.Model:
    """Builds a RetinaNet on a ResNet with squeeze-and-excitation of any depth and width."""

def SERetinaNet50(
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 80,
    name: str = "se_retinanet50",
    include_preprocessing: bool = False,
    channel_attention_bias: bool | None = None,
    padding: str | None = None,
) -> keras.Model:
    """Builds the RetinaNet on a ResNet-50 with squeeze-and-excitation that the paper compares with on COCO."""

def SEWideResNet(
    depth: int,
    width: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "se_wide_resnet",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a Wide-ResNet with squeeze-and-excitation of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""

def SEWideResNet28_10(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "se_wide_resnet28_10",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the Wide-ResNet-28-10 with squeeze-and-excitation that Table 1 compares with."""

def WideResNet(
    depth: int,
    width: int,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "wide_resnet",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a Wide-ResNet of `depth` 6 n + 4 layers, `width` times as wide as a ResNet."""

def WideResNet16_4(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "wide_resnet16_4",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds a small Wide-ResNet, the plain twin of `AAWideResNet16_4`; not in the paper."""

def WideResNet28_10(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "wide_resnet28_10",
    include_preprocessing: bool = False,
    shortcut: str = "pad",
    drop_path_rate: float = 0.0,
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Builds the Wide-ResNet-28-10 that the paper's Table 1 compares with."""
