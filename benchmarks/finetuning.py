"""Fine-tunes EfficientNet-Lite0 on three small data sets: which optimizer, and whether attention pays.

    AA_KERAS_DATA=FOLDER python benchmarks/finetuning.py      # an hour on two cores; the same command resumes

The network has ImageNet weights (docs/efficientnet_lite0.py has the packages). FOLDER has TensorFlow Datasets with
CIFAR-100, and BCCD as `bccd`; Fashion-MNIST is Debian's package. All runs have the recipe `finetune_image_folder`, as
many steps of 50 images, and no augmentation. First each optimizer gets the learning rate that does best on validation
images of Fashion-MNIST; then both optimizers are compared, and then the plain network with the augmented one, on test
images. It writes benchmarks/results/finetuning.json and prints the tables of docs/results.md.
"""

import itertools
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import PIL.Image
from sklearn.metrics import balanced_accuracy_score

import aa_keras
from aa_keras.configs import finetune_image_folder
from aa_keras.data.fashion_mnist import find_fashion_mnist, load_fashion_mnist
from aa_keras.files import write_json
from aa_keras.tasks import fine_tuning
from aa_keras.training.optimization import optimizer_for

sys.path.append(str(pathlib.Path(__file__).parents[1] / "docs"))
import efficientnet_lite0 as lite0

RESULT = pathlib.Path(__file__).parent / "results" / "finetuning.json"
DATA = pathlib.Path(os.environ.get("AA_KERAS_DATA", ""))
SIZE, BATCH, STEPS, TEST = 96, 50, 120, 2000
SEEDS = range(3)
RATES = {"sgd": (0.02, 0.1, 0.3), "adamw": (3e-4, 1e-3, 3e-3)}  # per 256
WEIGHT_DECAY = {"sgd": 1e-4, "adamw": 0.05}
# t of 95 % for three seeds, two degrees of freedom.
STUDENT = 4.303


def fashion_mnist():
    dataset = load_fashion_mnist(find_fashion_mnist(None))
    images, labels = dataset.train.images, dataset.train.labels
    parts = (images[:2000], labels[:2000]), (images[2000:3000], labels[2000:3000])
    return *parts, (dataset.test.images[:TEST], dataset.test.labels[:TEST])


def cifar100():
    """CIFAR-100 with its 20 superclasses."""
    import tensorflow_datasets as tfds

    train = tfds.load("cifar100", split="train[:6000]", data_dir=DATA / "tfds", batch_size=-1)
    test = tfds.load("cifar100", split=f"test[:{TEST}]", data_dir=DATA / "tfds", batch_size=-1)
    train, test = ((part["image"].numpy(), part["coarse_label"].numpy()) for part in (train, test))
    return *(tuple(values[chosen] for values in train) for chosen in (slice(5000), slice(5000, 6000))), test


def bccd():
    """Single blood cells: 1,500 of the training cells, drawn once, 500 of validation and the test cells."""
    parts = []
    for split, count in (("train", 1500), ("val", 500), ("test", TEST)):
        annotations = json.loads((DATA / "bccd" / "annotations" / f"instances_{split}.json").read_text())
        names = {image["id"]: image["file_name"] for image in annotations["images"]}
        boxes = [box for box in annotations["annotations"] if min(box["bbox"][2:]) >= 8]
        boxes = [boxes[index] for index in np.random.default_rng(0).permutation(len(boxes))[:count]]
        cells = np.stack([_cell(DATA / "bccd" / "images", names[box["image_id"]], box["bbox"]) for box in boxes])
        parts.append((cells, np.array([box["category_id"] - 1 for box in boxes])))
    return tuple(parts)


def _cell(folder, name, box):
    """Returns a box with a tenth of its size around it."""
    path = next(folder.rglob(name))
    left, top, width, height = box
    region = (left - width / 10, top - height / 10, left + 1.1 * width, top + 1.1 * height)
    return np.asarray(PIL.Image.open(path).convert("RGB").crop(region).resize((SIZE, SIZE)))


TASKS = {"fashion_mnist": fashion_mnist, "cifar100": cifar100, "bccd": bccd}


def prepared(examples):
    images, labels = examples
    images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    return lite0.normalize(keras.ops.image.resize(images, (SIZE, SIZE))), labels


def network(classes, weights, is_augmented):
    model = lite0.with_new_classifier(SIZE, classes, weights)
    if is_augmented:
        model = aa_keras.augment(model, lite0.is_augmented, num_heads=4, key_ratio=0.1, value_ratio=0.05)
        model.has_new_attention = True
    return model


def compiled(model, optimizer, rate):
    """Compiles a network with the recipe, an optimizer and a learning rate for 256 images."""
    config = finetune_image_folder.get_config()
    config.update(optimizer=optimizer, weight_decay=WEIGHT_DECAY[optimizer], batch_size=BATCH)
    config.learning_rate_per_256 = rate
    multipliers = fine_tuning.prepare(model, model.layers[:-1], config)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
    model.compile(optimizer_for(model, multipliers, config, STEPS), loss)
    return model


def run(task, weights, is_augmented, optimizer, rate, seed, part):
    """Trains a network, and returns its accuracies on the images of a part, "validation" or "test"."""
    train, *others = TASKS[task]()
    images, labels = prepared(train)
    classes = int(labels.max()) + 1
    keras.utils.set_random_seed(seed)
    model = compiled(network(classes, weights, is_augmented), optimizer, rate)
    order = np.random.default_rng(seed)
    chosen = np.concatenate([order.permutation(len(labels)) for _ in range(-(-STEPS * BATCH // len(labels)))])
    targets = keras.utils.to_categorical(labels, classes)
    for indices in chosen[: STEPS * BATCH].reshape(STEPS, BATCH):
        model.train_on_batch(images[indices], targets[indices])
    images, labels = prepared(others[("validation", "test").index(part)])
    predicted = model.predict(images, batch_size=100, verbose=0).argmax(axis=1)
    balanced = balanced_accuracy_score(labels, predicted)
    return {"top1": float(np.mean(predicted == labels)), "balanced_accuracy": float(balanced)}


def seconds_a_step(weights, turns=5, steps=8):
    """Returns the seconds of a step of the plain and of the augmented network, measured in turns: the least of each."""
    models = {name: compiled(network(20, weights, name == "augmented"), "adamw", 1e-3) for name in NETWORKS}
    images = np.random.default_rng(0).normal(size=(BATCH, SIZE, SIZE, 3)).astype("float32")
    targets = keras.utils.to_categorical(np.arange(BATCH) % 20, 20)
    least = dict.fromkeys(models, float("inf"))
    for turn, name in itertools.product(range(turns + 1), models):
        begin = time.perf_counter()
        for _ in range(steps):
            models[name].train_on_batch(images, targets)
        if turn:  # the first one compiles
            least[name] = min(least[name], (time.perf_counter() - begin) / steps)
    return least


NETWORKS = ("plain", "augmented")


class Runs:
    """The runs so far, in a file; `result` returns one, which is made if it is not there."""

    def __init__(self):
        self.results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        self._weights = None

    @property
    def weights(self):
        if self._weights is None:
            self._weights = lite0.convert(lite0.checkpoint(), lite0.efficientnet_lite0(224, 1000))
        return self._weights

    def result(self, name, function, *arguments):
        if name not in self.results:
            self.results[name] = function(*arguments)
            write_json(RESULT, self.results)
            print(f"{name}: {self.results[name]}", flush=True)
        return self.results[name]

    def trained(self, task, network_name, optimizer, rate, seed, part="test"):
        def make():
            return run(task, self.weights, network_name == "augmented", optimizer, rate, seed, part)

        return self.result(f"{task}, {network_name}, {optimizer}, {rate:g}, seed {seed}, {part}", make)


def described(values):
    """Returns the mean of three values in percent with the half width of its 95 % interval."""
    values = 100 * np.array(values)
    return f"{values.mean():.1f} +- {STUDENT * values.std(ddof=1) / len(values) ** 0.5:.1f}"


def main():
    runs = Runs()
    best, tested = {}, {}
    for optimizer, rates in RATES.items():
        scores = {rate: runs.trained("fashion_mnist", "plain", optimizer, rate, 100, "validation") for rate in rates}
        best[optimizer] = max(scores, key=lambda rate: scores[rate]["top1"])
    print("Learning rates for 256 images:", best)
    for task, optimizer in itertools.product(("fashion_mnist", "bccd"), RATES):
        tested[task, optimizer] = [runs.trained(task, "plain", optimizer, best[optimizer], seed) for seed in SEEDS]
        print(f"{task}, {optimizer}: {table_cells(tested[task, optimizer])}")
    scores = {name: [one["top1"] for key, ones in tested.items() if name in key for one in ones] for name in RATES}
    chosen = max(scores, key=lambda name: np.mean(scores[name]))
    for task in TASKS:
        of_task = [[runs.trained(task, name, chosen, best[chosen], seed) for seed in SEEDS] for name in NETWORKS]
        for name, ones in zip(NETWORKS, of_task, strict=True):
            print(f"{task}, {name}: {table_cells(ones)}")
        gains = [after["top1"] - before["top1"] for before, after in zip(*of_task, strict=True)]
        print(f"{task}, augmented - plain: {described(gains)}")
    print("Seconds a step:", runs.result("seconds a step", lambda: seconds_a_step(runs.weights)))


def table_cells(ones):
    return " | ".join(described([one[measure] for one in ones]) for measure in ("top1", "balanced_accuracy"))


if __name__ == "__main__":
    main()
