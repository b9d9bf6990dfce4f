"""Predicts with a trained network."""

import contextlib
import dataclasses
import itertools
import pathlib

from aa_keras.commands import resuming, trained, writers
from aa_keras.commands.images import report_skipped, write_examples
from aa_keras.data import Progress
from aa_keras.data.decoding import CorruptImageError, decode_image, displayed_and_stored
from aa_keras.data.image_files import find_images
from aa_keras.errors import UserError
from aa_keras.files import local_path

# The status of the program if images were skipped.
SKIPPED = 3


@dataclasses.dataclass
class Counts:
    """What became of the images.

    Attributes:
        read: number of those that were predicted.
        skipped: number of those that could not be read.
        empty: number of those with no box of a score of at least `min_score`.
    """

    read: int = 0
    skipped: int = 0
    empty: int = 0


def predict_images(
    paths: list[str],
    workdir: str | None = None,
    model: str | None = None,
    builder: str | None = None,
    weights: str | None = None,
    saved_model: str | None = None,
    onnx: str | None = None,
    litert: str | None = None,
    dataset: str | None = None,
    labels: str | None = None,
    top: int = 5,
    min_score: float = 0.5,
    output: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    draw: str | None = None,
    batch_size: int = 32,
    examples: str | None = None,
) -> Counts:
    """Prints what a trained network sees in images, or writes it: the most probable classes, or boxes.

    The arguments are the flags of `aa-keras predict`, of which exactly one names a network. `paths` are images and
    folders, which are searched at any depth. Images that cannot be read are named and skipped. `examples` is a folder
    to write three images into, which are predicted too if a flag names a network.

    From Python, `aa_keras.export.load_predictor` returns the predictions themselves.

    Returns:
        The `Counts` of the images.

    Raises:
        UserError: if the flags do not name a network, or no image can be read.
    """
    networks = {
        **{"workdir": workdir, "model": model, "builder": builder},
        **{"saved_model": saved_model, "onnx": onnx, "litert": litert},
    }
    only_examples = examples is not None and all(value is None for value in networks.values())
    network = None if only_examples else trained.named_network(**networks)
    if not paths and examples is None:
        raise UserError("an image, or a folder of images, must be given")
    trained.check_companions(builder, weights, model, dataset, labels)
    if not 0 <= min_score <= 1:
        raise UserError(f"--min_score must be a number from 0 to 1. Received: --min_score={min_score}")
    results = _checked_output(output, resume, overwrite)
    drawings = None if draw is None else pathlib.Path(local_path("--draw", draw))
    roots = [pathlib.Path(local_path("an image", path)) for path in paths]
    if examples is not None:
        roots.append(write_examples(local_path("--examples", examples)))
    if network is None:
        return Counts()
    images = find_images(roots)
    name, value = network
    predictor = trained.predictor_of_flags(name, value, weights, dataset, labels)
    if drawings is not None and not predictor.spec.draws:
        raise UserError(f"--draw is for detectors. Received: --draw={draw}, and a network for {predictor.spec.task}")
    targets = {} if drawings is None else dict(zip(images, _targets(drawings, images, roots), strict=True))
    for written, read in ((targets.values(), images), ([results] if results else [], roots)):
        for target in written:
            if target.exists() and any(target.samefile(image) for image in read):
                raise UserError(f"{target} is one of the images: choose another --draw or --output")
    start, writer = _writer(results, predictor.spec, images, top, batch_size, resume)
    counts = Counts()
    progress = Progress("Predicting", len(images) - start)
    with writer, progress if results is not None else contextlib.nullcontext():  # a table is its own progress
        for predictions in _predicted(predictor, images[start:], min_score, batch_size, targets, counts):
            if predictions:
                writer.write(predictions)
            progress.done = counts.read + counts.skipped
    if not counts.read and not start:
        raise UserError("none of the images can be read")
    _print_summary(predictor.spec, counts, results, drawings, min_score)
    return counts


def _checked_output(output, resume, overwrite):
    """Returns the path of the file for predictions, or None without one."""
    if output is None:
        if resume or overwrite:
            raise UserError("--resume and --overwrite go with --output, which must be given")
        return None
    path = pathlib.Path(local_path("--output", output))
    if path.suffix not in writers.FORMATS:
        raise UserError(f"--output must end in {', '.join(writers.FORMATS)}. Received: --output={output}")
    if resume and overwrite:
        raise UserError("--resume and --overwrite exclude each other: give one of them")
    if resume and path.suffix not in writers.GROWING:
        raise UserError(f"--resume must go with a file that ends in .csv or .jsonl. Received: --output={output}")
    if path.is_file() and not resume and not overwrite:
        raise UserError(f"{path} exists: --resume continues it, and --overwrite replaces it")
    return path


def _writer(path, spec, images, top, batch_size, is_resumed):
    """Returns how many of the images are done, and the writer of the predictions of the others."""
    if path is None:
        return 0, writers.Table(spec, top)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix not in writers.GROWING:
        return 0, writers.JsonFile(path, spec, top)
    resumed = resuming.resume(path, spec, images, batch_size) if is_resumed else None
    if resumed is None:
        return 0, writers.GrowingFile(path, spec, top)
    lacking = f", {resumed.lacking:,} of them without a line" if resumed.lacking else ""
    print(f"{path}: resuming after {resumed.images:,} of {len(images):,} images{lacking}")
    return resumed.images, writers.GrowingFile(path, spec, top, resumed)


def _predicted(predictor, images, min_score, batch_size, targets, counts):
    """Yields lists of `Prediction`s of the images that can be read, counts them, and draws those with `targets`."""
    spec = predictor.spec
    predictions = predictor.predict_files(images, batch_size)
    while batch := list(itertools.islice(predictions, batch_size)):
        readable = []
        for each in batch:
            if each.error is not None:
                _skip(each, counts)
                continue
            each = dataclasses.replace(each, outputs=spec.confident(each.outputs, min_score))
            counts.empty += spec.is_empty(each.outputs)
            if each.image in targets:
                _draw(spec, each, targets[each.image])
            readable.append(each)
        counts.read += len(readable)
        yield readable


def _skip(prediction, counts):
    """Reports and counts an image that cannot be read; raises UserError if its whole folder is gone."""
    folder = pathlib.Path(prediction.image).parent
    if not isinstance(prediction.error, CorruptImageError) and not folder.is_dir():
        raise UserError(f"The folder {folder} was removed while its images were read")
    report_skipped(prediction.image, prediction.error)
    counts.skipped += 1


def _draw(spec, prediction, target):
    """Draws what a network sees in an image, which is read once more: pictures take far longer than that."""
    encoded = pathlib.Path(prediction.image).read_bytes()
    image = displayed_and_stored(encoded)[0] if spec.turns_images else decode_image(encoded)
    target.parent.mkdir(parents=True, exist_ok=True)
    spec.draw(image, prediction.outputs, target)


def _print_summary(spec, counts, results, drawings, min_score):
    if drawings is not None:
        print(f"{drawings}: {counts.read:,} pictures")
    if counts.empty and (drawings is not None or results is not None):  # the table has a line for each
        print(
            f"{counts.empty:,} of {counts.read:,} images have no box with a score of at least {min_score} (--min_score)"
        )
    skipped = f", {counts.skipped:,} skipped" if counts.skipped else ""
    if results is not None or skipped:
        print(f"{'' if results is None else f'{results}: '}{counts.read:,} images read{skipped}")


def _targets(folder, images, roots):
    """Yields the files to draw images into: arranged as in the folders that were named, no two the same."""
    taken = set()
    for image in map(pathlib.Path, images):
        root = next((root for root in roots if root in image.parents), image.parent)
        wanted = folder / image.relative_to(root).with_suffix(".png")
        target, number = wanted, 2
        while target in taken:
            target, number = wanted.with_stem(f"{wanted.stem}_{number}"), number + 1
        taken.add(target)
        yield target
