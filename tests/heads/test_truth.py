"""On cohorts with a known truth, the head that is built for a signal finds it and others don't; without one, none does.

One cohort of 300 patients a signal (lymphofeat/synthetic/features.py), 5 folds; differences by the bootstrap over
patients, the same resamples for both heads. The table of all heads is docs/heads.md.
"""

from functools import cache

import numpy as np
import pytest

from lymphofeat.cache.bags import Bags
from lymphofeat.cohort.folds import assign_folds, persons
from lymphofeat.estimates.scores import bootstrap, roc_auc_score
from lymphofeat.heads import FitCache, Head, Logistic, Split, fit_predict, pooled
from lymphofeat.heads.boosting import BoostedTrees
from lymphofeat.heads.fusion import GatedExperts, LateFusion, StackedFusion
from lymphofeat.heads.gaussian_process import GaussianProcess
from lymphofeat.heads.instance_level import InstanceLevel
from lymphofeat.heads.svm import SupportVectorMachine
from lymphofeat.synthetic.features import FeatureCohort, simulate_features

N, DIM = 300, 12
HEADS: dict[str, Head] = {
    "clinical": pooled(Logistic, inputs="clinical"),
    "mean": pooled(Logistic, inputs="image"),
    "std": pooled(Logistic, inputs="image", pooling="std"),
    "max": pooled(Logistic, inputs="image", pooling="max"),
    "second-order": pooled(Logistic, inputs="image", pooling="second-order"),
    "svm": pooled(SupportVectorMachine, inputs="image", pooling="mean+std"),
    "gp": pooled(GaussianProcess, inputs="image", pooling="mean+std"),
    "xgboost": pooled(BoostedTrees, rotate=False, inputs="image", pooling="mean+std"),
    "instances": InstanceLevel(inputs="image"),
    "early": pooled(Logistic),
    "products": pooled(Logistic, cross=True),
    "late": LateFusion(),
    "stacked": StackedFusion(),
    "mixture": pooled(GatedExperts),
}

# Per signal: those built for it with the least AUC below the truth's that they reach, and those that are not.
BUILT = {
    "mean": (
        {"mean": 0.05, "instances": 0.05, "early": 0.05, "late": 0.05, "stacked": 0.05},
        ["std", "clinical"],
    ),
    "spread": ({"std": 0.08, "second-order": 0.08, "svm": 0.08}, ["mean", "instances", "clinical"]),
    "rare": ({"svm": 0.2, "std": 0.2, "max": 0.2}, ["mean", "instances", "clinical"]),
    "clinical": ({"clinical": 0.03, "early": 0.06, "stacked": 0.05, "mixture": 0.05}, ["mean", "std", "gp"]),
    "interaction": ({"products": 0.17}, ["early", "late", "mixture", "mean", "clinical"]),
}


@cache
def drawn(signal: str) -> FeatureCohort:
    # Of a type that is 2 % of all cells, a small bag holds none; bags are then as large as real ones.
    images = (80, 120) if signal == "rare" else (20, 40)
    return simulate_features(N, images, DIM, signal=signal, strength=2.0, seed=7)  # type: ignore[arg-type]


@cache
def predicted(signal: str, name: str) -> np.ndarray:
    """(N,) probabilities, each patient's by a head that did not see it."""
    cohort = drawn(signal)
    bags, folds = Bags.from_list(cohort.bags), assign_folds(cohort.y, persons(cohort.table), 5, 0)
    splits = [Split(bags, signal, np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
    p = np.empty(N)
    for split, of_fold in zip(
        splits, fit_predict(HEADS[name], splits, cohort.table, cohort.y, FitCache()), strict=True
    ):
        p[split.test] = of_fold
    return p


@pytest.mark.parametrize("signal", BUILT)
def test_what_is_built_for_a_signal_wins(signal: str) -> None:
    built, others = BUILT[signal]
    y, truth = drawn(signal).y, roc_auc_score(drawn(signal).y, drawn(signal).probability)
    for name, short in built.items():
        best = bootstrap("auc", y, predicted(signal, name), seed=0)
        assert best.value > truth - short, name
        for other in others:
            difference = best - bootstrap("auc", y, predicted(signal, other), seed=0)
            assert difference.percentile(0.95).low > 0, (name, other)


def test_where_nothing_is_nothing_wins() -> None:
    """All heads' 99.7 % intervals hold 0.5; at 14 heads and one cohort, one in 24 such tests would fail by chance."""
    y = drawn("none").y
    for name in HEADS:
        low, high = bootstrap("auc", y, predicted("none", name), seed=0).interval(0.997)[1:]
        assert low < 0.5 < high, name


def test_what_is_not_there_costs_little() -> None:
    """A head that is given more than it needs stays within 0.05 of the one that is given what it needs."""
    for signal, alone, together in (("mean", "mean", "early"), ("clinical", "clinical", "early")):
        y = drawn(signal).y
        assert (
            roc_auc_score(y, predicted(signal, together)) > roc_auc_score(y, predicted(signal, alone)) - 0.05
        )
