"""Predicts with a trained network."""

import itertools
import pathlib

from aa_keras.commands import answers, trained
from aa_keras.commands.images import read_images, write_examples
from aa_keras.data import Progress
from aa_keras.data.image_files import find_images
from aa_keras.errors import UserError
from aa_keras.export import Predictor
from aa_keras.files import local_path, require_writable, write_whole


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
    draw: str | None = None,
    batch_size: int = 32,
    examples: str | None = None,
) -> list[answers.Answered]:
    """Prints what a trained network sees in images: the most probable classes, or boxes.

    The arguments are the flags of `aa-keras predict`, of which exactly one names a network. `paths` are images and
    folders, which are searched at any depth. Corrupt images are named and skipped. `examples` is a folder to write
    three images into, which are predicted too if a flag names a network.

    Returns:
        An `aa_keras.commands.answers.Answered` for each image that could be read.

    Raises:
        UserError: if the flags do not name a network, or no image can be read.
    """
    exports = {"saved_model": saved_model, "onnx": onnx, "litert": litert}
    networks = {"workdir": workdir, "model": model, "builder": builder, **exports}
    given = [name for name, value in networks.items() if value is not None]
    if len(given) > 1 or (not given and examples is None):
        raise UserError(f"exactly one of {', '.join(f'--{name}' for name in networks)} must be given")
    if not paths and examples is None:
        raise UserError("an image, or a folder of images, must be given")
    trained.check_companions(builder, weights, model, dataset, labels)
    if not 0 <= min_score <= 1:
        raise UserError(f"--min_score must be a number from 0 to 1. Received: --min_score={min_score}")
    results = None if output is None else pathlib.Path(local_path("--output", output))
    if results is not None and results.suffix not in answers.FORMATS:
        raise UserError(f"--output must end in .csv or .json. Received: --output={output}")
    drawings = None if draw is None else pathlib.Path(local_path("--draw", draw))
    roots = [pathlib.Path(local_path("an image", path)) for path in paths]
    if examples is not None:
        roots.append(write_examples(local_path("--examples", examples)))
    if not given:
        return []
    images = find_images(roots)
    (kind,) = given
    if kind in exports:
        predictor = _predictor(kind, local_path(f"--{kind}", exports[kind]))
    else:
        predictor = trained.servable_of_flags(workdir, model, builder, weights, dataset, labels).predictor()
    if drawings is not None and not predictor.spec.draws:
        raise UserError(f"--draw is for detectors. Received: --draw={draw}, and a network for {predictor.spec.task}")
    targets = {} if drawings is None else dict(zip(images, _targets(drawings, images, roots), strict=True))
    for target in (*targets.values(), *([] if results is None else [results])):
        if target.exists() and any(target.samefile(image) for image in images):
            raise UserError(f"{target} is one of the images: choose another --draw or --output")
    if results is not None:
        results.parent.mkdir(parents=True, exist_ok=True)
        require_writable(results)
    answered = list(_ask(predictor, images, min_score, batch_size, targets))
    if not answered:
        raise UserError("none of the images can be read")
    if results is None:
        print(answers.table(predictor.spec, answered, top))
    else:
        _write(results, answers.FORMATS[results.suffix](predictor.spec, answered, top))
        print(f"{results}: {len(answered):,} images")
    if targets:
        print(f"{drawings}: {len(answered):,} pictures")
    empty = sum(predictor.spec.is_empty(each.answer) for each in answered)
    if empty and (targets or results is not None):  # the table has a line for each
        print(f"{empty:,} of {len(answered):,} images have no box with a score of at least {min_score} (--min_score)")
    return answered


def _write(path, text):
    """Writes the answers; where that fails, as on a full disk, they are printed."""
    try:
        write_whole(path, text)
    except OSError:
        print(text, end="")
        raise


def _ask(predictor, images, min_score, batch_size, targets):
    """Yields an `Answered` of each image that can be read, and draws it into its file in `targets`, if any."""
    with Progress("Predicting", len(images)) as progress:
        for batch in _batches(read_images(images, predictor.spec.turns_images), batch_size):
            for (file, image), answer in zip(batch, predictor.ask([image for _, image in batch]), strict=True):
                answer = predictor.spec.confident(answer, min_score)
                if targets:
                    targets[file].parent.mkdir(parents=True, exist_ok=True)
                    predictor.spec.draw(image, answer, targets[file])
                yield answers.Answered(str(file), image.shape[:2], answer)
            progress.done += len(batch)


def _predictor(kind, path) -> Predictor:
    """Returns the `Predictor` of the export that a flag of this name points to."""
    if kind == "saved_model":
        from aa_keras.export import saved_model

        return saved_model.load(path)
    if not pathlib.Path(path).is_file():
        raise UserError(f"--{kind} must be a file. Received: --{kind}={path}, which is none")
    if kind == "onnx":
        from aa_keras.export import onnx

        return onnx.load(path)
    from aa_keras.export import litert

    return litert.load(path)


def _targets(folder, images, paths):
    """Yields the files to draw images into: arranged as in the folders that were named, no two the same."""
    taken = set()
    for image in images:
        root = next((path for path in paths if path in image.parents), image.parent)
        wanted = folder / image.relative_to(root).with_suffix(".png")
        target, number = wanted, 2
        while target in taken:
            target, number = wanted.with_stem(f"{wanted.stem}_{number}"), number + 1
        taken.add(target)
        yield target


def _batches(examples, size):
    """Yields lists of `size` examples."""
    examples = iter(examples)
    while batch := list(itertools.islice(examples, size)):
        yield batch
