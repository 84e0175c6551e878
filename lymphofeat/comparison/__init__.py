"""All pipelines of a cache and the control experiments, measured on the same folds."""

from .compare import compare
from .result import Comparison

__all__ = ["Comparison", "compare"]
