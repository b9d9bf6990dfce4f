"""The networks of the paper, each with its numbers: what the README's table, `evaluate.py` and the tests read."""

import dataclasses
import types

CIFAR100_MEAN = (129.3, 124.1, 112.4)
CIFAR100_STD = (68.2, 65.4, 70.4)

# The statistics that are customary for ImageNet.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """One row of the paper's tables and its counterpart here.

    Attributes:
        builder: name of the function in `aa_keras.applications` that builds it.
        dataset: the data set of the row, by its name in TensorFlow Datasets.
        input_shape: (height, width, channels) that the numbers hold for.
        classes: number of classes.
        mean: mean of each channel of the data set, of pixels in [0, 255].
        std: standard deviation of each channel.
        parameters: trainable parameters, exactly.
        gflops: floating-point operations of one image in units of 1e9, two for each multiplication and addition, all
            matrix products counted.
        paper_parameters: the paper's parameters, in millions.
        paper_gflops: the paper's FLOPs, in units of 1e9.
        paper_top1: the paper's top-1 accuracy in percent.
        paper_top5: the paper's top-5 accuracy in percent.
    """

    builder: str
    dataset: str
    input_shape: tuple[int, int, int]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parameters: int
    gflops: float
    paper_parameters: float
    paper_gflops: float
    paper_top1: float
    paper_top5: float


# Table 1 of the paper.
WIDE_RESNETS = (
    ModelSpec(
        builder="WideResNet28_10",
        dataset="cifar100",
        input_shape=(32, 32, 3),
        classes=100,
        mean=CIFAR100_MEAN,
        std=CIFAR100_STD,
        parameters=36_278_324,
        gflops=10.43,
        paper_parameters=36.3,
        paper_gflops=10.4,
        paper_top1=80.3,
        paper_top5=95.0,
    ),
    ModelSpec(
        builder="AAWideResNet28_10",
        dataset="cifar100",
        input_shape=(32, 32, 3),
        classes=100,
        mean=CIFAR100_MEAN,
        std=CIFAR100_STD,
        parameters=36_054_100,
        gflops=12.38,
        paper_parameters=36.2,
        paper_gflops=10.9,
        paper_top1=81.6,
        paper_top5=95.2,
    ),
)

# Table 2 of the paper.
RESNETS = (
    ModelSpec(
        builder="ResNet50",
        dataset="imagenet2012",
        input_shape=(224, 224, 3),
        classes=1000,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        parameters=25_557_032,
        gflops=8.18,
        paper_parameters=25.6,
        paper_gflops=8.2,
        paper_top1=76.4,
        paper_top5=93.1,
    ),
    ModelSpec(
        builder="AAResNet50",
        dataset="imagenet2012",
        input_shape=(224, 224, 3),
        classes=1000,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        parameters=25_809_392,
        gflops=8.43,
        paper_parameters=25.8,
        paper_gflops=8.3,
        paper_top1=77.7,
        paper_top5=93.8,
    ),
)

SPECS = types.MappingProxyType({spec.builder: spec for spec in (*WIDE_RESNETS, *RESNETS)})
