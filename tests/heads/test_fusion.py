"""Fused heads against their formulas; what they learn on held-out patients stays inside the training part."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import check_grad
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from lymphofeat.cache.bags import Bags
from lymphofeat.heads import FitCache, Logistic, Split, fit_predict, pooled
from lymphofeat.heads.fusion import GatedExperts, LateFusion, StackedFusion
from lymphofeat.heads.fusion.mixture import _Likelihood
from lymphofeat.heads.inner import inner_folds
from lymphofeat.synthetic.features import simulate_features

N = 60
IMAGE, CLINICAL = pooled(Logistic, inputs="image", pca=4), pooled(Logistic, inputs="clinical", C=0.5)
Patients = tuple[Bags, pd.DataFrame, np.ndarray]


@pytest.fixture(scope="module")
def patients() -> Patients:
    cohort = simulate_features(N, (3, 9), 6, signal="mean", strength=2.0, seed=1)
    table = cohort.table.copy()
    table["lymphocyte_count"] *= np.exp(cohort.y)  # both sides know something
    return Bags.from_list(cohort.bags), table, cohort.y


def test_late_fusion_is_the_average(patients: Patients) -> None:
    p, q = (clone(h).fit(*patients).predict_proba(*patients[:2])[:, 1] for h in (IMAGE, CLINICAL))
    for weight in (0.0, 0.3, 0.5, 1.0):
        parts = {"image": IMAGE, "clinical": CLINICAL, "weight": weight}
        average = LateFusion(**parts).fit(*patients).predict_proba(*patients[:2])[:, 1]
        np.testing.assert_allclose(average, weight * p + (1 - weight) * q)
        odds = LateFusion(**parts, average="logits").fit(*patients).predict_proba(*patients[:2])[:, 1]
        np.testing.assert_allclose(odds, expit(weight * logit(p) + (1 - weight) * logit(q)), rtol=1e-6)


def test_fused_heads_leave_their_parts_as_they_were(patients: Patients) -> None:
    image = pooled(Logistic, inputs="image")
    for head in (
        LateFusion(image=image, class_weight="balanced"),
        StackedFusion(image=image, class_weight="balanced"),
    ):
        head.fit(*patients)
        assert image.class_weight is None
        assert not hasattr(image, "classifier_")
    inner = LateFusion(image=image, class_weight="balanced").fit(*patients).parts_[0]
    assert inner.class_weight == "balanced"
    assert clone(LateFusion(image=image)).set_params(image__classifier__C=7.0).image.classifier.C == 7.0


def test_stacking_step_by_step(patients: Patients) -> None:
    bags, clinical, y = patients
    head = StackedFusion(image=IMAGE, clinical=CLINICAL, C=0.7, random_state=3).fit(*patients)
    held_out = np.empty((N, 2))
    for train, test in inner_folds(clinical, y, 5, 3):
        for column, part in enumerate((IMAGE, CLINICAL)):
            model = clone(part).fit(bags.select(train), clinical.iloc[train], y[train])
            held_out[test, column] = logit(model.predict_proba(bags.select(test), clinical.iloc[test])[:, 1])
    link = LogisticRegression(C=0.7, tol=1e-10, max_iter=1000).fit(held_out, y)
    full = [
        logit(clone(part).fit(*patients).predict_proba(bags, clinical)[:, 1]) for part in (IMAGE, CLINICAL)
    ]
    expected = link.predict_proba(np.transpose(full))
    np.testing.assert_allclose(head.predict_proba(bags, clinical), expected, atol=1e-5)


def test_stacking_sees_nothing_of_the_outer_fold(patients: Patients) -> None:
    """Neither labels nor images nor values of the predicted patients change what the others are told."""
    bags, clinical, y = patients
    split = Split(bags, "whole", np.arange(0, 40), np.arange(40, N))
    head = StackedFusion(image=IMAGE, clinical=CLINICAL)
    (before,) = fit_predict(head, [split], clinical, y, FitCache())
    spoilt = Bags(bags.features.copy(), bags.starts, bags.lengths)
    spoilt.features[bags.starts[41] :] = 1e3
    other = clinical.copy()
    other.loc[41:, ["age", "lymphocyte_count"]] = [20.0, 900.0]
    hidden = np.r_[y[:40], np.full(N - 40, -1)].astype(np.int8)
    (after,) = fit_predict(
        head, [Split(spoilt, "spoilt", split.train, split.test)], other, hidden, FitCache()
    )
    assert after[0] == pytest.approx(before[0], abs=1e-12)
    assert np.abs(after[1:] - before[1:]).max() > 0.01


def test_mixture_gradient_is_that_of_the_likelihood() -> None:
    rng = np.random.default_rng(0)
    table, y, weights = (
        rng.normal(size=(30, 7)),
        (rng.random(30) < 0.4).astype(np.int8),
        rng.uniform(0.5, 2, 30),
    )
    problem = _Likelihood(table, 4, y, weights, 0.7, 0.2, rng.normal(size=17))
    for seed in range(5):
        at = np.random.default_rng(seed).normal(size=17)
        assert check_grad(lambda w: problem(w)[0], lambda w: problem(w)[1], at) < 1e-4
    a, b, c = at[:5], at[5:9], at[9:]
    p, q, g = (expit(x @ w[:-1] + w[-1]) for x, w in ((table[:, :4], a), (table[:, 4:], b), (table, c)))
    mixed = g * p + (1 - g) * q
    loss = -(weights * np.log(np.where(y == 1, mixed, 1 - mixed))).sum()
    away = at - problem.centre
    assert problem(at)[0] == pytest.approx(loss + (away[:9] ** 2).sum() / 1.4 + (away[9:] ** 2).sum() / 0.4)


def test_mixture_with_a_dear_gate_is_the_even_average_and_none_dies(patients: Patients) -> None:
    bags, clinical, _ = patients
    head = pooled(GatedExperts, pca=4, gate_C=1e-6).fit(*patients)
    width = 4
    x = head.design_.transform(bags, clinical)
    a, b = (
        head.classifier_.model_.parameters[: width + 1],
        head.classifier_.model_.parameters[width + 1 : width + 5],
    )
    even = (expit(x[:, :width] @ a[:-1] + a[-1]) + expit(x[:, width:] @ b[:-1] + b[-1])) / 2
    np.testing.assert_allclose(head.predict_proba(bags, clinical)[:, 1], even, atol=1e-3)
    for gate in (0.01, 0.1, 1.0):
        parameters = pooled(GatedExperts, pca=4, gate_C=gate).fit(*patients).classifier_.model_.parameters
        assert np.linalg.norm(parameters[:width]) > 0.1
        assert np.linalg.norm(parameters[width + 1 : width + 4]) > 0.1
