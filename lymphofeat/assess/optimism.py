"""How much better the selected score looks than the nested one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..estimates import paired_bootstrap
from ..heads.registry import COSTS, families
from ..nested.result import Nested
from ..statistics import METRICS, score
from ..studies.summary import StudySummary, TrialSummary
from .runs import Runs

__all__ = ["Tuned", "optimism_table"]


@dataclass(frozen=True)
class Tuned:
    """What one search on all folds selected; its scores are optimistic.

    Attributes:
        ids: (n,) the labelled patients.
        best: out-of-fold predictions of the selected trial, a run per drawing of the folds.
        n_trials: among how many it was selected.
        of_families: per family of heads its cost (one of `heads.registry.COSTS`) and the predictions of its best trial.
    """

    ids: tuple[str, ...]
    best: Runs
    n_trials: int
    of_families: dict[str, tuple[str, Runs]]

    @classmethod
    def of(cls, study: StudySummary) -> "Tuned":
        """What a finished study selected."""

        def runs(trial: TrialSummary) -> Runs:
            return Runs(trial.y, trial.scores.probabilities, trial.decisions)

        costs = {name: family.cost for name, family in families().items()}
        each = {
            entry.family: (costs.get(entry.family, COSTS[-1]), runs(entry.trial))
            for entry in study.leaderboard
        }
        return cls(study.ids, runs(study.best), study.n_scored, each)


def optimism_table(
    main: Nested, tuned: Tuned | None, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """One row per metric: metric, nested, tuned, optimism with bounds, inner, outer, inner_optimism.

    `optimism` is tuned − nested (for losses nested − tuned: positive always flatters the tuned score), with its paired
    95 % percentile interval by patient; empty without `tuned`. `inner` is the mean selected score inside the
    training parts of the outer folds, `outer` the mean score of the same heads on the folds themselves; their
    difference needs no search beside the nested one. Folds of one class have no outer score and are left out.
    """
    here = Runs.of(main)
    rows = []
    for metric in METRICS:
        sign = -1 if metric in ("log_loss", "brier") else 1
        row = {"metric": metric, "nested": here.value(metric), "tuned": float("nan")}
        row |= dict.fromkeys(("optimism", "optimism_low", "optimism_high"), float("nan"))
        if tuned is not None:
            there = tuned.best
            compared = paired_bootstrap(
                there.weighted(metric), here.weighted(metric), main.y, n_resamples=n_resamples, seed=seed
            ).difference
            low, high = sorted((sign * compared.low, sign * compared.high))
            row |= {"tuned": there.value(metric), "optimism": sign * compared.value}
            row |= {"optimism_low": low, "optimism_high": high}
        rows.append(row | _inside(main, metric, sign))
    return pd.DataFrame(rows)


def _inside(main: Nested, metric: str, sign: int) -> dict[str, float]:
    """The selected score inside outer folds, and what the same heads reach outside."""
    inner, outer = [], []
    for fold in main.folds_of_runs:
        y = main.y[fold.rows]
        if metric in fold.tuned and len(np.unique(y)) == 2:
            p = fold.probabilities
            inner.append(fold.tuned[metric])
            outer.append(score(metric, y, p >= fold.cut if metric == "balanced_accuracy" else p))
    if not inner:
        return dict.fromkeys(("inner", "outer", "inner_optimism"), float("nan"))
    mean_inner, mean_outer = float(np.mean(inner)), float(np.mean(outer))
    return {"inner": mean_inner, "outer": mean_outer, "inner_optimism": sign * (mean_inner - mean_outer)}
