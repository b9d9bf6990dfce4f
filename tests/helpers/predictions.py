"""Predictions of the network that flags name."""

from aa_keras.commands import trained
from aa_keras.data.image_files import find_images
from aa_keras.export.loading import load_export


def predictions_of(paths, batch_size=32, **flags):
    """The `Prediction`s of the images that can be read among files and folders."""
    (kind, path), *_ = flags.items()
    if kind in ("saved_model", "onnx", "litert"):
        predictor = load_export(kind, path)
    else:
        predictor = trained.servable_of_flags(**flags).predictor()
    found = predictor.predict_files(find_images(paths), batch_size)
    return [each for each in found if each.error is None]
