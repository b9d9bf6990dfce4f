"""Conversion of the checkpoints of other libraries."""

from .checkpoints import SUFFIXES, read_checkpoint
from .timm import TimmRules, convert

__all__ = ["SUFFIXES", "TimmRules", "convert", "read_checkpoint"]
