"""The networks of the paper with their numbers, for the tables of the documentation, `evaluate.py` and the tests."""

import dataclasses
from typing import ClassVar

from .datasets import CIFAR100, COCO, IMAGENET, IMAGENET_256, Dataset


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """One row of the paper's tables and its counterpart here. Numbers that the paper does not have are None.

    For MnasNets, the numbers are those of their own authors: the paper's rows are not at hand.

    Attributes:
        builder: name of the function in `aa_keras.applications` that builds it.
        dataset: the `Dataset` of the row.
        parameters: trainable parameters, exactly.
        gflops: floating-point operations of one image in units of 1e9, two for each multiplication and addition, all
            matrix products counted.
        paper_parameters: the paper's parameters, in millions.
        paper_gflops: the paper's FLOPs, in units of 1e9.
        paper_top1: the paper's top-1 accuracy in percent.
        paper_top5: the paper's top-5 accuracy in percent.
        arguments: pairs of names and values of the builder's arguments that are not its defaults.
        gflops_without_products: the same without the products of queries with keys and of probabilities with values,
            for networks with attention; the paper's numbers are nearest to these.
        remark: why the numbers here differ from the paper's, if they do.
    """

    builder: str
    dataset: Dataset
    parameters: int
    gflops: float
    paper_parameters: float | None = None
    paper_gflops: float | None = None
    paper_top1: float | None = None
    paper_top5: float | None = None
    arguments: tuple[tuple[str, object], ...] = ()
    gflops_without_products: float | None = None
    remark: str = ""

    @property
    def title(self):
        """The call that builds the network."""
        return f"{self.builder}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"


@dataclasses.dataclass(frozen=True)
class DetectionSpec:
    """One row of the paper's table of RetinaNets and its counterpart here, for COCO at 640x640 pixels.

    Attributes:
        dataset: the `Dataset` of all rows.
        arguments: none, the builders' defaults.
        builder: name of the function in `aa_keras.applications` that builds it.
        parameters: trainable parameters, exactly.
        gflops: as in `ModelSpec`.
        gflops_without_products: likewise.
        paper_parameters: the paper's parameters, in millions.
        paper_ap: the paper's average precision, in percent.
        paper_ap50: the same at an intersection over union of 0.5.
        paper_ap75: the same at 0.75.
    """

    dataset: ClassVar[Dataset] = COCO
    arguments: ClassVar[tuple[tuple[str, object], ...]] = ()

    builder: str
    parameters: int
    gflops: float
    gflops_without_products: float
    paper_parameters: float | None = None
    paper_ap: float | None = None
    paper_ap50: float | None = None
    paper_ap75: float | None = None


# Table 1: CIFAR-100.
WIDE_RESNETS = (
    ModelSpec("WideResNet28_10", CIFAR100, 36_278_324, 10.43, 36.3, 10.4, 80.3, 95.0),
    ModelSpec("GEWideResNet28_10", CIFAR100, 36_278_324, 10.43, None, None, 79.8, 95.0),
    ModelSpec("SEWideResNet28_10", CIFAR100, 36_547_124, 10.43, 36.5, None, 81.0, 95.3),
    ModelSpec(
        "AAWideResNet28_10",
        CIFAR100,
        36_054_100,
        12.38,
        36.2,
        10.9,
        81.6,
        95.2,
        gflops_without_products=10.80,
        remark="0.1 M parameters fewer: the paper does not name its shortcuts; with projections it would have 36.3 M",
    ),
)

# Table 2: ImageNet, ResNets.
RESNETS = (
    ModelSpec("ResNet34", IMAGENET, 21_797_672, 7.33, 21.8, 7.4, 73.6, 91.5),
    ModelSpec("SEResNet34", IMAGENET, 21_954_856, 7.33, 22.0, None, 74.3, 91.8),
    ModelSpec("AAResNet34", IMAGENET, 20_745_072, 7.21, 20.7, 7.1, 74.7, 92.0, gflops_without_products=7.04),
    ModelSpec("ResNet50", IMAGENET, 25_557_032, 8.18, 25.6, 8.2, 76.4, 93.1),
    ModelSpec("SEResNet50", IMAGENET, 28_071_976, 8.18, 28.1, None, 77.5, 93.7),
    ModelSpec("AAResNet50", IMAGENET, 25_809_392, 8.43, 25.8, 8.3, 77.7, 93.8, gflops_without_products=8.29),
    ModelSpec("ResNet101", IMAGENET, 44_549_160, 15.60, 44.5, 15.6, 77.9, 94.0),
    ModelSpec("SEResNet101", IMAGENET, 49_292_328, 15.61, 49.3, None, 78.4, 94.2),
    ModelSpec("AAResNet101", IMAGENET, 45_386_728, 16.38, 45.4, 16.1, 78.7, 94.4, gflops_without_products=16.00),
    ModelSpec("ResNet152", IMAGENET, 60_192_808, 23.03, 60.2, 23.0, 78.4, 94.2),
    ModelSpec("SEResNet152", IMAGENET, 66_770_984, 23.04, 66.8, None, 78.9, 94.5),
    ModelSpec("AAResNet152", IMAGENET, 61_613_536, 24.27, 61.6, 23.8, 79.1, 94.6, gflops_without_products=23.66),
)

# Table 3: ImageNet, MnasNet. The figures are those that its authors publish (github.com/tensorflow/tpu).
MNASNETS = (
    ModelSpec("MnasNet", IMAGENET, 2_912_278, 0.45, 2.9, None, 73.3, 91.3, (("alpha", 0.75),)),
    ModelSpec("AAMnasNet", IMAGENET, 3_076_174, 0.56, arguments=(("alpha", 0.75),), gflops_without_products=0.50),
    ModelSpec("MnasNet", IMAGENET, 3_887_038, 0.62, 3.9, None, 75.2, 92.5),
    ModelSpec("AAMnasNet", IMAGENET, 4_112_846, 0.76, gflops_without_products=0.69),
    ModelSpec("MnasNet", IMAGENET, 5_255_486, 1.01, arguments=(("alpha", 1.25),)),
    ModelSpec("AAMnasNet", IMAGENET, 5_572_578, 1.16, arguments=(("alpha", 1.25),), gflops_without_products=1.09),
    ModelSpec("MnasNet", IMAGENET, 6_105_992, 1.17, 6.1, None, 77.2, 93.5, (("alpha", 1.4),)),
    ModelSpec("AAMnasNet", IMAGENET, 6_483_046, 1.34, arguments=(("alpha", 1.4),), gflops_without_products=1.26),
)

# BoTNets, which the paper does not have. The figures are their authors' for BoTNet-50 at 224x224 pixels, and those of
# timm's own training for the others at 256x256 (results/results-imagenet.csv of huggingface/pytorch-image-models).
BOTNETS = (
    ModelSpec(
        "BoTNet50",
        IMAGENET,
        20_852_008,
        8.05,
        20.8,
        arguments=(("input_shape", (224, 224, 3)),),
        gflops_without_products=7.96,
        remark="the difference from 20.8 M is 14,000 parameters in tables of relative positions",
    ),
    ModelSpec("BoTNet26t", IMAGENET_256, 12_488_672, 6.59, 12.49, None, 79.26, 94.53, gflops_without_products=6.39),
    ModelSpec(
        "ECABoTNeXt26ts", IMAGENET_256, 10_593_301, 4.88, 10.59, None, 79.27, 94.61, gflops_without_products=4.75
    ),
    ModelSpec("SEBoTNet33ts", IMAGENET_256, 13_701_984, 7.73, 13.7, None, 81.17, 95.17, gflops_without_products=6.99),
)

# AA-ResNet-50 with more and more attention, up to no convolution.
RATIOS = tuple(
    ModelSpec(
        "AAResNet50",
        IMAGENET,
        parameters,
        gflops,
        paper_parameters,
        None,
        paper_top1,
        arguments=(("key_ratio", ratio), ("value_ratio", ratio)),
        gflops_without_products=without_products,
    )
    for ratio, parameters, gflops, without_products, paper_parameters, paper_top1 in (
        (0.25, 24_303_728, 8.01, 7.85, 24.3, 77.7),
        (0.5, 22_342_680, 7.45, 7.24, 22.3, 77.3),
        (0.75, 20_735_496, 6.98, 6.71, 20.7, 76.7),
        (1.0, 19_383_560, 6.60, 6.26, 19.4, 73.9),
    )
)

# AA-ResNet-50 with other position encodings.
POSITIONS = tuple(
    ModelSpec(
        "AAResNet50",
        IMAGENET,
        parameters,
        gflops,
        paper_top1=paper_top1,
        paper_top5=paper_top5,
        arguments=(("position_encoding", encoding),),
        gflops_without_products=8.26,
    )
    for encoding, parameters, gflops, paper_top1, paper_top5 in (
        (None, 25_797_032, 8.40, 77.5, 93.7),
        ("sinusoidal", 25_797_032, 8.40, 77.5, 93.7),
        ("coordinates", 25_805_992, 8.40, 77.5, 93.8),
    )
) + tuple(spec for spec in RESNETS if spec.builder == "AAResNet50")

# RetinaNets on COCO.
DETECTORS = (
    DetectionSpec("RetinaNet50", 33_839_924, 189.87, 189.87, 33.4, 36.8, 54.5, 39.5),
    DetectionSpec("SERetinaNet50", 36_354_868, 189.88, 189.88, None, 36.5, 54.0, 39.1),
    DetectionSpec("AARetinaNet50", 34_116_204, 200.64, 191.34, 33.1, 38.2, 56.5, 40.7),
    DetectionSpec("RetinaNet101", 52_832_052, 250.48, 250.48, 52.4, 38.5, 56.4, 41.2),
    DetectionSpec("AARetinaNet101", 53_728_900, 280.45, 255.14, 51.7, 39.2, 57.8, 41.9),
)

CLASSIFIERS = (*WIDE_RESNETS, *RESNETS, *MNASNETS, *BOTNETS, *RATIOS, *POSITIONS)
