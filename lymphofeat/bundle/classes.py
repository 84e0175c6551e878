"""The classes that a bundle may hold objects of: a list, not a search. A name outside it is never looked up.

Heads are of any class in the package `lymphofeat.heads` that says in an attribute `keeps` of its own, not an inherited
one, what it keeps of the training patients; they are found by walking the installed package, so that a new head file
needs no entry here. Everything else is named below. All are rebuilt without a call of `__init__` or `__setstate__`: an
empty object, and its attributes put back.

What a class keeps of the training patients, in attributes of its own that are not objects of another class here:

    "statistics"  numbers of all of them together: weights, means, variances, directions, its own arguments
    "values"      some numbers may be one patient's: medians, knots, thresholds of trees, steps of a calibration
    "rows"        rows of the table that it learnt from: the patients' data

A model keeps what the class that keeps most does.
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, get_args

from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process._gpc import _BinaryGaussianProcessClassifierLaplace
from sklearn.gaussian_process.kernels import ConstantKernel, Product
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from ..estimates.calibrators import CALIBRATORS
from ..estimates.conformal import Conformal
from ..heads.registry import foreign_heads

__all__ = ["FORMS_KEEP", "Keeps", "Known", "known_classes", "most_of", "name_of", "unknown_class"]

Keeps = Literal["statistics", "values", "rows"]

_HEADS = "lymphofeat.heads"


@dataclass(frozen=True)
class Known:
    """A class that may be rebuilt.

    Attributes:
        type: the class.
        keeps: what of the training patients; there is no default.
        dropped: attributes that predicting does not need and that are not data.
        finish: makes what was dropped again, if predicting does need it.
    """

    type: type
    keeps: Keeps
    dropped: frozenset[str] = frozenset()
    finish: Callable[[Any], None] | None = None

    def __post_init__(self) -> None:
        if self.keeps not in get_args(Keeps):
            raise TypeError(
                f"{self.type.__qualname__}.keeps is one of {', '.join(get_args(Keeps))}, not {self.keeps!r}"
            )


def _interpolate(regression: Any) -> None:
    thresholds = regression.X_thresholds_, regression.y_thresholds_
    increasing, bounds = regression.increasing_, regression.out_of_bounds
    # Of points that are in order already, a fit is their interpolation.
    regression.f_ = IsotonicRegression(increasing=increasing, out_of_bounds=bounds).fit(*thresholds).f_


_LIBRARIES = (
    Known(ConstantKernel, "statistics"),
    Known(GaussianProcessClassifier, "statistics"),
    Known(IsotonicRegression, "values", frozenset({"f_"}), _interpolate),
    Known(LinearDiscriminantAnalysis, "statistics"),
    Known(Pipeline, "statistics"),
    Known(Product, "statistics"),
    Known(SimpleImputer, "values"),
    Known(SplineTransformer, "values"),
    Known(StandardScaler, "statistics"),
    Known(_BinaryGaussianProcessClassifierLaplace, "rows", frozenset({"rng"})),
    Known(Conformal, "values"),
    # What heads of one's own are most often made of; what a tree keeps of single patients is in its form "tree".
    *(
        Known(forest, "statistics", frozenset({"_sample_weight"}))
        for forest in (RandomForestClassifier, ExtraTreesClassifier)
    ),
    *(
        Known(one, "statistics")
        for one in (DecisionTreeClassifier, ExtraTreeClassifier, GaussianNB, LogisticRegression, PCA)
    ),
    *(Known(calibrator, "statistics") for calibrator in CALIBRATORS.values()),
)

# The same of the codec's forms that are no objects of these classes.
FORMS_KEEP: Mapping[str, Keeps] = {"spline": "values", "tree": "values", "trees": "values"}


def known_classes() -> Mapping[str, Known]:
    """By the name that bundles use: "<module>.<class>" of this package and of heads that were added to it,
    "<library>.<class>" of a library.
    """
    foreign = {module for _, module in foreign_heads().values()}
    return {
        **_own_classes(),
        **{name_of(k.type): k for module in sorted(foreign) for k in _answering(module)},
    }


def _answering(module: str) -> Iterator[Known]:
    """The classes of a module that say what they keep."""
    for one in vars(import_module(module)).values():
        if inspect.isclass(one) and one.__module__ == module and "keeps" in vars(one):
            yield Known(one, vars(one)["keeps"])


@cache
def _own_classes() -> Mapping[str, Known]:
    found = {name_of(known.type): known for known in _LIBRARIES}
    for module in pkgutil.walk_packages(import_module(_HEADS).__path__, f"{_HEADS}."):
        if not module.ispkg:
            found |= {name_of(known.type): known for known in _answering(module.name)}
    return found


def unknown_class(one: type) -> str:
    """What to do so that objects of a class have a form; for the developer of a head."""
    if one.__module__.startswith(f"{_HEADS}.") or one.__module__ in {m for _, m in foreign_heads().values()}:
        return f"say in `{one.__name__}.keeps` what it keeps of the training patients (lymphofeat/bundle/classes.py)"
    return (
        "give the head the methods to_arrays and from_arrays (docs/adding-a-head.md), or add the class to "
        "lymphofeat/bundle/classes.py if its attributes are numbers and arrays"
    )


def most_of(answers: Iterable[Keeps]) -> Keeps:
    """What a whole keeps whose parts keep that."""
    return max(answers, key=get_args(Keeps).index, default="statistics")


def name_of(one: type) -> str:
    """What bundles call a class; a library may move a class from module to module."""
    kept = one.__module__.startswith("lymphofeat.") or "keeps" in vars(one)
    module = one.__module__ if kept else one.__module__.partition(".")[0]
    return f"{module}.{one.__qualname__}"
