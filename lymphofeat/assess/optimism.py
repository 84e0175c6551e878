"""How much better the selected score looks than the nested one."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..estimates.scores import score
from ..heads.registry import COSTS, head_types
from ..metric import METRICS
from ..nested.result import Nested, NestedFold
from ..studies.summary import StudySummary, TrialSummary
from .runs import Runs, compare_runs

__all__ = ["SelectedModels", "optimism_table"]


@dataclass(frozen=True)
class SelectedModels:
    """What one search on all folds selected; its scores are optimistic.

    Attributes:
        ids: (n,) the labelled patients.
        best: out-of-fold predictions of what `submit` takes, a run per repeat of the folds; with `ranks` where its
            folds were brought to one scale as those of nested cross-validation are.
        n_trials: among how many it was selected.
        of_head_types: per head type its cost (one of `heads.registry.COSTS`) and the predictions of its best trial.
    """

    ids: tuple[str, ...]
    best: Runs
    n_trials: int
    of_head_types: dict[str, tuple[str, Runs]]

    @classmethod
    def of(cls, study: StudySummary, on_one_scale: Nested | None = None) -> "SelectedModels":
        """What a finished study selected.

        Args:
            study: the study.
            on_one_scale: the selected trial's folds with inner predictions, see `Engine.on_one_scale`; without, its
                probabilities are ranked as they are.
        """

        def runs(trial: TrialSummary) -> Runs:
            return Runs(trial.y, trial.scores.probabilities, trial.decisions, groups=trial.groups)

        costs = {name: head_type.cost for name, head_type in head_types().items()}
        each = {
            entry.head_type: (costs.get(entry.head_type, COSTS[-1]), runs(entry.trial))
            for entry in study.leaderboard
        }
        chosen = Runs(
            study.best.y, study.selected.probabilities, study.selected.decisions, groups=study.best.groups
        )
        best = chosen if on_one_scale is None else Runs.of(on_one_scale)
        return cls(study.ids, best, study.n_scored, each)


def optimism_table(
    main: Nested, selected: SelectedModels | None, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """One row per metric: metric, nested, tuned, optimism with bounds, inner, outer, inner_optimism.

    `optimism` is tuned − nested (for losses nested − tuned: positive always flatters the tuned score), with its paired
    95 % percentile interval by patient; empty without `selected`. What asks for the order of patients only (AUC,
    average precision) is compared like with like: both on one scale (`Nested.scores`), or both as they are where
    `selected` has no `ranks`; `nested` is then that of the probabilities as they are.

    `inner` is the mean selected score inside the training parts of the outer folds, `outer` the mean score of the same
    heads on the folds themselves; their difference needs no search beside the nested one. Of AUC and average precision
    both are means of single folds' scores, where no two heads' probabilities are ranked together. Folds of one class
    have no score and are left out.
    """
    here = Runs.of(main)
    if selected is not None and selected.best.ranks is None:
        here = replace(here, ranks=None)
    rows = []
    for metric in METRICS:
        sign = METRICS[metric].sign
        row = {"metric": metric, "nested": here.value(metric), "tuned": float("nan")}
        row |= dict.fromkeys(("optimism", "optimism_low", "optimism_high"), float("nan"))
        if selected is not None:
            there = selected.best
            compared = compare_runs(there, here, metric, n_resamples=n_resamples, seed=seed).difference
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
            inner.append(_selected_inside(main, fold, metric))
            outer.append(score(metric, y, METRICS[metric].judged(p, p >= fold.threshold)))
    if not inner:
        return dict.fromkeys(("inner", "outer", "inner_optimism"), float("nan"))
    mean_inner, mean_outer = float(np.mean(inner)), float(np.mean(outer))
    return {"inner": mean_inner, "outer": mean_outer, "inner_optimism": sign * (mean_inner - mean_outer)}


def _selected_inside(main: Nested, fold: NestedFold, metric: str) -> float:
    """The score of the head that was chosen inside a fold's training part, there.

    The inner folds are the run's other ones; where all of them hold both classes, what asks for the order only is the
    mean of their own scores, as it is on the fold itself.
    """
    others = [other.rows for other in main.folds_of_runs if other.run == fold.run and other.fold != fold.fold]
    whole = all(len(np.unique(main.y[rows])) == 2 and not np.isnan(fold.inner[rows]).any() for rows in others)
    if METRICS[metric].takes != "scores" or not whole:
        return fold.tuned[metric]
    return float(np.mean([score(metric, main.y[rows], fold.inner[rows]) for rows in others]))
