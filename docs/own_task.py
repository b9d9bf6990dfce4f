# %% [markdown]
# # A task of your own
#
# Classification and detection are two tasks, and this file is a third one: a network that counts the dots in an image.
# It has what a served network returns, what an evaluation measures, and the task itself: data, loss and metric. The
# library does the rest. The file is also the recipe and the program. It trains in a minute on two CPU cores:
#
# ```sh
# # needs a clone
# python docs/own_task.py train --config=docs/own_task.py
# python docs/own_task.py evaluate --workdir=runs/counting --report
# python docs/own_task.py export --workdir=runs/counting --format=onnx --output=runs/counting.onnx
# python docs/own_task.py predict --onnx=runs/counting.onnx IMAGES
# ```

# %%
import dataclasses
import os
from typing import ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import aa_keras  # noqa: F401, I001  before Keras, whose import is quiet then
import keras
import numpy as np
from matplotlib.figure import Figure

from aa_keras import data
from aa_keras.__main__ import main
from aa_keras.evaluation.results import Results
from aa_keras.export import ServingSpec
from aa_keras.files import write_json
from aa_keras.recipes import default_config
from aa_keras.tasks import Task

PREPROCESSING = data.Preprocessing(mean=(128.0,), std=(64.0,), image_size=(16, 16), central_fraction=1.0)


def draw(images, seed):
    """Returns noisy images with up to nine dots, whose number is the label."""
    random = np.random.default_rng(seed)
    pixels, counts = random.integers(0, 100, (images, 16, 16, 1)), random.integers(0, 10, images)
    for image, count in zip(pixels, counts, strict=True):
        for place in random.choice(64, count, replace=False):
            row, column = 2 * (place // 8), 2 * (place % 8)
            image[row : row + 2, column : column + 2] = random.integers(180, 256)
    return data.LabelledImages(pixels.astype("uint8"), counts.astype("float32")[:, None])


# %% [markdown]
# The output of a served network, and the rows of its predictions in a table, CSV or JSON. `ServingSpec` preprocesses
# images and compares exports with their networks. Each export contains it.


# %%
@dataclasses.dataclass(frozen=True)
class CountingSpec(ServingSpec):
    task: ClassVar = "counting"
    outputs: ClassVar = ("count",)
    columns: ClassVar = ("image", "count")

    def rows(self, predictions, top):
        for each in predictions:
            yield each.image, float(each.outputs["count"][0])


# %% [markdown]
# The results of an evaluation: a phrase, the numbers of `result.json`, and files.


# %%
@dataclasses.dataclass(frozen=True)
class CountingResults(Results):
    counts: np.ndarray
    predicted: np.ndarray
    FILES: ClassVar = ("counts.png", "evaluation.json")

    def summary(self):
        return f"wrong by {self.numbers()['error']:.3f} dots on average ({len(self.counts):,} images)"

    def numbers(self):
        return {"error": float(np.abs(self.counts - self.predicted).mean()), "test_examples": len(self.counts)}

    def save(self, folder):
        write_json(folder / "evaluation.json", self.numbers())
        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 9], [0, 9], color="gray")
        axes.scatter(self.counts, self.predicted, s=8)
        axes.set(xlabel="dots", ylabel="predicted")
        figure.savefig(folder / "counts.png", dpi=120)


# %% [markdown]
# The task. `best_metric` chooses `best.keras`; higher is better. `metrics` are fields of `result.json`, as printed.


# %%
class Counting(Task):
    spec_type = CountingSpec
    results_type = CountingResults
    best_metric = "r2"
    metrics: ClassVar = {"error": "wrong by {:.3f} dots on average"}
    curves: ClassVar = {"Squared error": {"training": "loss", "validation": "val_loss"}, "R2": {"": "val_r2"}}

    def load(self, for_test_alone=False):
        return data.ImageDataset("dots", (), draw(2000, seed=1), draw(400, seed=2), draw(400, seed=3))

    def training_batches(self, epochs, steps_per_epoch, shard):
        sizes = (self.config.batch_size, steps_per_epoch, self.config.seed)
        return data.training_dataset(self.dataset.train, PREPROCESSING, *sizes, epochs, shard=shard)

    def validation_batches(self, shard):
        return data.validation_dataset(
            self.dataset.validation, PREPROCESSING, self.config.batch_size, None, shard=shard
        )

    def training_model(self):
        return self.inference_model(self.config.weights)

    def inference_model(self, weights=None):
        return self.build(weights, input_shape=(16, 16, 1), classes=1, classifier_activation=None)

    def compile(self, model, optimizer, jit_compile):
        metrics = [keras.metrics.R2Score(name="r2")]
        model.compile(optimizer, keras.losses.MeanSquaredError(), weighted_metrics=metrics, jit_compile=jit_compile)

    def evaluate(self, model):
        batches = data.evaluation_dataset(self.dataset.test, PREPROCESSING, self.config.batch_size)
        return CountingResults(self.dataset.test.labels[:, 0], model.predict(batches, verbose=0)[:, 0])

    def evaluate_export(self, predictor):
        outputs = predictor.predict(self.dataset.test.images)
        return CountingResults(self.dataset.test.labels[:, 0], np.array([each["count"][0] for each in outputs]))

    def spec(self, model, fingerprint):
        return CountingSpec((), model.input_shape[1:], PREPROCESSING)


# %%
def get_config():
    config = default_config()
    config.update(name="counting", task="counting", dataset="dots", builder="AAWideResNet", epochs=4, batch_size=50)
    config.update(builder_arguments={"depth": 10, "width": 1}, optimizer="adam", learning_rate_per_256=0.02)
    return config


if __name__ == "__main__":
    main()
