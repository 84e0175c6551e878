"""The instance-level head step by step, and that each patient weighs the same."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lymphofeat.cache.bags import Bags
from lymphofeat.heads.clinical import ClinicalFeatures
from lymphofeat.heads.inner import inner_folds
from lymphofeat.heads.instance_level import InstanceLevel
from lymphofeat.heads.neural.instances import coordinates_of
from lymphofeat.synthetic.features import simulate_features


@pytest.mark.parametrize("inputs", ["image", "both"])
def test_equals_the_plain_loop(inputs: str) -> None:
    cohort = simulate_features(40, (1, 9), 5, signal="mean", seed=4)
    bags, table, y = Bags.from_list(cohort.bags), cohort.table, cohort.y
    head = InstanceLevel(inputs=inputs, pca=3, C=0.4, link_C=2.0).fit(bags, table, y)
    coordinates = coordinates_of(bags, 3)
    x = [coordinates.transform(bags.select(np.array([i]))).numpy().astype(float) for i in range(40)]

    def images(which: np.ndarray) -> LogisticRegression:
        rows = np.concatenate([x[i] for i in which])
        labels = np.concatenate([np.full(len(x[i]), y[i]) for i in which])
        weights = np.concatenate([np.full(len(x[i]), 1 / len(x[i])) for i in which])
        return LogisticRegression(C=0.4, tol=1e-10, max_iter=1000).fit(rows, labels, weights)

    def of_patients(model: LogisticRegression, which: np.ndarray) -> np.ndarray:
        return np.array([model.predict_proba(x[i])[:, 1].mean() for i in which])

    held_out = np.empty(40)
    for train, test in inner_folds(table, y, 3, 0):
        held_out[test] = of_patients(images(train), test)
    full = images(np.arange(40))
    columns = [held_out[:, None], of_patients(full, np.arange(40))[:, None]]
    if inputs == "both":
        values = ClinicalFeatures().fit(table).transform(table)
        columns = [np.hstack([column, values]) for column in columns]
    link = make_pipeline(StandardScaler(), LogisticRegression(C=2.0, tol=1e-10, max_iter=1000))
    expected = link.fit(columns[0], y).predict_proba(columns[1])
    np.testing.assert_allclose(head.predict_proba(bags, table), expected, atol=1e-4)
    of_images = head.instance_probabilities(bags)
    assert [len(p) for p in of_images] == bags.lengths.tolist()
    np.testing.assert_allclose(of_images[7], full.predict_proba(x[7])[:, 1], atol=1e-4)


def test_the_seed_shuffles_the_inner_folds() -> None:
    cohort = simulate_features(40, 5, 5, signal="mean", seed=4)
    bags = Bags.from_list(cohort.bags)
    first, other = (
        clone(InstanceLevel(random_state=seed))
        .fit(bags, cohort.table, cohort.y)
        .predict_proba(bags, cohort.table)
        for seed in (0, 1)
    )
    assert 0 < np.abs(first - other).max() < 0.3
