"""What turns a patient's bag and clinical row into a probability."""

from ..cache.pooling import POOLINGS, pool
from .base import FitCache, Head, Split, fit_predict
from .clinical import ClinicalFeatures
from .design import Design
from .linear import Logistic
from .pooled import PooledHead, pooled, suggest_pooled
from .registry import HeadType, TrialLike, head_types, register

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
    "TrialLike",
    "fit_predict",
    "head_types",
    "pool",
    "pooled",
    "register",
    "suggest_pooled",
]
