"""Heads in bundles of before: a pooled head was one object with the arguments of its design and of its classifier."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sklearn.base import clone

from ..heads.boosting import BoostedTrees
from ..heads.design import Design
from ..heads.discriminant import ShrunkenLDA
from ..heads.fusion.mixture import GatedExperts
from ..heads.gaussian_process import GaussianProcess
from ..heads.linear import Logistic
from ..heads.pooled_head import PooledHead, pooled
from ..heads.svm import SupportVectorMachine

__all__ = ["FORMER"]


def _design(state: Mapping[str, Any]) -> Design:
    """A fitted design, which stood beside its unfitted one."""
    design: Design = clone(state["design"])
    for part in ("coordinates", "axes", "clinical", "size"):
        setattr(design, f"{part}_", state[part])
    return design


def _head(classifier: type, state: Mapping[str, Any], **arguments: Any) -> PooledHead:
    """A head, fitted or not: its arguments, and what `fit` learnt in names with a "_" at the end."""
    own = {k: v for k, v in state.items() if not k.endswith("_")}
    head = pooled(classifier, **own, **arguments, missing_indicator=True)
    if "classifier_" in state:
        head.design_, head.classes_ = state["design_"], state["classes_"]
        head.classifier_ = clone(head.classifier)
        head.classifier_.model_, head.classifier_.classes_ = state["classifier_"], state["classes_"]
    return head


# What bundles call a class that is gone: its attributes → the object of today.
FORMER: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "lymphofeat.heads.design.FittedDesign": _design,
    "lymphofeat.heads.linear.PooledLogistic": partial(_head, Logistic),
    "lymphofeat.heads.boosting.PooledXGBoost": partial(_head, BoostedTrees, rotate=False),
    "lymphofeat.heads.discriminant.PooledLDA": partial(_head, ShrunkenLDA),
    "lymphofeat.heads.gaussian_process.PooledGaussianProcess": partial(_head, GaussianProcess),
    "lymphofeat.heads.svm.PooledSVM": partial(_head, SupportVectorMachine),
    "lymphofeat.heads.fusion.mixture.MixtureOfExperts": partial(_head, GatedExperts),
}
