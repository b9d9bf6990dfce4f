"""Self-attention over feature maps."""

from typing import Any

import keras
from keras import ops

from aa_keras import attention
from aa_keras.layers import _arguments, _observation
from aa_keras.layers._arguments import IntegerPair
from aa_keras.layers._convolutional import ConvolutionalLayer
from aa_keras.layers.position_encoding import (
    CoordinateChannels2D,
    RelativePositionEmbedding2D,
    SinusoidalPositionEncoding2D,
)

POSITION_ENCODINGS = ("relative", "sinusoidal", "coordinates", None)


@keras.saving.register_keras_serializable("aa_keras")
class SelfAttention2D(ConvolutionalLayer):
    """Multi-head self-attention of every pixel to every other one, with two-dimensional positions.

    Section 3 of the paper: one 1x1 convolution computes queries, keys and values (in this order, head by head within
    each), attention runs over the whole map, and a 1x1 convolution mixes the concatenated heads.

    Args:
        num_heads: positive integer, the number of attention heads.
        key_dim: positive integer, the channels of a query and of a key in each head.
        value_dim: positive integer, the channels of a value in each head; None takes `key_dim`.
        position_encoding: encoding of positions. "relative": learned embeddings of the offset between query and
            key, added to the logits; "sinusoidal": sines and cosines added to the input; "coordinates": two channels
            in [-1, 1] appended to the input; None: nothing.
        max_size: integer or pair (height, width) in pixels of the layer's input, the size that the tables of relative
            positions are made for. None takes the size that the layer is built with.
        implementation: how attention is computed, which does not change the result: "dense", "blockwise", "fused",
            "pallas", "flex", or "auto" to choose by backend, device and memory, as
            `aa_keras.attention.choose_implementation` says. The three kernels, "fused", "pallas" (JAX) and "flex"
            (PyTorch), raise where they do not run. LiteRT converts "dense" and "blockwise" if the height and width are
            known: give the model a fixed input size first.
        data_format: "channels_last" or None.
        use_output_projection: boolean, whether to use the second convolution. Without it the output is the
            concatenated heads, as in bottleneck transformers (Srinivas et al., CVPR 2021).
        use_bias: boolean, whether the two convolutions have biases.
        kernel_initializer: initializer of the two kernels.
        bias_initializer: initializer of the two biases.
        kernel_regularizer: regularizer of the two kernels.
        bias_regularizer: regularizer of the two biases.
        activity_regularizer: regularizer of the output.
        kernel_constraint: constraint on the two kernels.
        bias_constraint: constraint on the two biases.
        **kwargs: `name`, `dtype` and `trainable`, as for any layer.

    Call arguments:
        inputs: tensor, a feature map of any height and width (see `RelativePositionEmbedding2D` for sizes other than
            that which the layer was built for).
        return_attention_scores: boolean, whether to also return the attention probabilities; they are computed
            densely whatever the implementation.

    Input shape:
        (batch, height, width, channels)

    Output shape:
        (batch, height, width, num_heads * value_dim)

    Returns:
        The output; with `return_attention_scores=True`, a pair of the output and the attention probabilities, of shape
        (batch, num_heads, height * width, height * width), with queries in rows and pixels counted row by row.

    Raises:
        ValueError: for an argument out of its range; for relative positions if the height or width is unknown when the
            layer is built and there is no `max_size`; and for a kernel that there is not, when the layer is built, or
            called if the size is unknown.

    Example:

    >>> layer = SelfAttention2D(num_heads=4, key_dim=16, value_dim=8)
    >>> output, scores = layer(keras.random.normal((2, 8, 10, 64)), return_attention_scores=True)
    >>> output.shape, scores.shape
    ((2, 8, 10, 32), (2, 4, 80, 80))
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        position_encoding: str | None = "relative",
        max_size: IntegerPair | None = None,
        implementation: str = "auto",
        data_format: str | None = None,
        use_output_projection: bool = True,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            data_format=data_format,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        self.num_heads = _arguments.positive_integer("num_heads", num_heads)
        self.key_dim = _arguments.positive_integer("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else _arguments.positive_integer("value_dim", value_dim)
        self.position_encoding = _arguments.one_of("position_encoding", position_encoding, POSITION_ENCODINGS)
        self.max_size = None if max_size is None else _arguments.integer_pair("max_size", max_size)
        self.implementation = _arguments.one_of("implementation", implementation, attention.IMPLEMENTATIONS)
        self.use_output_projection = _arguments.boolean("use_output_projection", use_output_projection)

    def build(self, input_shape):
        input_shape = _arguments.feature_map_shape(self, input_shape)
        if None not in input_shape[1:3]:  # now, rather than in the middle of training
            attention.check_implementation(self.implementation, self.attention_spec(input_shape[1:3]))
        dtype = self.dtype_policy
        # The layer that adds an absolute position to the input, and the one that embeds relative positions: at most
        # one of the two exists.
        self.input_encoding = None
        self.relative_embedding = None
        if self.position_encoding == "sinusoidal":
            self.input_encoding = SinusoidalPositionEncoding2D(dtype=dtype, name="sinusoidal")
        elif self.position_encoding == "coordinates":
            self.input_encoding = CoordinateChannels2D(dtype=dtype, name="coordinates")
        elif self.position_encoding == "relative":
            _arguments.table_size(self, input_shape)
            self.relative_embedding = RelativePositionEmbedding2D(
                self.key_dim, max_size=self.max_size, dtype=dtype, trainable=self.trainable, name="relative"
            )
            self.relative_embedding.build(input_shape)

        encoded_shape = input_shape
        if self.input_encoding is not None:
            self.input_encoding.build(input_shape)
            encoded_shape = self.input_encoding.compute_output_shape(input_shape)
        self.query_key_value = self._pointwise_convolution(self.num_heads * (2 * self.key_dim + self.value_dim), "qkv")
        self.query_key_value.build(encoded_shape)
        self.output_projection = None
        if self.use_output_projection:
            self.output_projection = self._pointwise_convolution(self.num_heads * self.value_dim, "output")
            self.output_projection.build((*input_shape[:-1], self.num_heads * self.value_dim))

    def attention_spec(self, size: tuple) -> attention.AttentionSpec:
        """Returns the `aa_keras.attention.AttentionSpec` of an input of `size` (height, width), None for unknown."""
        height, width = size
        return attention.AttentionSpec(
            self.num_heads,
            height,
            width,
            key_dim=self.key_dim,
            value_dim=self.value_dim,
            relative=self.position_encoding == "relative",
            dtype=self.compute_dtype,
        )

    def _pointwise_convolution(self, filters, name):
        return keras.layers.Conv2D(filters, 1, name=name, **self.child_arguments())

    def call(self, inputs, return_attention_scores=False):
        _observation.report(self, inputs)
        attended = attention.attention_2d(
            *self._queries_keys_values(inputs),
            *self._relative_embeddings(inputs),
            self.implementation,
            return_scores=return_attention_scores,
        )
        outputs, scores = attended if return_attention_scores else (attended, None)
        outputs = attention.merge_heads(outputs)
        if self.output_projection is not None:
            outputs = self.output_projection(outputs)
        return (outputs, scores) if return_attention_scores else outputs

    def attention_scores(self, inputs: Any, positions: Any = None) -> Any:
        """Returns the attention probabilities of some queries, like `return_attention_scores=True`.

        Args:
            inputs: tensor, the layer's input.
            positions: integers, the numbers of the queries to return, with pixels counted row by row; None for all.

        Returns:
            A tensor of shape (batch, num_heads, queries, height * width) and at least float32.
        """
        queries, keys, _ = self._queries_keys_values(inputs)
        of_height, of_width = self._relative_embeddings(inputs)
        return attention.attention_scores_2d(queries, keys, of_height, of_width, positions)

    def attention_logits(self, inputs: Any, positions: Any = None) -> Any:
        """Returns what `attention_scores` returns, before the softmax."""
        queries, keys, _ = self._queries_keys_values(inputs)
        of_height, of_width = self._relative_embeddings(inputs)
        return attention.attention_logits_2d(queries, keys, of_height, of_width, positions)

    def _queries_keys_values(self, inputs):
        encoded = inputs if self.input_encoding is None else self.input_encoding(inputs)
        projected = self.query_key_value(encoded)
        depth = self.num_heads * self.key_dim
        # Not with slices: the gradient of each slice is an array as large as all three.
        if keras.backend.backend() == "torch":  # where `ops.split` depends on data, which `torch.export` cannot follow
            import torch

            parts = torch.split(projected, [depth, depth, self.num_heads * self.value_dim], dim=-1)
        else:
            parts = ops.split(projected, [depth, 2 * depth], axis=-1)
        return tuple(attention.split_heads(part, self.num_heads) for part in parts)

    def _relative_embeddings(self, inputs):
        return (None, None) if self.relative_embedding is None else self.relative_embedding(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_heads * self.value_dim)

    def compute_output_spec(self, inputs, return_attention_scores=False):
        output = keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        batch, height, width, _ = inputs.shape
        positions = None if height is None or width is None else height * width
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        return output, keras.KerasTensor((batch, self.num_heads, positions, positions), dtype=dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "position_encoding": self.position_encoding,
            "max_size": self.max_size,
            "implementation": self.implementation,
            "use_output_projection": self.use_output_projection,
        }
