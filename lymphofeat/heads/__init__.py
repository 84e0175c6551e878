"""What turns a patient's bag and clinical row into a probability."""

from .base import Head, Memo, Split, fit_predict
from .clinical import ClinicalFeatures
from .cut import best_cut, prior_cut, steady_cut
from .linear import PooledLogistic
from .pooling import POOLINGS, pool

__all__ = [
    "POOLINGS",
    "ClinicalFeatures",
    "Head",
    "Memo",
    "PooledLogistic",
    "Split",
    "best_cut",
    "fit_predict",
    "pool",
    "prior_cut",
    "steady_cut",
]
