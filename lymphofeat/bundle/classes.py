"""The classes that a bundle may hold objects of: a list, not a search. A name outside it is never looked up.

Heads are of any class that the package `lymphofeat.heads` defines, found by walking the installed package, so that a
new head file needs no entry here. Everything else is named below. All are rebuilt without a call of `__init__` or
`__setstate__`: an empty object, and its attributes put back.
"""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process._gpc import _BinaryGaussianProcessClassifierLaplace
from sklearn.gaussian_process.kernels import ConstantKernel, Product
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from ..estimates.calibrators import CALIBRATORS
from ..estimates.conformal import Conformal

__all__ = ["Known", "known_classes", "name_of"]

_HEADS = "lymphofeat.heads"


@dataclass(frozen=True)
class Known:
    """A class that may be rebuilt.

    Attributes:
        type: the class.
        dropped: attributes that predicting does not need and that are not data.
        finish: makes what was dropped again, if predicting does need it.
    """

    type: type
    dropped: frozenset[str] = frozenset()
    finish: Callable[[Any], None] | None = None


def _interpolate(regression: Any) -> None:
    regression._build_f(regression.X_thresholds_, regression.y_thresholds_)


_LIBRARIES = (
    Known(ConstantKernel),
    Known(GaussianProcessClassifier),
    Known(IsotonicRegression, frozenset({"f_"}), _interpolate),
    Known(LinearDiscriminantAnalysis),
    Known(Pipeline),
    Known(Product),
    Known(SimpleImputer),
    Known(SplineTransformer),
    Known(StandardScaler),
    Known(_BinaryGaussianProcessClassifierLaplace, frozenset({"rng"})),
    Known(Conformal),
    *(Known(calibrator) for calibrator in CALIBRATORS.values()),
)


@cache
def known_classes() -> Mapping[str, Known]:
    """By the name that bundles use: "<module>.<class>" of this package, "<library>.<class>" of another."""
    found = {name_of(known.type): known for known in _LIBRARIES}
    for module in pkgutil.walk_packages(import_module(_HEADS).__path__, f"{_HEADS}."):
        if not module.ispkg:
            for one in vars(import_module(module.name)).values():
                if inspect.isclass(one) and one.__module__ == module.name:
                    found[name_of(one)] = Known(one)
    return found


def name_of(one: type) -> str:
    """What bundles call a class; a library may move a class from module to module."""
    module = one.__module__ if one.__module__.startswith("lymphofeat.") else one.__module__.partition(".")[0]
    return f"{module}.{one.__qualname__}"
