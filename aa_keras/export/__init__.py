"""Exports of trained networks: SavedModel, ONNX, LiteRT."""

from aa_keras.export.classification_spec import ClassificationSpec
from aa_keras.export.detection_spec import DetectionSpec
from aa_keras.export.exporting import ExportReport, export_model, export_servable
from aa_keras.export.predictor import Predictor
from aa_keras.export.servable import Servable, servable_for
from aa_keras.export.spec import ServingSpec

__all__ = [
    "ClassificationSpec",
    "DetectionSpec",
    "ExportReport",
    "Predictor",
    "Servable",
    "ServingSpec",
    "export_model",
    "export_servable",
    "servable_for",
]
