"""Exact numbers of parameters and of floating-point operations, from the paper's tables and from formulas."""

import functools

import pytest
from builder_helpers import ARGUMENTS, without_values

from aa_keras import applications
from aa_keras.applications.specs import SPECS
from aa_keras.complexity import model_complexity

# Trainable parameters of (builder, other arguments) for the images and classes of CIFAR-100, or ImageNet for ResNets.
COUNTS = {
    ("ResNet50", ()): 25_557_032,
    ("AAResNet50", ()): 25_809_392,
    ("AAResNet50", (("key_ratio", 0.25), ("value_ratio", 0.25))): 24_303_728,
    ("AAResNet50", (("key_ratio", 0.5), ("value_ratio", 0.5))): 22_342_680,
    ("AAResNet50", (("key_ratio", 0.75), ("value_ratio", 0.75))): 20_735_496,
    ("AAResNet50", (("key_ratio", 1.0), ("value_ratio", 1.0))): 19_383_560,
    ("WideResNet28_10", ()): 36_278_324,
    ("AAWideResNet28_10", ()): 36_054_100,
    ("WideResNet28_10", (("shortcut", "projection"),)): 36_536_884,
    ("AAWideResNet28_10", (("shortcut", "projection"),)): 36_312_660,
    ("WideResNet", (("depth", 10), ("width", 1))): 81_140,
    ("AAWideResNet", (("depth", 10), ("width", 1))): 102_076,
    ("WideResNet", (("depth", 16), ("width", 2))): 692_532,
    ("AAWideResNet", (("depth", 16), ("width", 2))): 787_652,
}


@functools.cache
def complexity(builder, arguments):
    with without_values():
        return model_complexity(getattr(applications, builder)(**dict(arguments)))


@pytest.mark.parametrize(("builder", "arguments"), COUNTS)
def test_trainable_parameters(builder, arguments):
    assert complexity(builder, arguments).parameters == COUNTS[builder, arguments]


def test_every_builder_has_a_count():
    assert {builder for builder, _ in COUNTS} == set(applications.__all__) == set(ARGUMENTS)
    assert {builder for builder, arguments in COUNTS if not arguments} == set(SPECS)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_specs_tell_parameters_and_flops(spec):
    assert spec.parameters == COUNTS[spec.builder, ()]
    measured = complexity(spec.builder, ())
    assert measured.parameters == spec.parameters
    assert round(measured.flops / 1e9, 2) == spec.gflops


def test_specs_hold_the_papers_numbers():
    columns = ("dataset", "input_shape", "classes", "paper_parameters", "paper_gflops", "paper_top1", "paper_top5")
    assert {name: tuple(getattr(spec, column) for column in columns) for name, spec in SPECS.items()} == {
        "WideResNet28_10": ("cifar100", (32, 32, 3), 100, 36.3, 10.4, 80.3, 95.0),
        "AAWideResNet28_10": ("cifar100", (32, 32, 3), 100, 36.2, 10.9, 81.6, 95.2),
        "ResNet50": ("imagenet2012", (224, 224, 3), 1000, 25.6, 8.2, 76.4, 93.1),
        "AAResNet50": ("imagenet2012", (224, 224, 3), 1000, 25.8, 8.3, 77.7, 93.8),
    }
    assert all(name == spec.builder for name, spec in SPECS.items())


def wide_resnet_formula(
    depth, width, size=32, channels=3, classes=100, projection=False, stages=(), heads=8, kappa=0.2, upsilon=0.1
):
    """Parameters and FLOPs, added up layer by layer from the papers alone."""
    stem = 9 * channels * 16
    parameters, products = stem, size * size * stem
    inputs = 16
    for stage in (1, 2, 3):
        filters = 16 * width * 2 ** (stage - 1)
        for block in range((depth - 4) // 6):
            parameters += 2 * inputs + 2 * filters  # the two batch normalisations
            if stage > 1 and block == 0:
                size //= 2
            positions = size * size
            attended = 0
            if stage in stages:
                key_dim = max(20, int(kappa * filters / heads + 1e-9))
                keys, attended = heads * key_dim, heads * max(1, int(upsilon * filters / heads + 1e-9))
                projections = inputs * (2 * keys + attended) + attended * attended
                rows = 2 * (2 * size - 1)
                parameters += projections + rows * key_dim
                products += positions * projections + positions * positions * (keys + attended)
                products += positions * keys * rows
            kernels = 9 * inputs * (filters - attended) + 9 * filters * filters
            if projection and inputs != filters:
                kernels += inputs * filters
            parameters += kernels
            products += positions * kernels
            inputs = filters
    dense = inputs * classes
    return parameters + 2 * inputs + dense + classes, 2 * (products + dense)


@pytest.mark.parametrize(("builder", "arguments"), [key for key in COUNTS if "Wide" in key[0]])
def test_counts_are_those_of_the_formula(builder, arguments):
    given = {"depth": 28, "width": 10, "shortcut": "pad", **dict(arguments)}
    parameters, _ = wide_resnet_formula(
        given["depth"],
        given["width"],
        projection=given["shortcut"] == "projection",
        stages=(1, 2, 3) if builder.startswith("AA") else (),
    )
    assert parameters == COUNTS[builder, arguments]


@pytest.mark.parametrize(
    ("arguments", "in_formula"),
    [
        ({"depth": 16, "width": 1, "attention_stages": (2,)}, {"stages": (2,)}),
        ({"depth": 10, "width": 3, "attention_stages": (1, 3), "num_heads": 4}, {"stages": (1, 3), "heads": 4}),
        ({"depth": 10, "width": 2, "attention_stages": ()}, {}),
        (
            {"depth": 10, "width": 5, "key_ratio": 1.0, "value_ratio": 0.5, "num_heads": 2, "classes": 7},
            {"stages": (1, 2, 3), "kappa": 1.0, "upsilon": 0.5, "heads": 2, "classes": 7},
        ),
        ({"depth": 22, "width": 1, "input_shape": (16, 16, 1)}, {"stages": (1, 2, 3), "size": 16, "channels": 1}),
        ({"depth": 10, "width": 1, "shortcut": "projection"}, {"stages": (1, 2, 3), "projection": True}),
    ],
)
def test_arguments_of_the_augmented_network_by_the_formula(arguments, in_formula):
    measured = complexity("AAWideResNet", tuple(arguments.items()))
    expected = wide_resnet_formula(arguments["depth"], arguments["width"], **in_formula)
    assert (measured.parameters, measured.flops) == expected
