"""The check of an export: a fresh process runs it, with its own runtime alone, and its predictions are compared."""

import dataclasses
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from aa_keras.data import image_ops
from aa_keras.errors import UserError
from aa_keras.export import runtimes
from aa_keras.export.servable import drawn_images

# The number of images that an export is run on: the first alone, then all of them in batches.
IMAGES, BATCH = 12, 3


@dataclasses.dataclass(frozen=True)
class Agreement:
    """The agreement of the predictions of an export with those of its network.

    Attributes:
        images: number of images that it was run on.
        difference: the largest difference of a probability or of a box's confidence.
        same: share of images with the same best class, or of boxes that both find with the same class.
        compared: number of images, in batches of each size, or of boxes.
        in_words: `same` and `compared` in words.
        latency: seconds for one image, in the runtime of the export.
        keras_latency: seconds for the same image, in Keras.
    """

    images: int
    difference: float
    same: float
    compared: int
    in_words: str
    latency: float
    keras_latency: float


def images_for(servable, raw_images=None):
    """Returns images to run an export on, a list of uint8 arrays of one shape.

    Args:
        servable: the `Servable`.
        raw_images: iterable of raw images of any size. The first ones are taken, repeated if there are not enough for a
            batch. None takes random images.
    """
    height, width, channels = servable.at_fixed_size().spec.image_shape
    spec = servable.spec
    size = (height or 64, width or 64)
    if spec.takes_any_size and height:
        size = (height + height // 4, width + width // 3)  # another size, so that resizing is tested too
    if raw_images is None:
        return list(drawn_images(size, channels, IMAGES))
    chosen = list(itertools.islice(raw_images, IMAGES))
    chosen = list(itertools.islice(itertools.cycle(chosen), max(BATCH, len(chosen))))
    if spec.takes_any_size:
        return [np.asarray(image_ops.resize_and_centre_crop(image, size, 1.0)).astype(np.uint8) for image in chosen]
    return chosen


def compare(spec, export_format, path, images, predictions, predictor):
    """Returns the `Agreement` of an export with its network.

    Args:
        spec: the `ServingSpec` of the export.
        export_format: one of `runtimes.RUNTIMES`.
        path: the export.
        images: images that `images_for` returned.
        predictions: the network's predictions for them.
        predictor: the `Predictor` of the network, in Keras.

    Raises:
        UserError: if the runtime cannot run it, or its second signature disagrees with the first.
    """
    fitted, scales = zip(*map(spec.preprocess, images), strict=True)
    slices = [slice(0, 1), *(slice(start, start + BATCH) for start in range(0, len(images), BATCH))]
    batches = {str(number): np.stack(fitted[part]) for number, part in enumerate(slices)}
    found = _run(export_format, path, batches)
    pairs = []
    for number, part in enumerate(slices):
        for index, image in enumerate(range(len(images))[part]):
            outputs = {name: found[f"{number}/{name}"][index] for name in spec.outputs}
            pairs.append((predictions[image], spec.postprocess(outputs, images[image], scales[image])))
    _check_top(found, spec.class_names)
    one = np.stack([predictor.spec.preprocess(images[0])[0]])
    difference, same, compared = _compared(spec, pairs)
    return Agreement(
        len(images),
        difference,
        same,
        compared,
        spec.agreement(same, compared),
        float(found["latency"]),
        runtimes.latency(predictor.run, one),
    )


def compare_with_itself(predictor, images):
    """Returns how much a network's predictions differ between one image at a time and all at once.

    Three numbers, as in `Agreement`: the largest difference, the share that is the same, and the number compared.
    """
    one_by_one = [predictor.predict([image])[0] for image in images]
    return _compared(predictor.spec, zip(predictor.predict(images), one_by_one, strict=True))


def _run(export_format, path, batches):
    """Returns the predictions of an export for batches, from a separate process: a dictionary of arrays."""
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / name for name in ("batches.npz", "results.npz")]
        np.savez(files[0], **batches)
        # -P: it must not import the files next to it, such as onnx.py.
        program = [sys.executable, "-P", runtimes.__file__, export_format, str(path), *map(str, files)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        completed = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
        if completed.returncode:
            reason = (completed.stderr.strip().splitlines() or ["no reason was given"])[-1]
            raise UserError(f"The export cannot be run in a separate process: {reason[:300]}")
        with np.load(files[1]) as results:
            return dict(results)


def _check_top(found, class_names):
    if f"{runtimes.TOP_K}/labels" not in found:
        return
    labels = [label.decode("utf-8") for label in found[f"{runtimes.TOP_K}/labels"][0]]
    probabilities = found[f"{runtimes.TOP_K}/probabilities"][0]
    first = found["0/probabilities"][0]
    best = np.argsort(-first, kind="stable")[: len(labels)]
    if labels != [class_names[index] for index in best] or not np.allclose(probabilities, first[best], atol=1e-6):
        raise UserError(
            f"The signature {runtimes.TOP_K!r} of the export names {labels[0]!r}, and the first signature another class"
        )


def _compared(spec, pairs):
    """Returns the largest difference in pairs of predictions, the share that is the same, and the number of pairs."""
    differences, same, weights = zip(*(spec.compare(*pair) for pair in pairs), strict=True)
    compared = sum(weights)
    return max(differences), float(np.average(same, weights=weights)) if compared else 1.0, compared
