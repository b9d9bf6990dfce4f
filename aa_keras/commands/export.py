"""Exports a trained network."""

import re

import numpy as np

from aa_keras.commands import trained
from aa_keras.commands.images import read_images
from aa_keras.data.image_files import find_images
from aa_keras.errors import UserError
from aa_keras.export import ExportReport, export_servable
from aa_keras.export.check import IMAGES
from aa_keras.files import local_path

# The number of images to use, of a folder for calibration.
MOST_CALIBRATION = 300


def export_network(
    workdir: str | None = None,
    model: str | None = None,
    builder: str | None = None,
    weights: str | None = None,
    export_format: str = "saved_model",
    output: str | None = None,
    size: str | None = None,
    quantize: str = "none",
    calibration: str | None = None,
    images: str | None = None,
    dataset: str | None = None,
    labels: str | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Exports the network of a run, of a file or of a builder, and reports how close the export is to it.

    The arguments are the flags of `aa-keras export`, of which exactly one of the first three is given.

    Returns:
        The `ExportReport`, which is printed.

    Raises:
        UserError: if the flags do not name a network, or it cannot be exported in this way.
    """
    if output is None:
        raise UserError("--output must be given: the folder of a SavedModel, or a file, to write")
    output = local_path("--output", output)
    height_and_width = _parsed_size(size)
    servable = trained.servable_of_flags(workdir, model, builder, weights, dataset, labels)
    turn = servable.spec.turns_images
    looked_at = None if images is None else _sample("--images", images, IMAGES, turn)
    calibrating = None if calibration is None else _sample("--calibration", calibration, MOST_CALIBRATION, turn)
    with trained.naming_flags():
        report = export_servable(
            servable, output, export_format, height_and_width, quantize, calibrating, looked_at, tolerance, overwrite
        )
    print(report)
    return report


def _parsed_size(size):
    """Returns "192x256" as (192, 256), and "224" as (224, 224)."""
    if size is None:
        return None
    matched = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", size.strip().lower())
    if matched is None:
        raise UserError(f"--size must be HEIGHTxWIDTH, such as 192x256. Received: --size={size}")
    return int(matched[1]), int(matched[2] or matched[1])


def _sample(flag, folder, most, turn):
    """Returns at most `most` images of a folder, spread over it, turned as their EXIF data ask if `turn`."""
    paths = find_images([local_path(flag, folder)])
    chosen = [paths[index] for index in np.unique(np.linspace(0, len(paths) - 1, most).astype(int))]
    images = [image for _, image in read_images(chosen, turn)]
    if not images:
        raise UserError(f"{flag} must have an image that can be read. Received: {flag}={folder}")
    return images
