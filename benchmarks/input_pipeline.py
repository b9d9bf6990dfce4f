"""The training pipelines on one core: ImageNet's, compared with bare decoding of the same JPEGs, and CIFAR-100's.

    python benchmarks/input_pipeline.py --folder=FOLDER      # of class folders of JPEGs

It measures in turns `tf.io.decode_jpeg` alone, for whole images; the pipeline of `train.py`, with random crops that are
decoded in part, resized to 224x224, mirrored and normalized; and that of evaluation. Without a folder, and without
`imagenet_samples` in the folder AA_KERAS_DATA, it generates photographs of 500x375 pixels. CIFAR-100's images, which
are in memory, are flipped, shifted and normalized one by one; the comparison only picks them.
"""

import json
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if hasattr(os, "sched_setaffinity"):  # before TensorFlow counts cores
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

from absl import app, flags

FOLDER = flags.DEFINE_string("folder", None, "Folder of class folders of JPEGs.")
IMAGES = flags.DEFINE_integer("images", 2000, "Images that each pipeline shows in a turn.", lower_bound=32)
OUTPUT = flags.DEFINE_string("output", "benchmarks/results", "Folder of input_pipeline.json.")
TURNS = flags.DEFINE_integer("turns", 3, "Turns, of which the best counts.", lower_bound=1)


def main(_):
    import measure
    import tensorflow as tf

    from aa_keras.applications.datasets import IMAGENET
    from aa_keras.data import Preprocessing, evaluation_dataset, load_dataset, training_dataset

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        examples = load_dataset("image_folder", folder(temporary), image_size=224, test_split="train").train
        steps = max(1, IMAGES.value // 32)
        batch_size = min(32, len(examples))
        preprocessing = Preprocessing(IMAGENET.mean, IMAGENET.std, horizontal_flip=True, image_size=224)
        epochs = range(-(-steps * batch_size // len(examples)))
        files = examples.records().map(lambda index, name, content, label: content)
        decoded = files.map(lambda content: tf.io.decode_jpeg(examples.read(content), channels=3))
        per_epoch = len(examples) // batch_size
        pipelines = {  # and images in an element
            "bare tf.io.decode_jpeg": (decoded.repeat(), 1),
            "training pipeline": (
                training_dataset(examples, preprocessing, batch_size, per_epoch, 0, epochs),
                batch_size,
            ),
            "evaluation pipeline": (evaluation_dataset(examples, preprocessing, batch_size).repeat(), batch_size),
        }
        best = dict.fromkeys(pipelines, 0.0)
        for _ in range(TURNS.value):
            for name, (pipeline, images) in pipelines.items():
                elements = iter(pipeline.take(steps * batch_size // images))
                next(elements)  # a warm-up
                begin = time.perf_counter()
                shown = images * sum(1 for _ in elements)
                best[name] = max(best[name], shown / (time.perf_counter() - begin))
    bare = best["bare tf.io.decode_jpeg"]
    print(f"{len(examples)} JPEGs, {measure.device()}")
    for name, rate in best.items():
        print(f"{name:26}{rate:8.1f} images a second {rate / bare:6.2f}x")
    small = small_images()
    for name, rate in small.items():
        print(f"{name:26}{rate:8.1f} images a second")
    output = pathlib.Path(OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    result = {"device": measure.device(), "images": len(examples), "images_per_second": {**best, **small}}
    (output / "input_pipeline.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def small_images(batch_size=256, batches=60):
    """Returns the images a second of CIFAR-100's pipeline, with random images."""
    import numpy as np
    import tensorflow as tf

    from aa_keras.applications.datasets import CIFAR100
    from aa_keras.data import LabelledImages, Preprocessing, training_dataset

    count, generator = batch_size * (batches + 1), np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), np.arange(count, dtype=np.int32)
    preprocessing = Preprocessing(CIFAR100.mean, CIFAR100.std, horizontal_flip=True, crop_padding=4)
    in_memory = tf.constant(images)
    picked = tf.data.Dataset.range(count).map(lambda index: in_memory[index]).batch(batch_size)
    augmented = training_dataset(LabelledImages(images, labels), preprocessing, batch_size, batches + 1, 0, range(1))
    rates = {}
    for name, pipeline in (("CIFAR-100, picking", picked), ("CIFAR-100, training", augmented)):
        for _ in range(TURNS.value):
            elements = iter(pipeline)
            next(elements)
            begin = time.perf_counter()
            shown = batch_size * sum(1 for _ in elements)
            rates[name] = max(rates.get(name, 0), shown / (time.perf_counter() - begin))
    return rates


def folder(temporary):
    """Returns the folder to read: that of the flag, that of AA_KERAS_DATA, or generated photographs."""
    at_hand = pathlib.Path(os.environ.get("AA_KERAS_DATA", "missing")) / "imagenet_samples"
    if FOLDER.value or at_hand.is_dir():
        return FOLDER.value or str(at_hand)
    import numpy as np
    import tensorflow as tf

    generator = np.random.default_rng(0)
    for index in range(64):
        coarse = generator.integers(0, 256, (24, 32, 3))
        image = tf.image.resize(coarse, (375, 500)) + generator.normal(scale=12, size=(375, 500, 3))
        path = pathlib.Path(temporary, "ab"[index % 2], f"{index}.jpg")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8), quality=90).numpy())
    return temporary


if __name__ == "__main__":
    app.run(main)
