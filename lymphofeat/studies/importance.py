"""Which choices told a study's good trials from the others."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from ..metric import Direction
from .database import quiet_optuna
from .rows import Row

__all__ = ["Importance", "importance_of"]

# Below, the best tenth holds fewer than the five trials that Optuna's documentation asks for.
_LEAST_TRIALS = 50
# Beyond, the shares change in the second decimal while the time grows.
_MOST_TRIALS = 1000


@dataclass(frozen=True)
class Importance:
    """How unlike all trials the best tenth of them is, parameter by parameter.

    PED-ANOVA (Watanabe, Bansal & Hutter, IJCAI 2023; with conditional parameters 2026), Optuna's implementation. It
    says what the search found to matter, not that a parameter has an effect.

    Attributes:
        shares: of the parameters, largest first, summing to 1; empty if there are too few trials.
        n_trials: complete trials that it rests on.
    """

    shares: dict[str, float]
    n_trials: int

    @property
    def note(self) -> str:
        """On how much it rests, in one sentence."""
        if self.n_trials < _LEAST_TRIALS:
            return f"Parameter importance needs {_LEAST_TRIALS} complete trials; with {self.n_trials} it is noise."
        return f"From {self.n_trials} complete trials (PED-ANOVA, best tenth against all); shares below 0.05 are noise."


def importance_of(rows: Sequence[Row], direction: Direction) -> Importance:
    """Importance over the complete trials; of very many, over as many as suffice, evenly spread."""
    complete = [row for row in rows if row.complete]
    used = complete[:: max(1, -(-len(complete) // _MOST_TRIALS))]
    if len(used) < _LEAST_TRIALS or len({row.value for row in used}) == 1:
        return Importance({}, len(used))
    # here, since it imports scikit-learn, a second or two
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    with quiet_optuna(), warnings.catch_warnings():
        # It warns of every parameter that fewer than two trials have, or lack.
        warnings.simplefilter("ignore")
        study = optuna.create_study(direction=direction)
        study.add_trials(row.trial() for row in used)
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return Importance({name: float(share) for name, share in found.items()}, len(used))
