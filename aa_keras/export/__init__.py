"""Trained networks: exported as SavedModel, ONNX or LiteRT, and ready to predict."""

from aa_keras.export.classification_spec import ClassificationSpec
from aa_keras.export.detection_spec import DetectionSpec
from aa_keras.export.exporting import ExportReport, export_model, export_servable
from aa_keras.export.loading import load_predictor
from aa_keras.export.prediction import Prediction
from aa_keras.export.predictor import Predictor
from aa_keras.export.servable import Servable, servable_for
from aa_keras.export.spec import ServingSpec

__all__ = [
    "ClassificationSpec",
    "DetectionSpec",
    "ExportReport",
    "Prediction",
    "Predictor",
    "Servable",
    "ServingSpec",
    "export_model",
    "export_servable",
    "load_predictor",
    "servable_for",
]
