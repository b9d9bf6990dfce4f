"""What every model family needs: checked arguments, an input, normalised convolutions, a classifier, weights."""

import os
import re

import keras
from keras import layers

from aa_keras.applications import pretrained
from aa_keras.applications._weights import load_weights

POOLINGS = (None, "avg", "max")


_DOCUMENTATION = """

    Args:
        include_top: boolean, whether the model ends in a classifier.
        weights: None for random weights, the name of trained ones that `aa_keras.applications.pretrained` lists for
            the builder, or the path of a file of weights (`.weights.h5` or `.keras`) of the same network. Tables of
            relative positions for another image size are resized, and a log line says so; without a top, the file's
            number of classes does not matter.
        input_tensor: Keras tensor to use as the image input, or None.
        input_shape: (height, width, channels) of the images; height and width may be None. None takes {default_shape},
            or (None, None, 3) without a top. Tables of relative positions are made for this size, or for
            {default_shape} where it is unknown; smaller inputs use their centre, larger ones share their ends.
        pooling: without a top, what to make of the last feature map: None leaves it, "avg" and "max" pool it globally.
        classes: number of classes.
        classifier_activation: activation of the classifier; None returns logits.
        name: name of the model.
{more_arguments}        num_heads: (augmented networks, as all that follow) number of attention heads.
        key_ratio: the paper's kappa, the depth of keys over the filters of the convolution.
        value_ratio: the paper's upsilon, the share of attention among the output channels; 1 leaves no convolution.
        position_encoding: "relative", "sinusoidal", "coordinates" or None.
        attention_stages: tuple of the stages, of {stages}, that are augmented; or "auto", for as many, from the
            last backwards, as fit `attention_budget`.
        attention_pooling: stride of an average pooling before attention in the first of these stages.
        implementation: how attention is computed, "auto", "dense", "blockwise" or "fused": see `SelfAttention2D`.
        attention_budget: with `attention_stages="auto"`, the bytes that attention may take in training, for each image
            of a batch, as `aa_keras.memory.attention_memory` estimates them; else None.

    Returns:
        A `keras.Model` of images that went through `preprocess_input`, with outputs of shape (batch, classes), or
        {output_shape} without top and pooling. Its `pyramid_outputs` are the
        outputs of the stages, {pyramid}.

    Raises:
        ValueError: for an argument out of its range, for `pooling` beside a top, for an `input_shape` that is not that
            of `input_tensor`, and for weights of another network, naming the first difference.
    """


def document(builders, **family):
    """Appends to the docstring of each builder the arguments that all of them share."""
    for builder in builders:
        builder.__doc__ += _DOCUMENTATION.format(**family)


def convolution(inputs, filters, kernel_size, strides, name):
    """Applies a convolution without bias, since batch normalisation follows."""
    return layers.Conv2D(
        filters, kernel_size, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(inputs)


def batch_normalization(inputs, name, momentum=0.9, epsilon=1e-5):
    """Normalises a batch, by default with the momentum and epsilon of the paper's ResNets."""
    return layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=name)(inputs)


def image_input(input_tensor, input_shape, default_shape, include_top):
    """Returns the tensor that a model starts from.

    Args:
        input_tensor: Keras tensor (output of `keras.Input` or of another layer), or None to make one.
        input_shape: (height, width, channels) without the batch; height and width may be None. None takes
            `default_shape`, or its channels alone where the model has no top, as in `keras.applications`.
        default_shape: (height, width, channels) of the family.
        include_top: whether the model has a classifier.

    Raises:
        ValueError: for a shape of another form, or one that disagrees with that of the tensor, and where Keras is set
            to channels-first images.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            'The models take channels-last images: call keras.config.set_image_data_format("channels_last") first. '
            f"Received: image_data_format={keras.config.image_data_format()!r}"
        )
    if input_shape is not None:
        is_shape = isinstance(input_shape, (tuple, list)) and len(input_shape) == 3 and input_shape[-1] is not None
        if not is_shape or not all(size is None or (isinstance(size, int) and size > 0) for size in input_shape):
            raise ValueError(
                "`input_shape` must be a tuple (height, width, channels) of positive integers, height and width of "
                f"which may be None. Received: input_shape={input_shape!r}"
            )
        input_shape = tuple(input_shape)
    if input_tensor is None:
        unknown_size = (None, None, default_shape[-1])
        return keras.Input(input_shape or (default_shape if include_top else unknown_size))
    if not keras.backend.is_keras_tensor(input_tensor):
        raise ValueError(
            "`input_tensor` must be a Keras tensor, the output of `keras.Input` or of a layer. "
            f"Received: input_tensor={input_tensor!r}"
        )
    tensor_shape = tuple(input_tensor.shape[1:])
    if len(tensor_shape) != 3 or (input_shape is not None and input_shape != tensor_shape):
        raise ValueError(
            "`input_tensor` must have the shape (batch, height, width, channels), and `input_shape`, where given, must "
            f"be its. Received: input_tensor of shape {tuple(input_tensor.shape)}, input_shape={input_shape}"
        )
    return input_tensor


def known_size(image, default_shape):
    """Returns (height, width) of an input, the family's default standing in for what is unknown."""
    return tuple(size or default for size, default in zip(image.shape[1:3], default_shape[:2], strict=True))


def strided(size, stride):
    """Returns (height, width) divided by the stride of a "same" convolution, rounded up."""
    return tuple(-(-length // stride) for length in size)


def classification_model(
    image, features, include_top, weights, pooling, classes, classifier_activation, name, dropout_rate=0
):
    """Returns the model of a classifier, or without a top of the pooling asked for, on top of `features`.

    The arguments are those of the builders; the input is the source of `image`, and `dropout_rate` holds before the
    classifier.
    """
    _check_arguments(include_top, weights, pooling, classes)
    outputs = features
    if include_top:
        outputs = layers.GlobalAveragePooling2D(name="average_pool")(features)
        if dropout_rate:
            outputs = layers.Dropout(dropout_rate, name="top_dropout")(outputs)
        # In float32 whatever the network's precision, so that softmax and loss are.
        outputs = layers.Dense(classes, activation=classifier_activation, dtype="float32", name="predictions")(outputs)
    elif pooling == "avg":
        outputs = layers.GlobalAveragePooling2D(name="average_pool")(features)
    elif pooling == "max":
        outputs = layers.GlobalMaxPooling2D(name="max_pool")(features)
    sources = keras.utils.get_source_inputs(image)
    model = PyramidModel(sources[0] if len(sources) == 1 else sources, outputs, name=name)
    if weights is not None:
        load_weights(model, weights, include_top)
    return model


@keras.saving.register_keras_serializable("aa_keras")
class PyramidModel(keras.Model):
    """A functional model that knows its feature maps of each resolution.

    The builders name the last layer at stride 2 ** n "Pn", as feature pyramids do.
    """

    @property
    def pyramid_outputs(self):
        """Dictionary of the stages' outputs, Keras tensors, by level: "P3" has an eighth of the image's resolution."""
        return {layer.name: layer.output for layer in self.layers if re.fullmatch(r"P\d", layer.name)}


def _check_arguments(include_top, weights, pooling, classes):
    """Raises ValueError for what `keras.applications` raises for, and for a `pooling` that it would ignore."""
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be None, 'avg' or 'max'. Received: pooling={pooling!r}")
    if include_top and pooling is not None:
        raise ValueError(
            "`pooling` is for models without a classifier: pass `include_top=False` or leave it out. "
            f"Received: pooling={pooling!r}, include_top={include_top}"
        )
    if include_top and (isinstance(classes, bool) or not isinstance(classes, int) or classes < 1):
        raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")
    if weights is not None and not (isinstance(weights, (str, os.PathLike)) and os.path.isfile(weights)):
        raise ValueError(
            "`weights` must be None, the path of a file of weights (.weights.h5 or .keras) that exists, or the name of "
            f"trained ones ({pretrained.listed()}). Received: weights={weights!r}"
        )
