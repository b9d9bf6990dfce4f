"""Parameters and floating-point operations of models."""

import dataclasses
import math

import keras
from keras import layers

from aa_keras.layers import AttentionAugmentedConv2D, EfficientChannelAttention, SelfAttention2D, SqueezeExcite


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
        model: a functional or `Sequential` Keras model of one input.
        input_shape: (height, width, channels) to count FLOPs for; None takes that of the model's input.
        attention_products: whether to count the products of queries with keys and of probabilities with values. Without
            them the FLOPs are nearest to the paper's, whose profiler probably left them out.

    Returns:
        A `ModelComplexity`.

    Raises:
        ValueError: if the input's height or width is unknown and `input_shape` is not given, and for layers with
            weights that have no rule.
    """
    shape = tuple(input_shape or model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or None in shape:
        raise ValueError(
            "FLOPs are counted for models of one input of a known shape: pass `input_shape=(height, width, channels)`. "
            f"Received: input_shape={input_shape}, model inputs of shapes {[tensor.shape for tensor in model.inputs]}"
        )
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return ModelComplexity(parameters=parameters, flops=_model_flops(model, shape, attention_products))


def _model_flops(model, input_shape, attention_products):
    """Returns the FLOPs of a model for one input of a shape: the sum over all calls of its layers."""
    flops = 0

    def call_and_count(layer, *args, **kwargs):
        nonlocal flops
        outputs = layer(*args, **kwargs)
        if isinstance(layer, keras.Model):
            flops += _model_flops(layer, args[0].shape[1:], attention_products)
        else:
            flops += _layer_flops(layer, args, outputs, attention_products)
        return outputs

    # Cloning calls every layer again, on the shapes to count for, wherever in the model it is.
    functional = keras.Model(model.inputs, model.outputs)
    keras.models.clone_model(functional, [keras.Input(input_shape)], call_function=call_and_count)
    return flops


def _layer_flops(layer, args, outputs, attention_products):
    """Returns the FLOPs of one call of a layer for one image."""
    if isinstance(layer, AttentionAugmentedConv2D):
        return _augmented_convolution_flops(layer, args[0].shape, outputs.shape, attention_products)
    if isinstance(layer, SelfAttention2D):
        return _self_attention_flops(layer, args[0].shape[1:3], attention_products)
    if isinstance(layer, SqueezeExcite):
        return 2 * (math.prod(layer.squeeze.kernel.shape) + math.prod(layer.excite.kernel.shape))
    if isinstance(layer, EfficientChannelAttention):
        return 2 * math.prod(layer.convolution.kernel.shape) * outputs.shape[-1]
    if isinstance(layer, (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)):
        return 2 * math.prod(args[0].shape[1:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D)):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return 2 * math.prod(outputs.shape[1:-1]) * kernels
    if isinstance(
        layer,
        (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    ):
        return 2 * math.prod(outputs.shape[1:-1]) * math.prod(layer.kernel.shape)
    if hasattr(layer, "lateral_conv_layers"):  # KerasHub's FeaturePyramid, whose maps and layers are named by level
        return sum(
            2 * math.prod(outputs[level].shape[1:-1]) * math.prod(convolution.kernel.shape)
            for convolutions in (layer.lateral_conv_layers, layer.output_conv_layers)
            for level, convolution in convolutions.items()
        )
    if hasattr(layer, "prediction_layer"):  # KerasHub's PredictionHead
        kernels = (convolution.kernel for convolution in (*layer.conv_layers, layer.prediction_layer))
        return 2 * math.prod(outputs.shape[1:-1]) * sum(math.prod(kernel.shape) for kernel in kernels)
    if any(len(variable.shape) > 1 for variable in getattr(layer, "weights", ())):
        raise ValueError(f"There is no rule for the FLOPs of the layer {layer.name!r}, a {type(layer).__name__}")
    return 0


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
