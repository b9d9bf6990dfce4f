"""The arguments of attention that all families share, and the convolutions of a network that they augment."""

import dataclasses
from typing import Any

from aa_keras.attention import attention_memory
from aa_keras.layers import AttentionAugmentedConv2D, _arguments
from aa_keras.layers._resampling import strided

from .blocks import convolution


@dataclasses.dataclass(frozen=True)
class ConvSpec:
    """A convolution of a network that may be augmented.

    Attributes:
        stage: the residual stage that it is in, counted from 1.
        block: the block of the stage that it is in, counted from 1.
        filters: its output channels.
        kernel_size: its window.
        strides: its strides.
        size: (height, width) of its input, for which tables of relative positions are made.
        pooling: stride of the average pooling before attention here, whatever the options.
    """

    stage: int
    block: int
    filters: int
    kernel_size: int
    strides: int
    size: tuple[int, int]
    pooling: int = 1

    @property
    def block_name(self):
        """The start of the names of the block's layers."""
        return f"stage{self.stage}_block{self.block}"


def residual_specs(blocks, filters, size):
    """Returns the `ConvSpec` of the 3x3 convolution that strides in each block of a residual network.

    Args:
        blocks: the number of blocks in each stage.
        filters: the filters in the first stage, which double from stage to stage.
        size: (height, width) of the first stage's input; every further stage halves it.
    """
    specs = []
    for stage, count in enumerate(blocks, start=1):
        for block in range(1, count + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            specs.append(ConvSpec(stage, block, filters * 2 ** (stage - 1), 3, strides, size))
            size = strided(size, strides)
    return specs


@dataclasses.dataclass(frozen=True)
class AttentionOptions:
    """The arguments of attention that the builders of all families share.

    `stages` counts residual stages from 1; `pooling` is that of the first augmented stage, which has the largest maps.
    `padding` is that of all convolutions of the network.
    """

    num_heads: int
    key_ratio: float
    value_ratio: float
    position_encoding: str | None
    stages: tuple[int, ...] | str
    pooling: int
    implementation: str = "auto"
    budget: int | None = None
    padding: str = "same"

    def for_network(self, specs):
        """Returns the options with a tuple of stages, also for "auto".

        Args:
            specs: list of the `ConvSpec`s of the network.

        Raises:
            ValueError: unless the stages are stages of the network, or "auto" with a budget.
        """
        first, last = min(spec.stage for spec in specs), max(spec.stage for spec in specs)
        if self.stages == "auto":
            return dataclasses.replace(self, stages=self._stages_within_budget(specs, first, last), budget=None)
        is_tuple = isinstance(self.stages, (tuple, list)) and all(map(_arguments.is_integer, self.stages))
        if (
            not is_tuple
            or not set(self.stages) <= {spec.stage for spec in specs}
            or len(set(self.stages)) < len(self.stages)
        ):
            raise ValueError(
                f"`attention_stages` must be a tuple of distinct stages from {first} to {last}, (), or 'auto'. "
                f"Received: attention_stages={self.stages!r}"
            )
        if self.budget is not None:
            raise ValueError(
                "`attention_budget` is for attention_stages='auto': pass both, or none. "
                f"Received: attention_budget={self.budget!r}, attention_stages={self.stages!r}"
            )
        return self

    def sized_as_in(self, weights, specs, image):
        """Returns the specs with the sizes that weights were learned at, if the size of the images is unknown.

        Tables of relative positions are then those of the file, instead of being resized to the family's size.

        Args:
            weights: the `Weights`, or None.
            specs: list of the `ConvSpec`s of the network.
            image: the network's input.
        """
        known = [length is not None for length in image.shape[1:3]]
        if weights is None or all(known) or self.position_encoding != "relative" or not self.stages:
            return specs
        sizes = iter(weights.content.table_sizes)
        augmented = [spec.stage in self.stages for spec in specs]
        if len(weights.content.table_sizes) != sum(augmented):  # weights of another network: loading them raises
            return specs

        def sized(spec):
            factor = spec.strides * self._pooling(spec)
            lengths = zip(spec.size, known, next(sizes), strict=True)
            return dataclasses.replace(
                spec, size=tuple(own if is_known else learned * factor for own, is_known, learned in lengths)
            )

        return [sized(spec) if is_augmented else spec for spec, is_augmented in zip(specs, augmented, strict=True)]

    def _pooling(self, spec):
        """Returns the stride of the average pooling before attention, besides the convolution's strides."""
        return spec.pooling * (self.pooling if spec.stage == min(self.stages) else 1)

    def _stages_within_budget(self, specs, first, last):
        """Returns as many stages, from the last backwards, as the budget allows by the estimate."""
        if not _arguments.is_number(self.budget) or not self.budget >= 0:
            raise ValueError(
                "`attention_budget` must be the bytes that attention may take in training, for each image of a batch, "
                f"with attention_stages='auto'. Received: attention_budget={self.budget!r}"
            )
        fitting = ()
        for begin in range(last, first - 1, -1):
            options = dataclasses.replace(self, stages=tuple(range(begin, last + 1)))
            if options.memory(specs) > self.budget:
                break
            fitting = options.stages
        return fitting

    def memory(self, specs):
        """Estimates the bytes of attention in training for each image: all that is kept, and the largest transient."""
        layers = [(self._layer(spec, name="estimate"), spec.size) for spec in specs if spec.stage in self.stages]
        estimates = [attention_memory(layer.attention_spec(size), layer.implementation) for layer, size in layers]
        kept = sum(estimate.kept for estimate in estimates)
        return kept + max((estimate.transient for estimate in estimates), default=0)

    def convolution(self, inputs, spec, name):
        """Applies a convolution without bias, augmented with attention if its stage is one of the augmented ones."""
        if spec.stage not in self.stages:
            return convolution(inputs, spec.filters, spec.kernel_size, spec.strides, name, self.padding)
        return self._layer(spec, name)(inputs)

    def _layer(self, spec, name):
        return AttentionAugmentedConv2D(
            spec.filters,
            spec.kernel_size,
            strides=spec.strides,
            padding=self.padding,
            num_heads=self.num_heads,
            key_ratio=self.key_ratio,
            value_ratio=self.value_ratio,
            position_encoding=self.position_encoding,
            attention_pooling=self._pooling(spec),
            max_size=spec.size,
            implementation=self.implementation,
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )


# The arguments with which a builder of augmented networks augments none of its convolutions.
NO_ATTENTION: dict[str, Any] = {
    "num_heads": 1,
    "key_ratio": 1.0,
    "value_ratio": 1.0,
    "position_encoding": None,
    "attention_stages": (),
    "attention_pooling": 1,
    "implementation": "auto",
    "attention_budget": None,
}
