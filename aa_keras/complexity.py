"""Parameters and floating-point operations of models."""

import dataclasses
import math

import keras
from keras import layers

from aa_keras.layers import AttentionAugmentedConv2D, EfficientChannelAttention, SelfAttention2D, SqueezeExcite
from aa_keras.layers._graph import has_graph, symbolic_calls

# Layers with weights of several axes, and without matrix products.
ELEMENT_WISE = (
    *(layers.PReLU, layers.Embedding, layers.Normalization, layers.BatchNormalization),
    *(layers.LayerNormalization, layers.GroupNormalization, layers.RMSNormalization),
)
# Layers and operations without weights, and with matrix products.
PRODUCTS = {
    *("Attention", "AdditiveAttention", "Dot", "DotProductAttention", "Einsum", "Matmul", "Tensordot"),
    *("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv"),
}


@dataclasses.dataclass(frozen=True)
class ModelComplexity:
    """The cost of a model.

    Attributes:
        parameters: number of trainable parameters.
        flops: floating-point operations for one image, two for each multiplication and addition of the matrix
            products; everything else (normalization, activations, pooling, softmax) is left out, as is customary.
    """

    parameters: int
    flops: int


def model_complexity(
    model: keras.Model, input_shape: tuple[int, int, int] | None = None, attention_products: bool = True
) -> ModelComplexity:
    """Counts the parameters of a model and the FLOPs of its matrix products, including those of attention.

    Convolutions and dense layers count as usual. Attention over HW positions counts 2 (HW)^2 (dk + dv) for content
    and values. Logits of relative positions count as products of every query with all 2H - 1 and 2W - 1 rows of the
    tables, 2 HW dk (2H + 2W - 2), as the paper's published algorithm computes them; the algorithms here need about
    half of that.

    Args:
        model: a functional or `Sequential` Keras model of one input, which may hold others.
        input_shape: (height, width, channels) to count FLOPs for; None takes that of the model's input.
        attention_products: whether to count the products of queries with keys and of probabilities with values. Without
            them the FLOPs are nearest to the paper's, whose profiler probably left them out.

    Returns:
        A `ModelComplexity`.

    Raises:
        ValueError: for a subclassed model, whose layers are not known, if the input's height or width is unknown and
            `input_shape` is not given, and for layers that have no rule.
    """
    if not has_graph(model):
        raise ValueError(
            "`model` must be a functional Keras model, or a `Sequential` one that is built: FLOPs are counted layer by "
            f"layer. Received: model={model!r}"
        )
    shape = tuple(input_shape or model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or None in shape:
        raise ValueError(
            "FLOPs are counted for models of one input of a known shape: pass `input_shape=(height, width, channels)`. "
            f"Received: input_shape={input_shape}, model inputs of shapes {[tensor.shape for tensor in model.inputs]}"
        )
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    flops = sum(_layer_flops(call, attention_products) for call in symbolic_calls(model, [(1, *shape)]))
    return ModelComplexity(parameters=parameters, flops=flops)


def _layer_flops(call, attention_products):
    """Returns the FLOPs of one call of a layer for one image."""
    layer, outputs = call.layer, call.outputs
    inputs = keras.tree.flatten((call.args, call.kwargs))[0]
    if isinstance(layer, AttentionAugmentedConv2D):
        return _augmented_convolution_flops(layer, inputs.shape, outputs.shape, attention_products)
    if isinstance(layer, SelfAttention2D):
        return _self_attention_flops(layer, inputs.shape[1:3], attention_products)
    if isinstance(layer, layers.MultiHeadAttention):
        return _multi_head_attention_flops(layer, attention_products, *call.args, **call.kwargs)
    if isinstance(layer, SqueezeExcite):
        return 2 * (math.prod(layer.squeeze.kernel.shape) + math.prod(layer.excite.kernel.shape))
    if isinstance(layer, EfficientChannelAttention):
        return 2 * math.prod(layer.convolution.kernel.shape) * outputs.shape[-1]
    if isinstance(layer, (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)):
        return _positions(inputs, layer) * _products(layer)
    if isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D)):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return 2 * _positions(outputs, layer) * kernels
    if isinstance(
        layer,
        (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    ):
        return _positions(outputs, layer) * _products(layer)
    if hasattr(layer, "lateral_conv_layers"):  # KerasHub's FeaturePyramid, whose maps and layers are named by level
        return sum(
            _positions(outputs[level]) * _products(convolution)
            for convolutions in (layer.lateral_conv_layers, layer.output_conv_layers)
            for level, convolution in convolutions.items()
        )
    if hasattr(layer, "prediction_layer"):  # KerasHub's PredictionHead
        return _positions(outputs) * sum(map(_products, (*layer.conv_layers, layer.prediction_layer)))
    has_no_kernel = all(len(weight.shape) < 2 for weight in getattr(layer, "weights", ()))
    if isinstance(layer, ELEMENT_WISE) or (has_no_kernel and type(layer).__name__ not in PRODUCTS):
        return 0
    raise ValueError(
        f"There is no rule for the FLOPs of the layer {layer.name!r}, a {type(layer).__name__}: they are counted for "
        "models of convolutions, dense layers, attention and element-wise layers"
    )


def _positions(tensor, layer=None):
    """Returns how many pixels a map of one image has, in the data format of a layer."""
    is_channels_first = getattr(layer, "data_format", None) == "channels_first"
    return math.prod(tensor.shape[2:] if is_channels_first else tensor.shape[1:-1])


def _products(layer):
    """Returns the FLOPs of a layer's kernel at one pixel."""
    return 2 * math.prod(layer.kernel.shape)


def _multi_head_attention_flops(layer, attention_products, query, value, key=None, **_):
    key = value if key is None else key
    projected = ((layer.query_dense, query), (layer.key_dense, key), (layer.value_dense, value))
    flops = sum(_positions(tensor) * _products(dense) for dense, tensor in (*projected, (layer.output_dense, query)))
    depths = layer.num_heads * (layer.key_dim + layer.value_dim)
    return flops + attention_products * 2 * _positions(query) * _positions(key) * depths


def _augmented_convolution_flops(layer, input_shape, output_shape, attention_products):
    convolution = 0
    if layer.convolution is not None:
        convolution = 2 * math.prod(output_shape[1:3]) * math.prod(layer.convolution.kernel.shape)
    size = layer.attention_size(input_shape[1:3])
    return convolution + _self_attention_flops(layer.self_attention, size, attention_products)


def _self_attention_flops(layer, size, attention_products):
    height, width = size
    positions = height * width
    key_depth, value_depth = layer.num_heads * layer.key_dim, layer.num_heads * layer.value_dim
    projections = math.prod(layer.query_key_value.kernel.shape)
    if layer.output_projection is not None:
        projections += math.prod(layer.output_projection.kernel.shape)
    flops = 2 * positions * projections + attention_products * 2 * positions**2 * (key_depth + value_depth)
    if layer.position_encoding == "relative":
        flops += 2 * positions * key_depth * (2 * height - 1 + 2 * width - 1)
    return flops
