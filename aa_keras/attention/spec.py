"""What decides the cost of an attention, and which implementations compute it."""

import dataclasses
from typing import Any

from aa_keras.attention import dense


@dataclasses.dataclass(frozen=True)
class AttentionSpec:
    """The properties of an attention that decide its cost and the choice of its implementation.

    Attributes:
        num_heads: number of heads.
        height: positions along the vertical axis: an integer, or a tensor or None where it is known only when a graph
            runs.
        width: positions along the horizontal axis, likewise.
        key_dim: channels of a key in each head.
        value_dim: channels of a value in each head.
        relative: whether there are relative positions.
        dtype: name of the compute type.
    """

    num_heads: int
    height: Any
    width: Any
    key_dim: int
    value_dim: int
    relative: bool
    dtype: str

    @property
    def is_known(self) -> bool:
        """Whether the height and the width are known."""
        return isinstance(self.height, int) and isinstance(self.width, int)

    @property
    def logits_dtype(self) -> str:
        """The name of the type in which logits are formed, other than in a fused kernel."""
        return dense.logits_dtype(self.dtype, self.height, self.width, self.relative)

    @property
    def logits_itemsize(self) -> int:
        """The bytes of a logit, other than in a fused kernel."""
        return {"bfloat16": 2, "float32": 4, "float64": 8}[self.logits_dtype]

    @property
    def logits_bytes(self) -> int:
        """The bytes of the logits of an image, of a known height and width."""
        return self.logits_itemsize * self.num_heads * (self.height * self.width) ** 2
