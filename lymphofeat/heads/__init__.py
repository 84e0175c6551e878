"""What turns a patient's bag and clinical row into a probability."""

from .base import Head, Memo, Split, fit_predict
from .clinical import ClinicalFeatures
from .linear import PooledLogistic
from .pooled import PooledHead
from .pooling import POOLINGS, pool
from .registry import HeadFamily, families

__all__ = [
    "POOLINGS",
    "ClinicalFeatures",
    "Head",
    "HeadFamily",
    "Memo",
    "PooledHead",
    "PooledLogistic",
    "Split",
    "families",
    "fit_predict",
    "pool",
]
