"""What turns a patient's bag and clinical row into a probability."""

from typing import TYPE_CHECKING

from ..cache.pooling import POOLINGS, pool
from ..lazy import loaded_when_asked_for
from .registry import HeadType, TrialLike, head_types, register

if TYPE_CHECKING:  # what `_HOMES` says, for type checkers and editors
    from .base import FitCache, Head, Split, fit_predict
    from .clinical import ClinicalFeatures
    from .design import Design
    from .linear import Logistic
    from .pooled_head import PooledHead, pooled, suggest_pooled

# What needs scikit-learn, which takes a second or two to import.
_HOMES = {
    "ClinicalFeatures": ".clinical",
    "Design": ".design",
    "FitCache": ".base",
    "Head": ".base",
    "Logistic": ".linear",
    "PooledHead": ".pooled_head",
    "Split": ".base",
    "fit_predict": ".base",
    "pooled": ".pooled_head",
    "suggest_pooled": ".pooled_head",
}

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

__getattr__ = loaded_when_asked_for(__name__, _HOMES)
