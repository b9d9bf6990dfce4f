"""`attention_stages="auto"`: stages from the last backwards while their estimate fits the budget."""

import re

import pytest
from helpers.builders import without_values

from aa_keras.applications import AAMnasNet, AAResNet50, AAWideResNet
from aa_keras.attention import attention_memory
from aa_keras.layers import AttentionAugmentedConv2D


def build(builder, *arguments, **options):
    with without_values():
        return builder(*arguments, **options)


def augmented_stages(model):
    names = [layer.name for layer in model.layers if isinstance(layer, AttentionAugmentedConv2D)]
    return {int(re.match(r"stage(\d)", name).group(1)) for name in names}


def estimate(model):
    """The sum of what all layers keep and the largest of what they need besides."""
    layers = [layer for layer in model.layers if isinstance(layer, AttentionAugmentedConv2D)]
    memories = [attention_memory(layer.attention_spec(layer.max_size)) for layer in layers]
    return sum(memory.kept for memory in memories) + max(memory.transient for memory in memories)


@pytest.mark.parametrize(
    ("builder", "arguments", "stages"),
    [
        (AAWideResNet, {"depth": 10, "width": 2}, [(3,), (2, 3), (1, 2, 3)]),
        pytest.param(AAResNet50, {}, [(4,), (3, 4), (2, 3, 4), (1, 2, 3, 4)], marks=pytest.mark.slow),
        (AAMnasNet, {"alpha": 0.75}, [(7,), (6, 7), (5, 6, 7)]),
    ],
)
def test_as_many_stages_as_the_budget_allows(builder, arguments, stages):
    for index, of_budget in enumerate(stages):
        needed = estimate(build(builder, **arguments, attention_stages=of_budget))
        exactly = build(builder, **arguments, attention_stages="auto", attention_budget=needed)
        assert augmented_stages(exactly) == set(of_budget)
        less = build(builder, **arguments, attention_stages="auto", attention_budget=needed - 1)
        assert augmented_stages(less) == set(stages[index - 1] if index else ())


def test_pooling_is_in_the_first_stage_that_fits():
    needed = estimate(build(AAResNet50, attention_stages=(3, 4)))
    model = build(AAResNet50, attention_stages="auto", attention_budget=needed)
    poolings = {layer.name: layer.attention_pooling for layer in model.layers if hasattr(layer, "attention_pooling")}
    assert {name[:6]: pooling for name, pooling in poolings.items()} == {"stage3": 2, "stage4": 1}


@pytest.mark.parametrize("budget", [None, -1, "1 GB", True, float("nan")])
def test_auto_needs_a_budget(budget):
    with pytest.raises(ValueError, match=r"`attention_budget` must be the bytes .*Received: attention_budget="):
        AAWideResNet(10, 1, attention_stages="auto", attention_budget=budget)


def test_a_budget_needs_auto():
    with pytest.raises(ValueError, match=r"`attention_budget` is for attention_stages='auto'.*=1000"):
        AAWideResNet(10, 1, attention_budget=1000)


@pytest.mark.parametrize(("builder", "stages"), [(AAMnasNet, (1, 2)), (AAMnasNet, (8,)), (AAResNet50, (0,))])
def test_stages_are_those_that_can_be_augmented(builder, stages):
    with pytest.raises(ValueError, match="`attention_stages` must be a tuple of distinct stages from"):
        builder(attention_stages=stages)
