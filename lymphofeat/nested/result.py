"""What nested cross-validation leaves behind: predictions of heads that were chosen without the patient."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from ..estimates.persons import Groups

__all__ = ["Nested", "NestedFold"]

Floats = NDArray[np.float64]

_FINEST = 1e-12


@dataclass(frozen=True)
class NestedFold:
    """One outer fold of one run: a whole search without the fold's patients, and the selected model on them.

    Attributes:
        run: which run it belongs to: 0 … n_runs − 1.
        repeat: of the folds, which the run used (column of `Cache.folds`).
        seed: of the run's search.
        fold: the fold that was held out.
        rows: (n_fold,) int64 positions of its patients in `Nested.ids`.
        probabilities: (n_fold,) float64 of malignant, by the chosen heads refitted on all other patients.
        threshold: malignant at this probability or above; chosen on `inner`.
        inner: (n,) float64, the chosen heads' inner out-of-fold probabilities of the training patients, NaN for the
            fold's own: what calibration, triage and thresholds may be fitted on.
        members: (params, weight) of each chosen head: its point of the search space, and its share of the average;
            the weights add up to 1.
        tuned: per metric, the score of the chosen heads' average inside the training part; it was selected.
        n_trials: finished trials of the search.
        seconds: that the search and the refit took, all runs of the program together.
    """

    run: int
    repeat: int
    seed: int
    fold: int
    rows: NDArray[np.int64]
    probabilities: Floats
    threshold: float
    inner: Floats
    members: tuple[tuple[dict[str, Any], float], ...]
    tuned: dict[str, float]
    n_trials: int
    seconds: float

    def __repr__(self) -> str:
        return f"<NestedFold {self.fold} of run {self.run}: {len(self.members)} heads, {len(self.rows)} patients>"


@dataclass(frozen=True)
class Nested:
    """One pipeline (an encoding, the inputs, a search), scored by nested cross-validation.

    Attributes:
        name: of the pipeline, as reports call it: "image + clinical", "clinical only", "untrained encoder", …
        encoding: the encoder family.
        inputs: what heads were given: any of "clinical", "image", "both".
        metric: what the search maximised.
        ids: (n,) the labelled patients, in the cache's order.
        y: (n,) int8 labels; for the control experiment with shuffled labels, the shuffled ones.
        folds_of_runs: every outer fold of every run, by run and fold.
        groups: (n,) int64, equal where two records may be of one person; None where no two are.
    """

    name: str
    encoding: str
    inputs: tuple[str, ...]
    metric: str
    ids: tuple[str, ...]
    y: NDArray[np.int8]
    folds_of_runs: tuple[NestedFold, ...]
    groups: Groups = None

    def __repr__(self) -> str:
        return (
            f"<Nested {self.name}: {len(self.ids)} patients, {self.n_runs} run{'s' if self.n_runs > 1 else ''}, "
            f"{len(self.folds_of_runs)} outer folds, encodings {self.encoding}, searched for {self.metric}>"
        )

    def predictions(self) -> pd.DataFrame:
        """One row per patient and run, runs one behind the other.

        Returns:
            id, label, run, fold, probability (of malignant), decision (1 where it reaches the fold's threshold).
        """
        n = len(self.ids)
        folds = np.empty((n, self.n_runs), dtype=np.int64)
        for fold in self.folds_of_runs:
            folds[fold.rows, fold.run] = fold.fold
        return pd.DataFrame(
            {
                "id": np.tile(np.asarray(self.ids, dtype=object), self.n_runs),
                "label": np.tile(self.y, self.n_runs),
                "run": np.repeat(np.arange(self.n_runs), n),
                "fold": folds.T.reshape(-1),
                "probability": self.probabilities.T.reshape(-1),
                "decision": self.decisions.T.reshape(-1).astype(np.int8),
            }
        )

    @property
    def n_runs(self) -> int:
        """Repeats × seeds."""
        return 1 + max(fold.run for fold in self.folds_of_runs)

    @cached_property
    def probabilities(self) -> Floats:
        """(n, n_runs) float64 of malignant, each by a head that was chosen and fitted without the patient's fold."""
        found = np.full((len(self.y), self.n_runs), np.nan)
        for fold in self.folds_of_runs:
            found[fold.rows, fold.run] = fold.probabilities
        return found

    @cached_property
    def scores(self) -> Floats:
        """(n, n_runs) float64, larger for malignant: the probabilities of all folds on one scale, for ranking only.

        Each fold has its own head, and heads are not equally certain: pairs of patients of different folds are then
        ranked by their heads, which takes from a pooled AUC (Airola et al., Computational Statistics and Data Analysis
        55, 2011). So the log-odds of a fold are moved and stretched by what is known without the fold: less the
        midpoint of the classes' means, over the standard deviation, both of the inner out-of-fold log-odds. Within a
        fold the order stays. Where a fold has no inner predictions of both classes, all stay as they are.
        """
        if any(len(np.unique(self.y[~np.isnan(fold.inner)])) < 2 for fold in self.folds_of_runs):
            return _log_odds(self.probabilities)
        found = np.full((len(self.y), self.n_runs), np.nan)
        for fold in self.folds_of_runs:
            known = ~np.isnan(fold.inner)
            y, inner = self.y[known], _log_odds(fold.inner[known])
            middle = (inner[y == 0].mean() + inner[y == 1].mean()) / 2
            spread = float(inner.std())
            found[fold.rows, fold.run] = (_log_odds(fold.probabilities) - middle) / (spread or 1.0)
        return found

    @cached_property
    def decisions(self) -> NDArray[np.bool_]:
        """(n, n_runs) malignant, each under the threshold of the patient's fold."""
        found = np.zeros((len(self.y), self.n_runs), dtype=bool)
        for fold in self.folds_of_runs:
            found[fold.rows, fold.run] = fold.probabilities >= fold.threshold
        return found


def _log_odds(p: Floats) -> Floats:
    """Finite log-odds; the clipping is finer than any head's probabilities are right."""
    return np.asarray(logit(np.clip(p, _FINEST, 1 - _FINEST)))
