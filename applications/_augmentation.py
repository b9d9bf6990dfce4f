"""The augmentation of a network: the arguments that all families share, and the convolutions that they augment."""

import dataclasses

from aa_keras.attention import attention_memory
from aa_keras.layers import AttentionAugmentedConv2D, _arguments

from . import _building as building
from ._weights import table_sizes


@dataclasses.dataclass(frozen=True)
class Place:
    """A convolution of a network that may be augmented.

    Attributes:
        stage: the residual stage that it is in, counted from 1.
        filters: its output channels.
        kernel_size: its window.
        strides: its strides.
        size: (height, width) of its input, for which tables of relative positions are made.
        pooling: stride of the average pooling before attention here, whatever the options.
    """

    stage: int
    filters: int
    kernel_size: int
    strides: int
    size: tuple[int, int]
    pooling: int = 1


@dataclasses.dataclass(frozen=True)
class AttentionOptions:
    """The arguments of augmentation that the builders of all families share.

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

    def for_network(self, places):
        """Returns the options with a tuple of stages, also for "auto".

        Args:
            places: list of the `Place`s of the network.

        Raises:
            ValueError: unless the stages are stages of the network, or "auto" with a budget.
        """
        last = max(place.stage for place in places)
        if self.stages == "auto":
            return dataclasses.replace(self, stages=self._stages_within_budget(places, last), budget=None)
        is_tuple = isinstance(self.stages, (tuple, list)) and all(map(_arguments.is_integer, self.stages))
        if (
            not is_tuple
            or not set(self.stages) <= {place.stage for place in places}
            or len(set(self.stages)) < len(self.stages)
        ):
            first = min(place.stage for place in places)
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

    def sized_as_in(self, weights, places, image):
        """Returns the places with the sizes that weights were learned at, if the size of the images is unknown.

        Tables of relative positions are then those of the file, instead of being resized to the family's size.

        Args:
            weights: the builders' argument, checked.
            places: list of the `Place`s of the network.
            image: the network's input.
        """
        known = [length is not None for length in image.shape[1:3]]
        if weights is None or all(known) or self.position_encoding != "relative" or not self.stages:
            return places
        augmented = [place for place in places if place.stage in self.stages]
        learned = table_sizes(weights)
        if len(learned) != len(augmented):  # weights of another network: loading them raises
            return places
        sized = {
            id(place): dataclasses.replace(
                place,
                size=tuple(
                    own if is_known else length * place.strides * self._pooling(place)
                    for own, is_known, length in zip(place.size, known, lengths, strict=True)
                ),
            )
            for place, lengths in zip(augmented, learned, strict=True)
        }
        return [sized.get(id(place), place) for place in places]

    def _pooling(self, place):
        """Returns the stride of the average pooling before attention in a place, besides the convolution's strides."""
        return place.pooling * (self.pooling if place.stage == min(self.stages) else 1)

    def _stages_within_budget(self, places, last):
        """Returns as many stages, from the last backwards, as the budget allows by the estimate."""
        if not _arguments.is_number(self.budget) or not self.budget >= 0:
            raise ValueError(
                "`attention_budget` must be the bytes that attention may take in training, for each image of a batch, "
                f"with attention_stages='auto'. Received: attention_budget={self.budget!r}"
            )
        fitting = ()
        for first in range(last, min(place.stage for place in places) - 1, -1):
            options = dataclasses.replace(self, stages=tuple(range(first, last + 1)))
            if options.memory(places) > self.budget:
                break
            fitting = options.stages
        return fitting

    def memory(self, places):
        """Estimates the bytes of attention in training for each image: all that is kept, and the largest transient."""
        augmented = [place for place in places if place.stage in self.stages]
        layers = [self._layer(place, name="estimate") for place in augmented]
        estimates = [
            attention_memory(layer.attention_spec(place.size), layer.implementation)
            for layer, place in zip(layers, augmented, strict=True)
        ]
        kept = sum(estimate.kept for estimate in estimates)
        return kept + max((estimate.transient for estimate in estimates), default=0)

    def convolution(self, inputs, place, name):
        """Applies a convolution without bias, augmented with attention if its stage is one of the augmented ones."""
        if place.stage not in self.stages:
            return building.convolution(inputs, place.filters, place.kernel_size, place.strides, name, self.padding)
        return self._layer(place, name)(inputs)

    def _layer(self, place, name):
        return AttentionAugmentedConv2D(
            place.filters,
            place.kernel_size,
            strides=place.strides,
            padding=self.padding,
            num_heads=self.num_heads,
            key_ratio=self.key_ratio,
            value_ratio=self.value_ratio,
            position_encoding=self.position_encoding,
            attention_pooling=self._pooling(place),
            max_size=place.size,
            implementation=self.implementation,
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )


# The arguments with which a builder of augmented networks augments none of its convolutions.
NO_ATTENTION = {
    "num_heads": 1,
    "key_ratio": 1.0,
    "value_ratio": 1.0,
    "position_encoding": None,
    "attention_stages": (),
    "attention_pooling": 1,
    "implementation": "auto",
    "attention_budget": None,
}
