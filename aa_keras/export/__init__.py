"""Trained models in the formats of others."""

from aa_keras.export.saved_model import export_saved_model, load_saved_model

__all__ = ["export_saved_model", "load_saved_model"]
