"""The parts of all model families: input, normalized convolutions, channel attention, classifier, weights."""

import contextlib
import re

import keras
from keras import layers

from aa_keras.layers import GatherExcite, SqueezeExcite, _arguments

from .weights.loading import load_weights

PADDINGS = ("same", "symmetric")
CHANNEL_ATTENTION = (None, "squeeze_excite", "gather_excite")


@contextlib.contextmanager
def dtype_policy(policy):
    """Makes a dtype policy the global one, which new layers take, in the `with` block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def convolution(inputs, filters, kernel_size, strides, name, padding="same", groups=1):
    """Applies a convolution without bias, since batch normalization follows.

    Where windows stride over an even number of pixels, padding "same" adds one more pixel after than before;
    "symmetric", PyTorch's padding, adds the same number on both sides.
    """
    if padding == "symmetric" and strides > 1 and kernel_size > 1:
        inputs = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(inputs)
        padding = "valid"
    else:
        padding = "same"
    return layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding=padding,
        groups=groups,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(inputs)


def checked_padding(padding):
    """Returns a builder's `padding`, "same" for None, or raises ValueError."""
    return _arguments.one_of("padding", padding or "same", PADDINGS)


def max_pooling(inputs, name, padding="same"):
    """Halves a map by max pooling with 3x3 windows, padded as in `convolution`."""
    if padding == "symmetric":
        # Every second of all windows, the first one centred on the first pixel: zeros around the map would be right
        # only for activations that are never negative.
        inputs = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_windows")(inputs)
        return layers.MaxPooling2D(1, strides=2, padding="same", name=name)(inputs)
    return layers.MaxPooling2D(3, strides=2, padding="same", name=name)(inputs)


def batch_normalization(inputs, name, momentum=0.9, epsilon=1e-5):
    """Normalizes a batch, by default with the momentum and epsilon of the paper's ResNets."""
    return layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=name)(inputs)


def projected_shortcut(inputs, outputs, strides, name):
    """Returns the input of a residual block, projected and normalized if `outputs` has another shape."""
    if inputs.shape[-1] == outputs.shape[-1] and strides == 1:
        return inputs
    shortcut = convolution(inputs, outputs.shape[-1], 1, strides, name=f"{name}_shortcut_conv")
    return batch_normalization(shortcut, name=f"{name}_shortcut_bn")


def weighted_channels(inputs, kind, name, use_bias=False):
    """Weights the channels of a block's output with "squeeze_excite" or "gather_excite", or not at all for None."""
    _arguments.one_of("channel_attention", kind, CHANNEL_ATTENTION)
    if kind == "squeeze_excite":
        return SqueezeExcite(ratio=16, use_bias=use_bias, name=f"{name}_se")(inputs)
    return GatherExcite(name=f"{name}_ge")(inputs) if kind == "gather_excite" else inputs


def drop_path_rates(rate, blocks):
    """Returns the rate of stochastic depth of each block, which grows linearly from 0 to `rate`, as in timm."""
    rate = _arguments.dropout("drop_path_rate", rate)
    return [rate * block / max(blocks - 1, 1) for block in range(blocks)]


def drop_path(inputs, rate, name):
    """Leaves out a block's output in training, for a share of the images (Huang et al., *Stochastic Depth*, 2016)."""
    return layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(inputs) if rate else inputs


def image_input(input_tensor, input_shape, dataset, include_top, include_preprocessing, weights):
    """Returns the tensor that a model's layers start from: its input, normalized if the model does that itself.

    Args:
        input_tensor: Keras tensor (output of `keras.Input` or of another layer), or None to make one.
        input_shape: (height, width, channels) without the batch; height and width may be None. None takes that of the
            data set, or its channels alone if the model has no top, as in `keras.applications`.
        dataset: `datasets.Dataset` of the family.
        include_top: whether the model has a classifier.
        include_preprocessing: whether the model normalizes pixels from 0 to 255.
        weights: the `Weights`, or None: if they have the statistics of their images, these are used.

    Raises:
        ValueError: for an invalid shape, or one that disagrees with that of the tensor; for a number of channels
            without statistics; and if Keras is set to channels-first images.
    """
    image = _input(input_tensor, _checked_shape(input_shape), dataset.input_shape, include_top)
    if not include_preprocessing:
        return image
    mean, std = (weights and weights.statistics) or (dataset.mean, dataset.std)
    if image.shape[-1] != len(mean):
        raise ValueError(
            f"`include_preprocessing` needs images of {len(mean)} channels, as in {dataset.name}. "
            f"Received: include_preprocessing=True, images of shape {tuple(image.shape[1:])}"
        )
    return preprocessing(mean, std)(image)


def preprocessing(mean, std):
    """Returns the layer that normalizes pixels from 0 to 255 in networks with `include_preprocessing=True`."""
    variance = [deviation**2 for deviation in std]
    # In float32 whatever the network's precision: bfloat16 would round the pixels' mean.
    return layers.Normalization(mean=mean, variance=variance, dtype="float32", name="preprocessing")


def normalizes_pixels(model):
    """Whether a network takes pixels from 0 to 255: whether it was built with `include_preprocessing=True`."""
    of_detector = getattr(model, "normalizes_pixels", None)
    return any(layer.name == "preprocessing" for layer in model.layers) if of_detector is None else of_detector


def _checked_shape(input_shape):
    """Returns an `input_shape` as a tuple of integers and None, or raises ValueError."""
    if input_shape is None:
        return None
    is_shape = isinstance(input_shape, (tuple, list)) and len(input_shape) == 3 and input_shape[-1] is not None
    try:
        if not is_shape:
            raise ValueError
        return tuple(size if size is None else _arguments.positive_integer("input_shape", size) for size in input_shape)
    except ValueError:
        raise ValueError(
            "`input_shape` must be a tuple (height, width, channels) of positive integers, of which height and "
            f"width may be None. Received: input_shape={input_shape!r}"
        ) from None


def _input(input_tensor, input_shape, default_shape, include_top):
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            'The models take channels-last images: call keras.config.set_image_data_format("channels_last") first. '
            f"Received: image_data_format={keras.config.image_data_format()!r}"
        )
    if input_tensor is None:
        unknown_size = (None, None, default_shape[-1])
        return keras.Input(input_shape or (default_shape if include_top else unknown_size))
    if not keras.backend.is_keras_tensor(input_tensor):
        raise ValueError(
            "`input_tensor` must be a Keras tensor, the output of `keras.Input` or of a layer. "
            f"Received: input_tensor={input_tensor!r}"
        )
    shape = tuple(input_tensor.shape[1:])
    if len(shape) != 3 or shape[-1] is None or (input_shape is not None and input_shape != shape):
        raise ValueError(
            "`input_tensor` must have the shape (batch, height, width, channels), with a known number of channels, and "
            f"`input_shape`, if given, must be the same. Received: input_tensor of shape {tuple(input_tensor.shape)}, "
            f"input_shape={input_shape}"
        )
    return input_tensor


def known_size(image, default_shape):
    """Returns (height, width) of an input, with the family's default for what is unknown."""
    return tuple(size or default for size, default in zip(image.shape[1:3], default_shape[:2], strict=True))


def classification_model(
    image, features, *, include_top, weights, pooling, classes, classifier_activation, name, dropout_rate=0
):
    """Returns the model with a classifier, or without a top with the pooling, on top of `features`.

    The arguments are those of the builders; the input is the source of `image`, and `dropout_rate` is that before the
    classifier.
    """
    outputs = features
    dropout_rate = _arguments.dropout("dropout_rate", dropout_rate)
    if include_top:
        outputs = layers.GlobalAveragePooling2D(name="average_pool")(features)
        if dropout_rate:
            # The shape is that of the inputs; without it, Keras does not seed dropout on PyTorch.
            outputs = layers.Dropout(dropout_rate, noise_shape=(None, None), name="top_dropout")(outputs)
        # In float32 whatever the network's precision, so that softmax and loss are float32 too.
        outputs = layers.Dense(classes, activation=classifier_activation, dtype="float32", name="predictions")(outputs)
    elif pooling == "avg":
        outputs = layers.GlobalAveragePooling2D(name="average_pool")(features)
    elif pooling == "max":
        outputs = layers.GlobalMaxPooling2D(name="max_pool")(features)
    sources = keras.utils.get_source_inputs(image)
    model = keras.Model(sources[0] if len(sources) == 1 else sources, outputs, name=name)
    model.pyramid_outputs = pyramid_outputs(model)
    has_new_head, model.has_new_attention = load_weights(model, weights, include_top) if weights else (False, False)
    model.has_new_weights = has_new_head or model.has_new_attention
    model.weights_info = weights and weights.info
    return model


def pyramid_outputs(model):
    """Returns the feature maps of a network at each resolution: Keras tensors by level, with "P3" at an eighth.

    The networks of builders have them as the attribute `pyramid_outputs`. This function also finds them in a network
    that was loaded from a file or copied, which is a plain `keras.Model`: the builders name the last layer at stride
    2 ** n "Pn", as feature pyramids do.

    Args:
        model: a network of this library, or another one with that attribute.
    """
    known = getattr(model, "pyramid_outputs", None)
    return dict(known) if known else {layer.name: layer.output for layer in model.layers if is_level(layer.name)}


def is_level(name):
    """Whether a name of a layer is that of a level of a pyramid."""
    return re.fullmatch(r"P\d", name) is not None


@keras.saving.register_keras_serializable("aa_keras")
class PyramidModel(keras.Model):
    """Reads the files of networks of the first versions, which were saved as models of this class."""

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return keras.Model.from_config(config, custom_objects)
