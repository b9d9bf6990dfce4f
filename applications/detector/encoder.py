"""Networks of this library as backbones of KerasHub's detectors."""

import keras
import keras_hub
from keras import layers

from ..blocks import batch_normalization, convolution, dtype_policy, preprocessing, pyramid_outputs
from ..builders import BUILDERS
from ..datasets import COCO

# The coarsest level that a detector's pyramid takes from its backbone, and the channels of levels that this one lacks.
LAST_LEVEL, NEW_CHANNELS = 5, 256


@keras.saving.register_keras_serializable("aa_keras")
class PyramidEncoder(keras_hub.models.FeaturePyramidBackbone):
    """A network of this library without its classifier, as the backbone of KerasHub's detectors.

    Levels up to P5 that the network lacks, as Wide-ResNets do, are made from its last one: each by a 3x3 convolution of
    stride 2, with batch normalization and a ReLU, as RetinaNets make P6 and P7.

    Args:
        builder: name of its builder in `aa_keras.applications`, such as "AAResNet", or None if it has none.
        image_shape: (height, width, channels) of the images.
        arguments: dictionary, the builder's other arguments.
        network: the network itself, with its weights; None to build it.
        dtype: dtype policy of its layers, or None for the global one.
        **kwargs: arguments of `keras.Model`, such as `name`.
    """

    def __init__(self, builder, image_shape, arguments, network=None, dtype=None, **kwargs):
        with dtype_policy(dtype or keras.config.dtype_policy()):
            network = build_network(builder, image_shape, arguments) if network is None else network
            levels = _completed(pyramid_outputs(network))
        super().__init__(inputs=network.inputs[0], outputs=levels[max(levels)], dtype=dtype, **kwargs)
        self.pyramid_outputs = levels
        self.builder = builder
        self.image_shape = tuple(image_shape)
        self.arguments = dict(arguments)
        # A network without a builder is described whole.
        self.network_config = None if builder else keras.saving.serialize_keras_object(network)

    def get_config(self):
        ours = {"builder": self.builder, "image_shape": self.image_shape, "arguments": self.arguments}
        if self.network_config is not None:
            ours["network"] = self.network_config
        return {**super().get_config(), **ours}

    @classmethod
    def from_config(cls, config):
        if config.get("network") is not None:
            config = {**config, "network": keras.saving.deserialize_keras_object(config["network"])}
        return super().from_config(config)


def build_network(builder, image_shape, arguments, weights=None, **keywords):
    """Returns the network of a builder without a classifier.

    Args:
        builder: its name.
        image_shape: (height, width, channels) of the images.
        arguments: dictionary of its arguments; with "include_preprocessing", pixels from 0 to 255 are normalized as for
            all detectors, whatever images its family is for.
        weights: its weights, or None.
        **keywords: further arguments, such as `name`.
    """
    arguments = dict(arguments)
    image = keras.Input(tuple(image_shape))
    normalizes = arguments.pop("include_preprocessing", False)
    inputs = preprocessing(COCO.mean, COCO.std)(image) if normalizes else image
    return BUILDERS[builder](include_top=False, weights=weights, input_tensor=inputs, **arguments, **keywords)


def _completed(levels):
    """Returns the levels of a pyramid, Keras tensors by name, with those up to P5 that it lacks."""
    last = max(levels)
    x = levels[last]
    for level in range(int(last[1:]) + 1, LAST_LEVEL + 1):
        x = batch_normalization(convolution(x, NEW_CHANNELS, 3, 2, f"P{level}_conv"), f"P{level}_bn")
        x = levels[f"P{level}"] = layers.ReLU(name=f"P{level}")(x)
    return levels
