"""Stacked fusion: what the two heads say of held-out patients is weighed by a logistic regression."""

from functools import partial
from typing import Any

from ...cache.pooling import POOLINGS
from ..base import Head
from ..checks import Legal
from ..gaussian_process import HEAD_TYPE as GP
from ..inner import inner_folds
from ..linear import HEAD_TYPE as LOGISTIC
from ..registry import HeadType, TrialLike
from .parts import FIRST_PARTS, FusedHead, build_fused, suggest_parts
from .stacking import INNER_FOLDS, Stacking

__all__ = ["HEAD_TYPE", "StackedFusion"]


class StackedFusion(Stacking, FusedHead):
    """Logistic regression on the log odds of two heads (Wolpert 1992); other arguments as `FusedHead`.

    Args:
        C, inner_folds, random_state: as of `Stacking`.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(
        self,
        *,
        image: Head | None = None,
        clinical: Head | None = None,
        class_weight: str | None = None,
        C: float = 1.0,
        inner_folds: int = INNER_FOLDS,
        random_state: int = 0,
    ) -> None:
        super().__init__(image=image, clinical=clinical, class_weight=class_weight)
        self.C = C
        self.inner_folds = inner_folds
        self.random_state = random_state

    def _parameter_constraints(self) -> Legal:
        return super()._parameter_constraints() | self._constraints_of_stacking()


_PARTS = (LOGISTIC, GP)
# Those that need no axes of instances, which would be found anew in every inner fold.
_POOLINGS = tuple(sorted(POOLINGS))


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of stacked fusion to try."""
    return suggest_parts(draws, _PARTS, {"pooling": _POOLINGS}) | {
        "C": draws.suggest_float("C", 1e-2, 1e2, log=True)
    }


HEAD_TYPE = HeadType(
    name="stacked",
    summary="An image head and a clinical head, weighed by a logistic regression on inner held-out patients.",
    source="Wolpert, Stacked generalization, Neural Networks 5, 1992",
    cost="moderate",
    space=suggest,
    build=partial(build_fused, StackedFusion, _PARTS),
    default_params=({**FIRST_PARTS, "C": 1.0},),
    inputs=("both",),
    check=lambda clinical, y: inner_folds(clinical, y, INNER_FOLDS, 0),
    weighs_encodings=True,
    declared_values=True,
)
