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
# # Attention-augmented convolutions in your own network
#
# This tutorial puts `AttentionAugmentedConv2D` into a small CNN, fine-tunes a network of the library at another
# resolution, shows what its heads look at, and exports it. The data are the handwritten digits that scikit-learn ships;
# it takes about a minute on two cores. Install the extra `train`, and run it as a script or, after `make docs`, as a
# notebook.

# %%
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits

from aa_keras import explain
from aa_keras.applications import AAWideResNet
from aa_keras.explain import figures
from aa_keras.explain.explorer import explorer_page
from aa_keras.export import export_model
from aa_keras.layers import AttentionAugmentedConv2D

EPOCHS = int(os.environ.get("TUTORIAL_EPOCHS", "20"))
OUTPUT = pathlib.Path("tutorial")
OUTPUT.mkdir(exist_ok=True)
keras.utils.set_random_seed(0)

# %% [markdown]
# ## The data
#
# 1,797 grey images of 8x8 pixels; the last 360 are for the test. Pixels go from 0 to 255, and are divided by 255 for
# the network.

# %%
digits = load_digits()
pixels = np.clip(digits.images * 16, 0, 255).astype("uint8")[..., None]
images = pixels.astype("float32") / 255
train, test = slice(None, -360), slice(-360, None)
print(images.shape)

# %% [markdown]
# ## The layer in place of `Conv2D`
#
# `key_ratio` and `value_ratio` are the paper's kappa and upsilon: here a quarter of the 32 output channels comes from
# attention over the whole map, the rest from a 3x3 convolution. Batch normalization follows the concatenation.

# %%
network = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        AttentionAugmentedConv2D(32, 3, num_heads=4, key_ratio=0.5, value_ratio=0.25, name="augmented"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)


def train_and_test(model, images, epochs, learning_rate):
    """Trains a classifier of the digits, and returns its accuracy on the test images."""
    steps = epochs * -(-len(images[train]) // 64)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    model.fit(images[train], digits.target[train], batch_size=64, epochs=epochs, verbose=0)
    return np.mean(np.argmax(model(images[test]), axis=-1) == digits.target[test])


print(f"A small CNN with attention: {train_and_test(network, images, EPOCHS, 0.01):.1%}")

# %% [markdown]
# ## A network of the library
#
# `AAWideResNet` takes any depth, width and image size. Attention runs in the first 3x3 convolution of each block.

# %%
small = AAWideResNet(10, 1, input_shape=(8, 8, 1), classes=10, num_heads=4, name="digits")
print(f"AA-Wide-ResNet-10-1 at 8x8: {train_and_test(small, images, EPOCHS, 0.01):.1%}")
small.save(OUTPUT / "digits.keras")

# %% [markdown]
# ## Fine-tuning at another resolution
#
# The tables of relative positions belong to the size of the maps. A builder resizes those of a file to its own size,
# with the offset of zero fixed, and says so; it takes all other weights unchanged.

# %%
large_pixels = np.rint(keras.ops.image.resize(pixels.astype("float32"), (16, 16))).astype("uint8")
large_images = large_pixels.astype("float32") / 255
options = {"input_shape": (16, 16, 1), "classes": 10, "num_heads": 4, "name": "digits_16x16"}
scratch = AAWideResNet(10, 1, **options)
print(f"At 16x16, an epoch from scratch: {train_and_test(scratch, large_images, 1, 0.01):.1%}")
large = AAWideResNet(10, 1, weights=str(OUTPUT / "digits.keras"), **options)
print(f"At 16x16, an epoch of fine-tuning: {train_and_test(large, large_images, 1, 0.01):.1%}")
if EPOCHS > 1:
    print(f"And {EPOCHS // 4} more: {train_and_test(large, large_images, EPOCHS // 4, 0.01):.1%}")

# %% [markdown]
# ## What its heads look at
#
# `attention_scores` returns a dictionary from layers to NumPy arrays (batch, heads, query height, query width, key
# height, key width); what a query gives to all keys sums to 1.

# %%
image = large_images[test][:1]
shown = large_pixels[test][0]
scores = explain.attention_scores(large, image)
for name, distances in explain.mean_attention_distance(scores).items():
    print(f"{name}: maps of {scores[name].shape[-2:]}, heads look {np.round(distances, 1)} pixels far")

# %% [markdown]
# Where four pixels look in each head of the first layer, and what speaks for the most probable class:

# %%
layer = next(iter(scores))
queries = [(3, 7), (8, 3), (8, 12), (12, 8)]
maps = explain.attention_at(large, image, queries, layers=[layer])[layer][0]
figures.plot_heads(shown, maps, queries, f"{layer} of {large.name}", OUTPUT / "heads.png")
probabilities = np.asarray(large(image))[0]
best = int(probabilities.argmax())
figures.plot_grad_cam(
    shown,
    explain.grad_cam(large, image, best),
    [f"{best} {probabilities[best]:.1%}"],
    "Grad-CAM",
    OUTPUT / "grad_cam.png",
)
rollout = explain.attention_rollout(scores)[0]
row, column = divmod(int(rollout.argmax()), rollout.shape[1])
print(f"Attention flows most to row {row} and column {column}")

# %% [markdown]
# All of it on one page, to explore in a browser:

# %%
predictions = [(str(number), probabilities[number]) for number in np.argsort(-probabilities)[:5]]
page = explorer_page(large, image, shown, predictions, "A digit", large.name)
(OUTPUT / "explorer.html").write_text(page, encoding="utf-8")

# %% [markdown]
# ## Export
#
# The SavedModel takes raw pixels, `uint8` from 0 to 255, and divides them by 255 itself: the export has a layer for it
# before the network. A separate process runs the export on images before it is written.

# %%
inputs = keras.Input((16, 16, 1))
outputs = large(keras.layers.Rescaling(1 / 255, name="preprocessing")(inputs))
servable = keras.Model(inputs, outputs, name="digits_of_pixels")
names = [str(number) for number in range(10)]
print(export_model(servable, OUTPUT / "saved_model", dataset="none", class_names=names, overwrite=True))
print(f"{OUTPUT}: {', '.join(sorted(path.name for path in OUTPUT.iterdir()))}")
