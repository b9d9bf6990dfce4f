"""RetinaNets for COCO (Bello et al., ICCV 2019, section 4.4): detectors on plain and on attention-augmented ResNets.

RetinaNets are those of Lin et al., *Focal Loss for Dense Object Detection* (ICCV 2017), made of KerasHub's feature
pyramid, heads and anchors, which come with the extra `detection`. It is imported when a detector is built or loaded.
The paper's are on ResNets; `AARetinaNet(backbone=...)` puts one on any other network of the library.
"""

import inspect
import os

import keras
import numpy as np

from aa_keras._startup import quiet_import
from aa_keras.errors import importing_extra
from aa_keras.layers import _arguments

from .attention_options import NO_ATTENTION
from .blocks import normalizes_pixels, pyramid_outputs
from .builders import BUILDERS, OF_THE_DATA, Family, builder, variant
from .datasets import COCO
from .resnet import AAResNet
from .weights.loading import load_weights

preprocess_input = COCO.preprocess_input

MOST_HEAD_CONVOLUTIONS, MOST_ANCHOR_SIZE = 16, 64


@builder(
    Family(
        task="detection",
        dataset=COCO,
        stages="1 to 4",
        output_shape="",
        pyramid='"P3" to "P7"',
        arguments={
            "depth": "integer, 18, 34, 50, 101 or 152: the layers of the ResNet.",
            "weights": "None for random weights, the name of trained ones that "
            "`aa_keras.applications.pretrained` lists for the builder, or the path of a file of weights "
            "(`.weights.h5` or `.keras`) of the same detector. Tables of relative positions for another image size are "
            "resized, and a log line says so; named weights for other classes than `classes` leave the last layer of "
            "the class head new, and a log line says so.",
            "backbone_weights": "None, or weights of the backbone alone, with a classifier, which is left out, or "
            "without: as the `weights` of its builder, also of timm or of a plain ResNet.",
            "input_shape": "(height, width, channels) of the images, whose sides are multiples of 2 ** max_level, "
            "of 128 by default; None takes {default_shape}. Tables of relative positions are made for this size.",
            "width": "positive integer, the channels of the ResNet's stem; the pyramid has 256 whatever it is.",
            "blocks": "tuple of the blocks in each of the four stages, or None for those of `depth`.",
            "min_level": "integer from 3 to 5, the finest level of the pyramid, of stride 2 ** min_level pixels.",
            "max_level": "integer from 5 to 7, the coarsest level.",
            "head_convolutions": "integer, the convolutions of each head before its last one.",
            "anchor_size": "positive number, the side of the smallest anchors of each level over the level's stride.",
            "backbone": "None for the ResNet of the arguments here; the name of another builder of a classifier, such "
            "as 'BoTNet26t'; or a network for images of `input_shape`, without a classifier or with one that is left "
            "out, and with layers called 'P3' to 'P5' at strides of 8 to 32 pixels, which is used with its weights. "
            "The levels up to P5 that Wide-ResNets lack are made from their last one.",
            "backbone_arguments": "None, or the arguments of that builder, a dictionary.",
        },
        hidden=(
            *("depth", "width", "blocks", "min_level", "max_level", "head_convolutions", "anchor_size"),
            *("channel_attention", "backbone", "backbone_arguments"),
        ),
        backbone=AAResNet,
        returns="""A `keras_hub.models.RetinaNetObjectDetector` of images that `preprocess_input` has normalized, or of
pixels from 0 to 255 with `include_preprocessing=True`. `predict` returns the detections as a dictionary: "boxes", the
pixels top, left, bottom and right, of shape (batch, 100, 4), "confidence" and "labels" (batch, 100), best first, and
"num_detections" (batch,); entries beyond that number are -1. A call returns the outputs that `fit` trains:
"bbox_regression" and "cls_logits", for each anchor.""",
        raises="""for an argument out of its range, for an `input_shape` whose sides are not multiples of
        2 ** max_level, and for weights of another network, naming the first difference.
    ImportError: without KerasHub, which the extra `detection` installs.""",
        result="detections",
    )
)
def AARetinaNet(  # noqa: N802
    depth: int = 50,
    weights: str | os.PathLike | None = None,
    backbone_weights: str | os.PathLike | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = COCO.classes,
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
    for argument, value, least, most in (("min_level", min_level, 3, 5), ("max_level", max_level, 5, 7)):
        if not _arguments.is_integer(value) or not least <= value <= most:
            raise ValueError(f"`{argument}` must be an integer from {least} to {most}. Received: {argument}={value!r}")
    head_convolutions = _arguments.positive_integer("head_convolutions", head_convolutions, most=MOST_HEAD_CONVOLUTIONS)
    anchor_size = _arguments.ratio("anchor_size", anchor_size, most=MOST_ANCHOR_SIZE)
    resnet: dict = {
        "depth": depth,
        "include_preprocessing": include_preprocessing,
        "width": width,
        "blocks": blocks,
        "channel_attention": channel_attention,
        "channel_attention_bias": channel_attention_bias,
        "padding": padding,
        "num_heads": num_heads,
        "key_ratio": key_ratio,
        "value_ratio": value_ratio,
        "position_encoding": position_encoding,
        "attention_stages": attention_stages,
        "attention_pooling": attention_pooling,
        "implementation": implementation,
        "attention_budget": attention_budget,
    }
    _check_backbone(backbone, backbone_arguments, backbone_weights, resnet)
    if isinstance(backbone, keras.Model) and input_shape is None:
        input_shape = backbone.input_shape[1:]
    shape = _checked_shape(COCO.input_shape if input_shape is None else input_shape, max_level)
    _check_statistics("weights", weights)
    _check_statistics("backbone_weights", backbone_weights)
    detector = _import_detector()
    encoder_name, network, of_backbone = f"{name}_encoder", backbone, None
    arguments: dict = {"include_preprocessing": include_preprocessing}
    if isinstance(backbone, keras.Model):
        _check_network(backbone, shape, min_level)
    else:
        of_backbone = backbone or "AAResNet"
        arguments = resnet if backbone is None else {**(backbone_arguments or {}), **arguments}
        network = detector.build_network(of_backbone, shape, arguments, backbone_weights, name=encoder_name)
    policy = keras.config.dtype_policy()
    encoder = detector.PyramidEncoder(of_backbone, shape, arguments, network, dtype=policy, name=encoder_name)
    model = detector.detector(encoder, classes, min_level, max_level, head_convolutions, anchor_size, name)
    model.has_new_weights = any(load_weights(model, weights, include_top=True)) if weights else False
    model.weights_info = getattr(backbone_weights if weights is None else weights, "info", None)
    model.has_new_attention = getattr(network, "has_new_attention", False)
    return model


# The arguments of the ResNet that a detector has without `backbone`.
_COMMON = set(inspect.signature(AAResNet).parameters) & set(inspect.signature(AARetinaNet).parameters)
OF_THE_RESNET = _COMMON - OF_THE_DATA - {"name"}


def _check_backbone(backbone, arguments, weights, resnet):
    """Raises ValueError unless a builder's argument `backbone` and those that go with it make sense.

    Args:
        backbone: the argument.
        arguments: `backbone_arguments`.
        weights: `backbone_weights`.
        resnet: the arguments of the ResNet that a detector has without `backbone`.
    """
    if backbone is None:
        if arguments is not None:
            raise ValueError(
                f"`backbone_arguments` go with the name of a `backbone`. Received: backbone_arguments={arguments!r}"
            )
        return
    parameters = inspect.signature(AARetinaNet).parameters
    for name, value in resnet.items():
        if name in OF_THE_RESNET and value != parameters[name].default:
            raise ValueError(
                f"`{name}` is for the ResNet that a detector has without `backbone`: pass it in `backbone_arguments`. "
                f"Received: {name}={value!r}, backbone={backbone!r:.80}"
            )
    if isinstance(backbone, keras.Model):
        if arguments or weights is not None or resnet["include_preprocessing"] != normalizes_pixels(backbone):
            raise ValueError(
                "`backbone_arguments` and `backbone_weights` must be None for a `backbone` that is a network, and "
                f"`include_preprocessing` must be what it was built with. Received: backbone_arguments={arguments!r}, "
                f"backbone_weights={weights and str(weights)!r}, "
                f"include_preprocessing={resnet['include_preprocessing']}"
            )
        return
    classifiers = [name for name, builder in BUILDERS.items() if builder.definition.family.backbone is None]
    _arguments.one_of("backbone", backbone, classifiers)
    known = set(BUILDERS[backbone].definition.signature.parameters) - OF_THE_DATA - {"name"}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise ValueError(
            f"`backbone_arguments` must be arguments of {backbone}: {', '.join(sorted(known))}. "
            f"Received: {', '.join(unknown)}"
        )


def _check_network(network, shape, min_level):
    """Raises ValueError unless a network has the levels of a pyramid for images of a shape."""
    levels = pyramid_outputs(network)
    needed = [f"P{level}" for level in range(min_level, 6)]
    sizes = {name: tuple(levels[name].shape[1:3]) for name in needed if name in levels}
    expected = {name: tuple(side // 2 ** int(name[1:]) for side in shape[:2]) for name in needed}
    if network.input_shape != (None, *shape) or sizes != expected:
        raise ValueError(
            f"`backbone` must be a network of images {shape} with layers called {', '.join(needed)}, whose outputs are "
            f"{', '.join(f'{height}x{width}' for height, width in expected.values())}. "
            f"Received: a network of images {network.input_shape[1:]} with {sizes or 'none of them'}"
        )


def _check_statistics(argument, weights):
    """Raises ValueError for weights that were trained with images normalized in another way."""
    mean, std = (weights and weights.statistics) or (COCO.mean, COCO.std)
    if not np.allclose(mean, COCO.mean, atol=0.1) or not np.allclose(std, COCO.std, atol=0.1):
        raise ValueError(
            f"`{argument}` must have been trained with ImageNet's statistics, as detectors are. "
            f"Received: {argument}={str(weights)!r}, with the mean {mean} and the standard deviation {std}"
        )


def _checked_shape(input_shape, max_level):
    stride = 2**max_level
    is_shape = isinstance(input_shape, (tuple, list)) and len(input_shape) == 3
    if not is_shape or not all(_arguments.is_integer(size) and size > 0 for size in input_shape):
        raise ValueError(
            "`input_shape` must be a tuple (height, width, channels) of positive integers. "
            f"Received: input_shape={input_shape!r}"
        )
    if input_shape[0] % stride or input_shape[1] % stride:
        raise ValueError(
            f"`input_shape` must have sides that are multiples of {stride}, the stride of the pyramid's level "
            f"{max_level}, otherwise the anchors would not fit the maps. "
            f"Received: input_shape={tuple(input_shape)}, max_level={max_level}"
        )
    return tuple(input_shape)


def _import_detector():
    """Returns the module of the detectors, or raises ImportError with a line that says what to install."""
    with importing_extra(), quiet_import():  # KerasHub imports TensorFlow whatever the backend
        from .detector import model
    return model


@keras.saving.register_keras_serializable("aa_keras", name="RetinaNet")
class _SavedRetinaNet:
    """Stands in for the class of a detector in files until KerasHub is imported."""

    @classmethod
    def from_config(cls, config):
        return _import_detector().RetinaNet.from_config(config)

    def get_config(self):  # Keras registers no class without it
        return {}


RetinaNet = variant(
    AARetinaNet,
    "RetinaNet",
    "Builds a RetinaNet on a ResNet of any depth and width.",
    fixed={**NO_ATTENTION, "channel_attention": None, "backbone": None, "backbone_arguments": None},
    name="retinanet",
)
SERetinaNet = variant(
    AARetinaNet,
    "SERetinaNet",
    "Builds a RetinaNet on a ResNet with squeeze-and-excitation of any depth and width.",
    fixed={**NO_ATTENTION, "channel_attention": "squeeze_excite", "backbone": None, "backbone_arguments": None},
    name="se_retinanet",
)

AARetinaNet50 = variant(
    AARetinaNet,
    "AARetinaNet50",
    "Builds the RetinaNet on an attention-augmented ResNet-50 of the paper's COCO results.",
    depth=50,
)
AARetinaNet101 = variant(
    AARetinaNet,
    "AARetinaNet101",
    "Builds the RetinaNet on an attention-augmented ResNet-101 of the paper's COCO results.",
    depth=101,
)
RetinaNet50 = variant(
    RetinaNet, "RetinaNet50", "Builds the RetinaNet on a ResNet-50 that the paper compares with.", depth=50
)
RetinaNet101 = variant(
    RetinaNet, "RetinaNet101", "Builds the RetinaNet on a ResNet-101 that the paper compares with.", depth=101
)
SERetinaNet50 = variant(
    SERetinaNet,
    "SERetinaNet50",
    "Builds the RetinaNet on a ResNet-50 with squeeze-and-excitation that the paper compares with on COCO.",
    depth=50,
)
