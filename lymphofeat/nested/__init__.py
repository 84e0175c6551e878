"""Nested cross-validation: the whole tuning repeated inside every outer fold, and what its predictions are worth."""

from .engine import nested
from .result import Nested, NestedFold

__all__ = ["Nested", "NestedFold", "nested"]
