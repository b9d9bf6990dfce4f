"""Metrics, pictures and reports of predictions."""
