"""Nested cross-validation: the whole tuning repeated inside every outer fold, and what its predictions are worth."""

from .engine import nested
from .permutation import Permutation, permutation_test
from .result import Nested, NestedFold

__all__ = ["Nested", "NestedFold", "Permutation", "nested", "permutation_test"]
