"""Conversion of the checkpoints of other libraries."""

from .checkpoints import is_checkpoint, read_checkpoint
from .timm import TimmRules, convert

__all__ = ["TimmRules", "convert", "is_checkpoint", "read_checkpoint"]
