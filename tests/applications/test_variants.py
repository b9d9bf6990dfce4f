"""Builders that are variants of others: what they fix, what they still take, and how they are found by name."""

import dataclasses
import importlib.util
import inspect
import pathlib
import re
import types

import keras
import pytest
from helpers.builders import ARGUMENTS, build, without_values

from aa_keras import applications
from aa_keras.applications import (
    AAResNet,
    AAResNet34,
    AAResNet50,
    AAWideResNet,
    BoTNet,
    ResNet50,
    SEWideResNet28_10,
    builders,
    create_model,
    list_models,
    pretrained,
)
from aa_keras.applications.converters import timm_hub
from aa_keras.applications.weights import Architecture

ROOT = pathlib.Path(__file__).parents[2]


def description(builder, *arguments, **keywords):
    keras.utils.clear_session()  # restarts the numbers of inputs
    with without_values():
        return builder(*arguments, **keywords).to_json()


def test_a_variant_is_its_builder_with_some_arguments_fixed():
    small = {"input_shape": (64, 64, 3), "classes": 5}
    ratios = {"key_ratio": 0.25, "value_ratio": 0.25}
    assert description(AAResNet34, **small) == description(AAResNet, 34, name="aa_resnet34", **ratios, **small)
    plain = {"attention_stages": (), "name": "resnet50"}
    assert description(ResNet50, **small) == description(AAResNet, 50, **plain, **small)
    squeezed = {"attention_stages": (), "channel_attention": "squeeze_excite", "name": "se_wide_resnet28_10"}
    small["input_shape"] = (8, 8, 3)
    assert description(SEWideResNet28_10, **small) == description(AAWideResNet, 28, 10, **squeezed, **small)


@pytest.mark.parametrize("name", applications.__all__)
def test_every_builder_calls_the_function_of_its_family(name):
    """With its own defaults and what it fixes: what holds for one builder holds for the others of its family."""
    definition = getattr(applications, name).definition
    whole = getattr(applications, definition.function.__name__).definition
    assert (whole.function, whole.fixed) == (definition.function, {})
    assert sorted([*definition.fixed, *definition.signature.parameters]) == sorted(whole.signature.parameters)

    def function(**arguments):
        return types.SimpleNamespace(arguments=arguments)

    recorded = builders._build(dataclasses.replace(definition, function=function), name, None)
    given = {**ARGUMENTS[name], "name": "mine"}
    network = recorded(**given)
    defaults = {parameter.name: parameter.default for parameter in definition.signature.parameters.values()}
    assert network.arguments == {**defaults, **given, **definition.fixed}
    # The call is recorded, as far as it is not that of the defaults.
    changed = {argument: value for argument, value in given.items() if value != defaults[argument]}
    assert network.architecture == Architecture(name, changed)
    # The name of the network is the builder's.
    assert defaults["name"].replace("_", "") == name.lower().replace("_", "")


@pytest.mark.parametrize("name", applications.__all__)
def test_a_builder_is_known_by_its_name_and_takes_what_its_signature_says(name):
    builder = getattr(applications, name)
    assert (builder.__name__, builder.__qualname__) == (name, name)
    assert builder.__module__.startswith("aa_keras.applications.")
    parameters = inspect.signature(builder).parameters
    assert ("attention_stages" in parameters) == name.startswith("AA")
    assert ("channel_attention" in parameters) == (name in ("AAResNet", "AARetinaNet", "AAWideResNet", "BoTNet"))
    with_bias = name in ("AAResNet", "AARetinaNet") or re.fullmatch(r"SE(ResNet|RetinaNet)\d*", name) is not None
    assert ("channel_attention_bias" in parameters) == with_bias
    assert ("blocks" in parameters) == (re.sub("^(AA|SE)", "", name) in ("ResNet", "RetinaNet"))
    # Nothing is described that it does not take.
    arguments = inspect.getdoc(builder).split("\nArgs:\n")[1].split("\n\nReturns:")[0]
    assert re.findall(r"^    (\w+): ", arguments, flags=re.MULTILINE) == list(parameters)
    with pytest.raises(TypeError, match="unexpected keyword argument 'depths'"):
        build(name, depths=3)


def test_editors_see_the_signatures():
    """In a stub, which `make stubs` writes."""
    spec = importlib.util.spec_from_file_location("write_stubs", ROOT / "docs" / "write_stubs.py")
    write_stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_stubs)
    assert write_stubs.STUB == ROOT / "applications" / "__init__.pyi"
    assert write_stubs.stub() == write_stubs.STUB.read_text(encoding="utf-8")


def test_what_a_variant_fixes_cannot_be_given():
    for name, argument in (("AAResNet50", "depth"), ("ResNet", "num_heads"), ("ResNet50", "width")):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{argument}'"):
            build(name, **{argument: 34})


def test_a_wrong_call_names_the_function_and_what_was_meant():
    with pytest.raises(TypeError, match=r"^AAResNet50\(\) got .* 'num_classes'. Did you mean 'classes'\?"):
        applications.AAResNet50(num_classes=10)
    with pytest.raises(TypeError, match=r"^AAWideResNet\(\) is called wrongly: missing .* 'depth'"):
        applications.AAWideResNet()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"depth": 51}, "`depth` must be one of 18, 34, 50, 101, 152. Received: depth=51"),
        ({"depth": 50.0}, "`depth` must be one of 18.*Received: depth=50.0"),
        ({"width": 0}, "`width` must be a positive integer.*Received: width=0"),
        ({"blocks": (1, 1, 1)}, r"`blocks` must be a tuple of four positive integers.*Received: blocks=\(1, 1, 1\)"),
        ({"blocks": (1, 0, 1, 1)}, r"`blocks` must be a tuple of four .*Received: blocks=\(1, 0, 1, 1\)"),
        ({"blocks": 3}, "`blocks` must be a tuple of four .*Received: blocks=3"),
        ({"channel_attention": "se"}, "`channel_attention` must be .*Received: channel_attention='se'"),
    ],
)
def test_arguments_of_resnets_out_of_range(arguments, error):
    with without_values(), pytest.raises(ValueError, match=f"(?s){error}"):
        AAResNet(**{"depth": 50, "input_shape": (64, 64, 3), **arguments})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"stages": ("c", "c", "c")}, r"`stages` must be a tuple of four strings .*Received: stages=\('c', 'c', 'c'\)"),
        ({"stages": ("c", "c", "b", "a")}, "`stages` must be a tuple of four strings"),
        ({"stages": ("c", "", "c", "a")}, "`stages` must be a tuple of four strings"),
        ({"stem": "5x5"}, "`stem` must be one of '7x7', '3x3', '3x3 strided'. Received: stem='5x5'"),
        ({"num_heads": 3}, "`num_heads` must divide 64.*Received: num_heads=3"),
        ({"group_size": 128}, "`group_size` must divide 64.*Received: group_size=128"),
        ({"activation": "gelu"}, "`activation` must be one of 'relu', 'silu'. Received: activation='gelu'"),
        ({"channel_attention": "eca"}, "`channel_attention` must be one of .*Received: channel_attention='eca'"),
        ({"head_channels": 0}, "`head_channels` must be a positive integer.*Received: head_channels=0"),
        ({"padding": "valid"}, "`padding` must be one of 'same', 'symmetric'. Received: padding='valid'"),
    ],
)
def test_arguments_of_botnets_out_of_range(arguments, error):
    with without_values(), pytest.raises(ValueError, match=f"(?s){error}"):
        BoTNet(**{"stages": ("c", "c", "c", "a"), "input_shape": (64, 64, 3), **arguments})


def test_a_network_may_have_both_kinds_of_attention():
    with without_values():
        model = build("AAResNet", channel_attention="gather_excite", blocks=(1, 1, 1, 1))
        kinds = [type(layer).__name__ for layer in model.layers]
    assert (kinds.count("GatherExcite"), kinds.count("AttentionAugmentedConv2D")) == (4, 3)


def test_networks_are_listed_by_a_pattern_or_a_part_of_their_names():
    assert sorted(list_models()) == sorted(applications.__all__)
    assert list_models("seresnet") == ["SEResNet", "SEResNet34", "SEResNet50", "SEResNet101", "SEResNet152"]
    assert list_models("retina", task="classification") == []
    assert list_models("se", task="detection") == ["SERetinaNet", "SERetinaNet50"]
    with pytest.raises(ValueError, match=r"`task` must be one of .*Received: task='segmentation'"):
        list_models(task="segmentation")
    assert list_models("aa*resnet50") == ["AAResNet50"]
    assert list_models("mnas") == ["AAMnasNet", "MnasNet"]
    assert list_models("SE*34") == ["SEResNet34"]
    assert list_models("nothing like it") == []
    with_weights = {entry.builder for entry in pretrained.PRETRAINED} | set(timm_hub.ARCHITECTURES)
    assert list_models(pretrained=True) == [name for name in list_models() if name in with_weights]


def test_networks_are_created_by_name():
    for name in ("AAWideResNet", "aa_wide_resnet"):
        with without_values():
            model = create_model(name, depth=10, width=1, input_shape=(8, 8, 3), classes=7)
        assert (model.name, model.output_shape) == ("aa_wide_resnet", (None, 7))
    with without_values():
        assert create_model("wide_resnet28_10", input_shape=(8, 8, 3)).name == "wide_resnet28_10"
    for name in ("AAResNet51", 3):
        with pytest.raises(ValueError, match=rf"`name` must be one of .*Received: name={name!r}") as raised:
            create_model(name)
        assert name == 3 or "such as AAResNet50" in str(raised.value) or "AAResNet" in str(raised.value)


def test_the_first_names_of_the_families_stay():
    from aa_keras.applications import aa_mnasnet, aa_resnet, aa_wide_resnet, mnasnet, resnet, wide_resnet

    for old, new in ((aa_resnet, resnet), (aa_wide_resnet, wide_resnet), (aa_mnasnet, mnasnet)):
        assert old.preprocess_input == new.preprocess_input
        assert old.decode_predictions == new.decode_predictions
    assert aa_resnet.AAResNet50 is AAResNet50
