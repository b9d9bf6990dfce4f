"""Exact numbers of parameters and of floating-point operations, from the paper's tables and from formulas."""

import functools

import pytest
from helpers.builders import ARGUMENTS, without_values

from aa_keras import applications
from aa_keras.applications.paper import CLASSIFIERS
from aa_keras.complexity import model_complexity

# Trainable parameters of (builder, other arguments) for the images and classes of CIFAR-100, or of ImageNet for ResNets
# and MnasNets.
COUNTS = {
    ("ResNet", (("depth", 18),)): 11_689_512,  # torchvision's
    ("SEResNet", (("depth", 34),)): 21_954_856,
    ("AAResNet", (("depth", 50),)): 25_809_392,
    ("ResNet34", ()): 21_797_672,
    ("ResNet50", ()): 25_557_032,
    ("ResNet101", ()): 44_549_160,
    ("ResNet152", ()): 60_192_808,
    ("SEResNet34", ()): 21_954_856,
    ("SEResNet50", ()): 28_071_976,
    ("SEResNet101", ()): 49_292_328,
    ("SEResNet152", ()): 66_770_984,
    ("AAResNet34", ()): 20_745_072,
    ("AAResNet50", ()): 25_809_392,
    ("AAResNet101", ()): 45_386_728,
    ("AAResNet152", ()): 61_613_536,
    ("AAResNet50", (("key_ratio", 0.25), ("value_ratio", 0.25))): 24_303_728,
    ("AAResNet50", (("key_ratio", 0.5), ("value_ratio", 0.5))): 22_342_680,
    ("AAResNet50", (("key_ratio", 0.75), ("value_ratio", 0.75))): 20_735_496,
    ("AAResNet50", (("key_ratio", 1.0), ("value_ratio", 1.0))): 19_383_560,
    # Without the tables of 12,360 numbers; two more channels for queries, keys and values in each block.
    ("AAResNet50", (("position_encoding", None),)): 25_809_392 - 12_360,
    ("AAResNet50", (("position_encoding", "sinusoidal"),)): 25_809_392 - 12_360,
    ("AAResNet50", (("position_encoding", "coordinates"),)): 25_809_392 - 12_360 + 8_960,
    ("SEResNet50", (("channel_attention_bias", True),)): 28_088_024,  # timm's
    # timm's three at 256x256; Srinivas et al. have 20.8 M.
    ("BoTNet26t", ()): 12_488_672,
    ("ECABoTNeXt26ts", ()): 10_593_301,
    ("SEBoTNet33ts", ()): 13_701_984,
    ("BoTNet50", (("input_shape", (224, 224, 3)),)): 20_852_008,
    ("BoTNet", (("stages", ("ccc", "cccc", "cccccc", "ccc")),)): 25_557_032,  # a ResNet-50
    ("MnasNet", (("alpha", 0.75),)): 2_912_278,
    ("MnasNet", ()): 3_887_038,
    ("MnasNet", (("alpha", 1.25),)): 5_255_486,
    ("MnasNet", (("alpha", 1.4),)): 6_105_992,
    ("AAMnasNet", (("alpha", 0.75),)): 3_076_174,
    ("AAMnasNet", ()): 4_112_846,
    ("AAMnasNet", (("alpha", 1.25),)): 5_572_578,
    ("AAMnasNet", (("alpha", 1.4),)): 6_483_046,
    ("WideResNet28_10", ()): 36_278_324,
    ("GEWideResNet28_10", ()): 36_278_324,
    ("SEWideResNet28_10", ()): 36_547_124,
    ("AAWideResNet28_10", ()): 36_054_100,
    ("WideResNet28_10", (("shortcut", "projection"),)): 36_536_884,
    ("AAWideResNet28_10", (("shortcut", "projection"),)): 36_312_660,
    ("WideResNet", (("depth", 10), ("width", 1))): 81_140,
    ("GEWideResNet", (("depth", 10), ("width", 1))): 81_140,
    ("SEWideResNet", (("depth", 10), ("width", 1))): 81_140 + 2 * (16 * 1 + 32 * 2 + 64 * 4),
    ("AAWideResNet", (("depth", 10), ("width", 1))): 102_076,
    ("WideResNet", (("depth", 16), ("width", 2))): 692_532,
    ("AAWideResNet", (("depth", 16), ("width", 2))): 787_652,
    ("WideResNet16_4", ()): 2_730_036,
    ("AAWideResNet16_4", ()): 2_735_156,
}


@functools.cache
def complexities(builder, arguments):
    """The complexity of a network, with and without the products of attention."""
    with without_values():
        model = getattr(applications, builder)(**dict(arguments))
        whole = model_complexity(model)
        return whole, model_complexity(model, attention_products=False) if _attends(builder) else whole


def _attends(builder):
    return builder.startswith("AA") or "BoTNe" in builder


@pytest.mark.parametrize(("builder", "arguments"), COUNTS)
def test_trainable_parameters(builder, arguments):
    assert complexities(builder, arguments)[0].parameters == COUNTS[builder, arguments]


def test_every_builder_has_a_count():
    assert {builder for builder, _ in COUNTS} == set(applications.list_models(task="classification"))
    assert set(ARGUMENTS) == set(applications.__all__)
    assert {(spec.builder, spec.arguments) for spec in CLASSIFIERS} <= set(COUNTS)
    in_tables = {spec.builder for spec in CLASSIFIERS}
    of_any_depth = {"AAResNet", "ResNet", "SEResNet", "AAWideResNet", "GEWideResNet", "SEWideResNet", "WideResNet"}
    of_any_depth |= {"BoTNet"}
    small = {"AAWideResNet16_4", "WideResNet16_4"}
    assert in_tables | of_any_depth | small == {builder for builder, _ in COUNTS}


@pytest.mark.parametrize("spec", dict.fromkeys(CLASSIFIERS), ids=lambda spec: spec.title)
def test_specs_have_parameters_and_flops(spec):
    assert spec.parameters == COUNTS[spec.builder, spec.arguments]
    measured, without_products = complexities(spec.builder, spec.arguments)
    assert measured.parameters == spec.parameters
    assert round(measured.flops / 1e9, 2) == spec.gflops
    expected = spec.gflops if spec.gflops_without_products is None else spec.gflops_without_products
    assert round(without_products.flops / 1e9, 2) == expected


@pytest.mark.parametrize(
    "spec", [spec for spec in CLASSIFIERS if spec.paper_parameters is not None], ids=lambda spec: spec.title
)
def test_parameters_are_the_papers(spec):
    ours, theirs = spec.parameters / 1e6, spec.paper_parameters
    if spec.builder in ("AAWideResNet28_10", "BoTNet50"):  # the remark in its row says so
        expected = {"AAWideResNet28_10": (36.1, 36.2), "BoTNet50": (20.9, 20.8)}
        assert (round(ours, 1), theirs) == expected[spec.builder]
        assert spec.remark
    else:
        assert theirs in (round(ours, 1), round(ours, 2))


def test_specs_hold_the_papers_numbers():
    """Parameters in millions, GFLOPs, top-1 and top-5 of rows from each table, as the paper prints them."""
    rows = {spec.title: spec for spec in CLASSIFIERS}
    expected = {
        "WideResNet28_10()": (36.3, 10.4, 80.3, 95.0),
        "GEWideResNet28_10()": (None, None, 79.8, 95.0),
        "SEWideResNet28_10()": (36.5, None, 81.0, 95.3),
        "AAWideResNet28_10()": (36.2, 10.9, 81.6, 95.2),
        "ResNet34()": (21.8, 7.4, 73.6, 91.5),
        "SEResNet34()": (22.0, None, 74.3, 91.8),
        "AAResNet34()": (20.7, 7.1, 74.7, 92.0),
        "ResNet50()": (25.6, 8.2, 76.4, 93.1),
        "SEResNet50()": (28.1, None, 77.5, 93.7),
        "AAResNet50()": (25.8, 8.3, 77.7, 93.8),
        "ResNet101()": (44.5, 15.6, 77.9, 94.0),
        "SEResNet101()": (49.3, None, 78.4, 94.2),
        "AAResNet101()": (45.4, 16.1, 78.7, 94.4),
        "ResNet152()": (60.2, 23.0, 78.4, 94.2),
        "SEResNet152()": (66.8, None, 78.9, 94.5),
        "AAResNet152()": (61.6, 23.8, 79.1, 94.6),
        "MnasNet(alpha=0.75)": (2.9, None, 73.3, 91.3),
        "MnasNet()": (3.9, None, 75.2, 92.5),
        "MnasNet(alpha=1.4)": (6.1, None, 77.2, 93.5),
        "AAMnasNet()": (None, None, None, None),
        "AAResNet50(key_ratio=0.25, value_ratio=0.25)": (24.3, None, 77.7, None),
        "AAResNet50(key_ratio=1.0, value_ratio=1.0)": (19.4, None, 73.9, None),
        "AAResNet50(position_encoding=None)": (None, None, 77.5, 93.7),
        "AAResNet50(position_encoding='coordinates')": (None, None, 77.5, 93.8),
    }
    columns = ("paper_parameters", "paper_gflops", "paper_top1", "paper_top5")
    assert {title: tuple(getattr(rows[title], column) for column in columns) for title in expected} == expected


def wide_resnet_formula(
    depth,
    width,
    size=32,
    channels=3,
    classes=100,
    projection=False,
    squeeze_excite=False,
    stages=(),
    heads=8,
    kappa=0.2,
    upsilon=0.1,
):
    """Parameters and FLOPs, added up layer by layer from the papers alone."""
    stem = 9 * channels * 16
    parameters, products = stem, size * size * stem
    inputs = 16
    for stage in (1, 2, 3):
        filters = 16 * width * 2 ** (stage - 1)
        for block in range((depth - 4) // 6):
            parameters += 2 * inputs + 2 * filters  # the two batch normalizations
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
            if squeeze_excite:  # once an image, not at every position
                parameters += 2 * filters * (filters // 16)
                products += 2 * filters * (filters // 16)
            parameters += kernels
            products += positions * kernels
            inputs = filters
    dense = inputs * classes
    return parameters + 2 * inputs + dense + classes, 2 * (products + dense)


@pytest.mark.parametrize(("builder", "arguments"), [key for key in COUNTS if "Wide" in key[0]])
def test_counts_are_those_of_the_formula(builder, arguments):
    small = builder.endswith("16_4")
    depth, width = (16, 4) if small else (28, 10)
    given = {"depth": depth, "width": width, "shortcut": "pad", **dict(arguments)}
    augmented = (2, 3) if small else (1, 2, 3)
    parameters, flops = wide_resnet_formula(
        given["depth"],
        given["width"],
        projection=given["shortcut"] == "projection",
        stages=augmented if builder.startswith("AA") else (),
        heads=4 if small else 8,
        squeeze_excite=builder.startswith("SE"),
    )
    assert parameters == COUNTS[builder, arguments]
    assert flops == complexities(builder, arguments)[0].flops


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
    measured, _ = complexities("AAWideResNet", tuple(arguments.items()))
    expected = wide_resnet_formula(arguments["depth"], arguments["width"], **in_formula)
    assert (measured.parameters, measured.flops) == expected


@pytest.mark.parametrize(
    ("width", "blocks", "classes"), [(64, (3, 4, 6, 3), 1000), (32, (1, 1, 1, 1), 3), (24, (1, 2, 1, 3), 10)]
)
def test_thin_and_short_resnets_by_a_formula(width, blocks, classes):
    channels = width
    expected = 49 * 3 * width + 2 * width
    for stage, number in enumerate(blocks):
        inside = width * 2**stage
        for block in range(number):
            expected += channels * inside + 9 * inside**2 + 4 * inside**2 + 2 * inside + 2 * inside + 8 * inside
            if block == 0:
                expected += channels * 4 * inside + 8 * inside
            channels = 4 * inside
    expected += channels * classes + classes
    with without_values():
        model = applications.ResNet(50, width=width, blocks=blocks, classes=classes)
        assert model_complexity(model).parameters == expected
