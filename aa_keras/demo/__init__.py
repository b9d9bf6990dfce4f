"""A page to try a trained network: functions of a predictor, laid out by Gradio, which the extra `demo` installs."""

from aa_keras.demo.functions import PageFunctions
from aa_keras.demo.serving import running, serve

__all__ = ["PageFunctions", "running", "serve"]
