"""How much of what a network knew is left after `aa_keras.augment`, and after fine-tuning: handwritten digits.

python benchmarks/augment_digits.py        # three minutes on two cores; writes benchmarks/results/augment_digits.json

A small network is trained with and without batch normalization, augmented, and trained on. Accuracies are means over
`SEEDS` of the test images.
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import aa_keras

RESULT = pathlib.Path(__file__).parent / "results" / "augment_digits.json"
SEEDS = range(3)
RATIOS = (0.1, 0.25)
EPOCHS = 30
FINE_TUNING = 5


def main():
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 8 - 1).reshape(-1, 8, 8, 1).astype("float32")
    data = train_test_split(pixels, labels, test_size=0.5, random_state=0)
    rows = []
    for normalized in (True, False):
        for ratio in RATIOS:
            measured = np.mean([accuracies(normalized, ratio, seed, *data) for seed in SEEDS], axis=0)
            names = ("trained", "augmented", "fine_tuned")
            row = {
                "batch_normalization": normalized,
                "value_ratio": ratio,
                **dict(zip(names, map(float, measured), strict=True)),
            }
            print(row, flush=True)
            rows.append(row)
    RESULT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def network(normalized):
    image = maps = keras.Input((8, 8, 1))
    for number, filters in enumerate((16, 32, 32), 1):
        maps = keras.layers.Conv2D(filters, 3, padding="same", name=f"convolution{number}")(maps)
        maps = keras.layers.BatchNormalization()(maps) if normalized else maps
        maps = keras.layers.ReLU()(maps)
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(maps)))


def accuracies(normalized, ratio, seed, pixels, test_pixels, labels, test_labels):
    """Returns the test accuracy of a network, of its augmented copy, and of that after fine-tuning."""
    keras.utils.set_random_seed(seed)
    model = network(normalized)

    def trained(model, epochs, rate):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        model.fit(pixels, labels, epochs=epochs, batch_size=32, verbose=0)
        return model.evaluate(test_pixels, test_labels, verbose=0, return_dict=True)["accuracy"]

    before = trained(model, EPOCHS, 3e-3)
    augmented = aa_keras.augment(model, num_heads=2, value_ratio=ratio)
    after = trained(augmented, 0, 1e-3)
    return before, after, trained(augmented, FINE_TUNING, 1e-3)


if __name__ == "__main__":
    main()
