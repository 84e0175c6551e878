"""What turns a patient's bag and clinical row into a probability."""

from .base import FitCache, Head, Split, fit_predict
from .clinical import ClinicalFeatures
from .linear import PooledLogistic
from .pooled import PooledHead
from .pooling import POOLINGS, pool
from .registry import HeadType, head_types

__all__ = [
    "POOLINGS",
    "ClinicalFeatures",
    "FitCache",
    "Head",
    "HeadType",
    "PooledHead",
    "PooledLogistic",
    "Split",
    "fit_predict",
    "head_types",
    "pool",
]
