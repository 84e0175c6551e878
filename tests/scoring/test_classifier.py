"""A head as a scikit-learn classifier gives the numbers of `tune`, and learns from no fold that it is asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from lymphofeat import HeadClassifier
from lymphofeat.cache import Cache, open_cache, save_cache
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.heads import Logistic, head_types, pooled
from lymphofeat.scoring.score import score_head
from lymphofeat.studies.space import build_head

from ..helpers.caches import DECLARED, features, frozen_cache, patients, tuned_cache, with_declared

POINT = {
    "family": "logistic", "logistic.inputs": "both", "logistic.class_weight": None, "logistic.pooling": "mean",
    "logistic.scale": True, "logistic.reduce": False, "logistic.interaction": False, "logistic.spline": None,
    "logistic.cross": False, "logistic.penalty": "l2", "logistic.C": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return open_cache(frozen_cache(tmp_path_factory.mktemp("sklearn") / "c.h5", n=60, n_folds=4))


@pytest.mark.parametrize("repeat", [0, 1])
def test_cross_validation_gives_the_scores_of_tune(cache: Cache, repeat: int) -> None:
    head, (X, y) = build_head(POINT), cache.X_y()
    ours = score_head(cache, "frozen", head, repeats=2)
    model = HeadClassifier(head, cache, repeat=repeat)
    folds = cache.cv(repeat=repeat)
    for metric, scoring in (
        ("balanced_accuracy", "balanced_accuracy"),
        ("auc", "roc_auc"),
        ("log_loss", "neg_log_loss"),
    ):
        found = np.abs(cross_val_score(model, X, y, cv=folds, scoring=scoring))
        assert np.allclose(found, ours.folds[metric][repeat], atol=1e-9), metric
    p = cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]
    assert np.allclose(p, ours.probabilities[:, repeat], atol=1e-9)


def test_a_family_trained_per_fold_is_scored_by_its_blind_encoders(tmp_path: Path) -> None:
    cache = open_cache(tuned_cache(tmp_path / "c.h5", pairs=True))
    head, (X, y) = build_head(POINT), cache.X_y()
    ours = score_head(cache, "tuned", head)
    found = cross_val_score(HeadClassifier(head, cache), X, y, cv=cache.cv(), scoring="balanced_accuracy")
    assert np.allclose(found, ours.folds["balanced_accuracy"][0], atol=1e-9)
    with pytest.raises(InputError, match="trained per fold"):
        HeadClassifier(head, cache).fit(X, y)
    train, test = cache.cv()[0]
    model = HeadClassifier(head, cache).fit(X.iloc[train], y[train])
    assert model.encoding_ == "tuned-0"
    with pytest.raises(LeakageError):
        model.predict(X.iloc[[*test, train[0]]])


def test_nobody_is_predicted_by_what_learnt_from_them(cache: Cache) -> None:
    X, y = cache.X_y()
    with pytest.raises(LeakageError, match="learns from patient"):
        HeadClassifier(build_head(POINT), cache).fit(X, y).predict_proba(X)


@pytest.mark.parametrize("name", ["logistic", "late", "instances", "additive"])
def test_heads_predict_by_the_more_probable_class(cache: Cache, name: str) -> None:
    head_type = head_types()[name]
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    head: Any = head_type.build(**head_type.suggest(trial))
    rows = cache.labelled[:30]
    given = cache.bags("frozen").select(rows), cache.clinical.iloc[rows]
    head.fit(*given, cache.labels[rows])
    np.testing.assert_array_equal(head.predict(*given), head.predict_proba(*given).argmax(axis=1))


def test_grid_search_and_pipeline(cache: Cache) -> None:
    X, y = cache.X_y()
    model = HeadClassifier(build_head(POINT), cache, threshold=0.5)
    name = next(key for key in model.get_params() if key.split("__")[-1] == "C")
    search = GridSearchCV(model, {name: [1e-3, 1.0]}, cv=cache.cv(), scoring="roc_auc").fit(X, y)
    each = [
        cross_val_score(clone(model).set_params(**{name: c}), X, y, cv=cache.cv(), scoring="roc_auc").mean()
        for c in (1e-3, 1.0)
    ]
    assert np.allclose(search.cv_results_["mean_test_score"], each)
    test = cache.clinical.set_axis(cache.ids, axis=0).drop(index=X.index)
    assert set(search.predict(test)) <= {0, 1}
    fill = ColumnTransformer(
        [("age", SimpleImputer(), ["age"])], remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    piped = cross_val_score(make_pipeline(fill, model), X, y, cv=cache.cv(), scoring="roc_auc")
    filled = pd.DataFrame(fill.fit_transform(X))
    assert filled["age"].notna().all()
    assert (piped > 0.5).all()


def test_a_copy_shares_the_cache(cache: Cache) -> None:
    model = HeadClassifier(build_head(POINT), cache)
    copy = clone(model)
    assert copy.cache is cache
    assert copy.head is not model.head
    assert repr(model).count("\n") < 5
    assert len(repr(model)) < 700


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X.to_numpy(), "DataFrame"),
        (lambda X: X.assign(label=1), "column 'label'"),
        (lambda X: X.rename(index={X.index[0]: "nobody"}), "no patient 'nobody'"),
    ],
)
def test_what_names_no_patient_is_refused(cache: Cache, change: object, message: str) -> None:
    X, y = cache.X_y()
    with pytest.raises(InputError, match=message):
        HeadClassifier(build_head(POINT), cache).fit(change(X), y)  # type: ignore[operator]


# scikit-learn's other checks hand over an array of numbers, which names no patient; the tag `two_d_array` tells it so.
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_no_attributes_set_in_init",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_what_of_scikit_learns_own_checks_applies(cache: Cache, check: str) -> None:
    getattr(estimator_checks, check)("HeadClassifier", HeadClassifier(build_head(POINT), cache))


def test_declared_columns_are_columns_of_x(tmp_path: Path) -> None:
    table = with_declared(patients(60))
    save_cache(tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=4, clinical=DECLARED)
    cache = open_cache(tmp_path / "c.h5")
    head = pooled(Logistic, inputs="clinical", clinical_values=cache.clinical_values)
    X, y = cache.X_y()
    assert set(DECLARED) <= set(X.columns)
    ours = score_head(cache, "frozen", head)
    model = HeadClassifier(head, cache)
    found = cross_val_score(model, X, y, cv=cache.cv(), scoring="roc_auc")
    np.testing.assert_allclose(found, ours.folds["auc"][0], atol=1e-9)
    train, test = cache.cv()[0]
    fitted = clone(model).fit(X.iloc[train], y[train])
    low = X.iloc[test].assign(haemoglobin=5.0)
    assert (fitted.predict_proba(low)[:, 1] > fitted.predict_proba(X.iloc[test])[:, 1]).all()
    with pytest.raises(InputError, match=r"X has the column 'platelets'; a head is given .*haemoglobin"):
        fitted.predict_proba(low.assign(platelets=1.0))
