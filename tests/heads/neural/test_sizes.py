"""Any number of patients, minibatch and images: models that are trained together equal those fitted one by one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from lymphofeat.cache.bags import Bags
from lymphofeat.heads import FitCache, Split, fit_predict
from lymphofeat.heads.neural import (
    AdditiveAttention,
    AttentionPooling,
    DeepSets,
    GatedAttention,
    InstanceTransformer,
)
from lymphofeat.synthetic.features import simulate_features

HEADS = {
    head.__name__: head
    for head in (AdditiveAttention, AttentionPooling, DeepSets, GatedAttention, InstanceTransformer)
}
DIM = 5
QUICK: dict[str, Any] = {"pca": 4, "hidden": 4, "epochs": 2, "learning_rate": 5e-3}


def check(head: Any, bags: Bags, clinical: pd.DataFrame, y: np.ndarray, n_folds: int = 3) -> None:
    """All folds together, against each fold by itself."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    splits = [Split(bags, "digest", train, test) for train, test in folds.split(y, y)]
    together = fit_predict(head, splits, clinical, y, FitCache())
    for split, p in zip(splits, together, strict=True):
        alone = clone(head).fit(bags.select(split.train), clinical.iloc[split.train], y[split.train])
        expected = alone.predict_proba(bags.select(split.test), clinical.iloc[split.test])[:, 1]
        assert np.isfinite(p).all()
        np.testing.assert_allclose(p, expected, rtol=0, atol=1e-5)


def cohort(n: int, seed: int, lengths: tuple[int, int] = (1, 4)) -> tuple[Bags, pd.DataFrame, np.ndarray]:
    simulated = simulate_features(n, lengths, DIM, signal="mean", strength=2.0, seed=seed)
    y = (np.random.default_rng(seed).permutation(n) < 0.6 * n).astype(np.int8)
    return Bags.from_list(simulated.bags), simulated.table, y


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(("n", "batch_size"), [(20, 4), (22, 5), (31, 8), (40, 5), (47, 8)])
def test_early_stopping_on_any_number_of_patients(name: str, n: int, batch_size: int) -> None:
    """So many patients give models with equally many minibatches before some are set aside, and not after."""
    # Twelve models, or no two of them would be trained by the same launches.
    head = HEADS[name](**QUICK, batch_size=batch_size, early_stopping=True, members=4)
    check(head, *cohort(n, seed=n))


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_random_cohorts_and_settings(name: str) -> None:
    for seed in range(40):
        rng = np.random.default_rng([seed, 1])
        head = HEADS[name](
            **QUICK | {"pca": [None, 1, 3, 128][rng.integers(4)]},
            batch_size=int(rng.integers(1, 20)),
            early_stopping=bool(rng.integers(2)),
            validation_fraction=float(rng.choice([0.01, 0.1, 0.2, 0.5, 0.9])),
            instance_dropout=float(rng.choice([0.0, 0.5, 0.9])),
            members=int(rng.integers(1, 5)),
            class_weight=[None, "balanced"][rng.integers(2)],
            inputs=["image", "both"][rng.integers(2)],
        )
        longest = int(rng.choice([1, 3, 40]))
        check(head, *cohort(int(rng.integers(14, 90)), seed, (1, longest)), int(rng.integers(2, 5)))


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    "lengths",
    [[2100] + [5] * 19, [5] * 19 + [9000], [1] * 20, [2048] * 6, [2049, 1, 4097, 1, 2047, 2, 1, 3]],
    ids=str,
)
def test_bags_of_any_size(name: str, lengths: list[int]) -> None:
    rng = np.random.default_rng(0)
    _, clinical, _ = cohort(len(lengths), seed=1)
    y = (np.arange(len(lengths)) % 2).astype(np.int8)
    bags = Bags.from_list([rng.normal(size=(n, DIM)).astype(np.float32) for n in lengths])
    options = {"instance_dropout": 0.75} if name == "InstanceTransformer" else {}
    check(HEADS[name](**QUICK | {"epochs": 1}, **options), bags, clinical, y, n_folds=2)
