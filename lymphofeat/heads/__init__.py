"""What turns a patient's bag and clinical row into a probability."""

from .base import FitCache, Head, Split, fit_predict
from .clinical import ClinicalFeatures
from .design import Design
from .linear import Logistic
from .pooled import PooledHead, pooled
from .pooling import POOLINGS, pool
from .registry import HeadType, head_types

__all__ = [
    "POOLINGS",
    "ClinicalFeatures",
    "Design",
    "FitCache",
    "Head",
    "HeadType",
    "Logistic",
    "PooledHead",
    "Split",
    "fit_predict",
    "head_types",
    "pool",
    "pooled",
]
