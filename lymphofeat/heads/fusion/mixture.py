"""A mixture of two experts: a gate says for each patient how far to trust the images.

    p(x) = g(x) · σ(a·u + a₀) + (1 − g(x)) · σ(b·v + b₀),    g(x) = σ(c·[u, v] + c₀)

with u the pooled features on their widest axes and v the clinical values (Jacobs et al., Neural Computation 3, 1991;
as Sahasrabudhe et al., IEEE JBHI 25, 2021, with linear experts on frozen features instead of networks). Trained
together by the likelihood of the mixture, by L-BFGS from the experts fitted apart and an even gate. L2 penalties hold
all weights near 0, the gate's intercept too, and the experts' intercepts near those fitted apart: without, one expert
would get every patient, or answer the same to all while the gate does its work. There may be several optima; the
start is always the same.
"""

from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from ..checks import Legal, check_params, is_above
from ..design import Design
from ..pooled_head import pooled, suggest_pooled
from ..registry import HeadType, PrefixedTrial, TrialLike
from ..regression import exact_regression
from ..table_classifier import TableClassifier

__all__ = ["HEAD_TYPE", "GatedExperts"]

Floats = NDArray[np.float64]

_ENOUGH = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-6}
_LEAST = 1e-12  # probabilities below have this logarithm


class GatedExperts(TableClassifier):
    """See the module; of a design with inputs="both" and no `cross`. Nothing is random.

    Args:
        C: inverse strength of the experts' L2 penalty, > 0.
        gate_C: the gate's, > 0; with a small one the gate is even, and the answer the average of both experts.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, *, C: float = 1.0, gate_C: float = 0.1) -> None:
        self.C = C
        self.gate_C = gate_C

    def fit(
        self, table: Floats, y: NDArray[np.int8], design: Design, sample_weight: Floats | None = None
    ) -> Self:
        """Learn from the (n, p) table of the training patients.

        Args:
            design: says which columns are clinical.

        Raises:
            InputError: the design has no columns for one of the experts, or products of both.
        """
        wrong = {"inputs": (design.inputs == "both", "'both'"), "cross": (design.cross is False, "False")}
        check_params(design, wrong)
        width = table.shape[1] - len(design.clinical_names)
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        first, centre = [], []
        for part in (table[:, :width], table[:, width:]):
            expert = exact_regression(self.C).fit(part, y, sample_weight=weights)
            first.append(np.append(expert.coef_[0], expert.intercept_))
            centre.append(np.append(np.zeros(part.shape[1]), expert.intercept_))
        even = np.zeros(table.shape[1] + 1)
        problem = _Likelihood(table, width, y, weights, self.C, self.gate_C, np.concatenate([*centre, even]))
        found = minimize(
            problem, np.concatenate([*first, even]), jac=True, method="L-BFGS-B", options=_ENOUGH
        )
        return self._fitted(_Mixture(found.x, width))

    def _parameter_constraints(self) -> Legal:
        return {
            "C": (is_above(self.C), "a finite number above 0"),
            "gate_C": (is_above(self.gate_C), "a finite number above 0"),
        }


class _Mixture:
    """The fitted mixture: its parameters a, a₀, b, b₀, c, c₀ in a row, and the width of u."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    def __init__(self, parameters: Floats, width: int) -> None:
        self.parameters, self.width = parameters, width

    def predict_proba(self, table: Floats) -> Floats:
        """(n, 2) float64."""
        p, q, g = _answers(self.parameters, table, self.width)
        mixed = g * p + (1 - g) * q
        return np.stack([1 - mixed, mixed], axis=1)


class _Likelihood:
    """The penalised negative log likelihood of the mixture, and its gradient; `centre` is where the penalty is 0."""

    def __init__(
        self, table: Floats, width: int, y: NDArray[np.int8], weights: Floats, c: float, gate_c: float,
        centre: Floats,
    ) -> None:  # fmt: skip
        self.table, self.width, self.malignant, self.weights = table, width, y == 1, weights
        self.decay = np.repeat([1 / c, 1 / gate_c], [table.shape[1] + 2, table.shape[1] + 1])
        self.centre = centre

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        p, q, g = _answers(parameters, self.table, self.width)
        mixed, away = g * p + (1 - g) * q, parameters - self.centre
        likelihood = np.maximum(np.where(self.malignant, mixed, 1 - mixed), _LEAST)
        value = -(self.weights * np.log(likelihood)).sum() + (self.decay * away**2).sum() / 2
        slope = -self.weights * np.where(self.malignant, 1, -1) / likelihood
        u, v = self.table[:, : self.width], self.table[:, self.width :]
        gradient = self.decay * away + np.concatenate(
            [
                _of_linear(u, slope * g * p * (1 - p)),
                _of_linear(v, slope * (1 - g) * q * (1 - q)),
                _of_linear(self.table, slope * (p - q) * g * (1 - g)),
            ]
        )
        return float(value), gradient


def _answers(parameters: Floats, table: Floats, width: int) -> tuple[Floats, Floats, Floats]:
    """Each (n,): the image expert's probability, the clinical expert's, and the gate."""
    image, rest = parameters[: width + 1], parameters[width + 1 :]
    clinical, gate = np.split(rest, [table.shape[1] - width + 1])
    return (
        expit(table[:, :width] @ image[:-1] + image[-1]),
        expit(table[:, width:] @ clinical[:-1] + clinical[-1]),
        expit(table @ gate[:-1] + gate[-1]),
    )


def _of_linear(x: Floats, slope: Floats) -> Floats:
    """The gradient by weights and intercept of a function with that slope by x·w + w₀."""
    return np.append(slope @ x, slope.sum())


def suggest(draws: TrialLike) -> dict[str, Any]:
    """A point of the mixture to try."""
    options = suggest_pooled(PrefixedTrial(draws, "", {"inputs": "both", "cross": False}), reduced=True)
    return {
        **options,
        "C": draws.suggest_float("C", 1e-2, 10.0, log=True),
        "gate_C": draws.suggest_float("gate_C", 1e-3, 10.0, log=True),
    }


HEAD_TYPE = HeadType(
    name="mixture",
    summary="A linear image expert and a linear clinical expert, mixed by a gate that sees both.",
    source="Jacobs et al., Neural Computation 3, 1991; Sahasrabudhe et al., IEEE JBHI 25, 2021",
    cost="cheap",
    space=suggest,
    build=partial(pooled, GatedExperts),
    default_params=(
        {
            "class_weight": None, "pooling": "mean", "scale": True, "pca": 16, "interaction": False, "spline": None,
            "C": 1.0, "gate_C": 0.1,
        },
    ),
    inputs=("both",),
    weighs_encodings=True,
    declared_values=True,
)  # fmt: skip
