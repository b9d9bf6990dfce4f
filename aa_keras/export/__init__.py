"""Exports of trained networks: SavedModel, ONNX, LiteRT."""

from aa_keras.export.exporting import ExportReport, export_model, export_servable
from aa_keras.export.predictor import Predictor
from aa_keras.export.servable import Servable, servable_for
from aa_keras.export.spec import ServingSpec

__all__ = [
    "ExportReport",
    "Predictor",
    "Servable",
    "ServingSpec",
    "export_model",
    "export_servable",
    "servable_for",
]
