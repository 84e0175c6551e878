"""Declared clinical columns in heads: imputed and encoded on the training patients, in every head type."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from optuna.trial import FixedTrial
from sklearn.base import clone

from lymphofeat.cache import Bags
from lymphofeat.cohort.clinical import clinical_frame
from lymphofeat.cohort.values import head_values
from lymphofeat.errors import InputError
from lymphofeat.heads import FitCache, Logistic, Split, fit_predict, head_types, pooled
from lymphofeat.heads.boosting import BoostedTrees
from lymphofeat.heads.clinical import ClinicalFeatures
from lymphofeat.heads.drawn_values import BUILT_IN, INDICATOR, VALUES, values_of, with_values

from ..helpers.caches import DECLARED, features, patients, with_declared

NAN = float("nan")
VALUES_OF_ALL = head_values(DECLARED)


def rows(**columns: list[Any]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"age": [50.0] * n, "sex": ["M"] * n, "lymphocyte_count": [5.0] * n, **columns})


def declared_part(fitted: ClinicalFeatures, table: pd.DataFrame) -> np.ndarray:
    return fitted.transform(table)[:, 3:]


def test_numbers_are_imputed_by_the_training_median_and_logarithms_taken() -> None:
    train = rows(hb=[9.0, 11.0, 14.0, NAN], ldh=[1.0, np.e, np.e**2, NAN])
    fitted = ClinicalFeatures(clinical_values=("hb", "log ldh")).fit(train)
    got = declared_part(fitted, rows(hb=[10.0, NAN, np.inf], ldh=[np.e**3, NAN, 0.0]))
    np.testing.assert_allclose(got, [[10, 3], [11, 1], [11, 1]], atol=1e-12)
    assert list(fitted.get_feature_names_out()) == ["age", "log_count", "male", "hb", "log ldh"]


def test_categories_are_those_of_training_and_another_one_is_none_of_them() -> None:
    train = rows(lineage=["T", "B", "B", ""])
    fitted = ClinicalFeatures(clinical_values=("lineage",)).fit(train)
    got = declared_part(fitted, rows(lineage=["B", "T", "NK", ""]))
    np.testing.assert_array_equal(got, [[1, 0], [0, 1], [0, 0], [1, 0]])  # missing: the commonest
    assert list(fitted.get_feature_names_out()[3:]) == ["lineage B", "lineage T"]


def test_what_is_missing_is_looked_at_only_if_asked_for() -> None:
    train = rows(hb=[9.0, NAN, 14.0], lineage=["B", "", "T"])
    fitted = ClinicalFeatures(clinical_values=("hb", "lineage"), missing_indicator=True).fit(train)
    names = list(fitted.get_feature_names_out())
    assert names[-5:] == ["age_missing", "log_count_missing", "male_missing", "hb_missing", "lineage_missing"]
    np.testing.assert_array_equal(fitted.transform(train)[:, -2:], [[0, 0], [1, 1], [0, 0]])


def test_a_column_without_any_value_is_no_error() -> None:
    empty = rows(hb=[NAN] * 3, lineage=[""] * 3)
    fitted = ClinicalFeatures(clinical_values=("hb", "lineage")).fit(empty)
    np.testing.assert_array_equal(declared_part(fitted, rows(hb=[3.0], lineage=["B"])), [[3.0]])


def test_a_column_that_a_table_lacks_is_named() -> None:
    with pytest.raises(InputError, match="no column 'hb'; which this head was made with"):
        ClinicalFeatures(clinical_values=("hb",)).fit(rows(ldh=[1.0]))


@pytest.mark.parametrize("bad", ["hb", ("hb", "hb"), (1,)])
def test_values_that_are_no_names_are_refused(bad: object) -> None:
    table = patients()
    with pytest.raises(InputError, match="design__clinical_values must be different names"):
        pooled(Logistic, inputs="clinical", clinical_values=bad).fit(
            Bags(features(table), np.arange(len(table)), np.ones(len(table), np.int64)),
            table,
            np.tile([0, 1], 23),
        )


@pytest.fixture(scope="module")
def cohort() -> tuple[Split, pd.DataFrame, np.ndarray]:
    table = with_declared(patients(60, 0))
    table["n_images"] = 3
    sizes = table["n_images"].to_numpy(np.int64)
    bags = Bags(features(table), np.cumsum(sizes) - sizes, sizes)
    order = np.arange(60)
    split = Split(bags, "digest", order[order % 3 > 0], order[order % 3 == 0])
    return split, clinical_frame(table, DECLARED), table["label"].to_numpy(np.int8)


@pytest.mark.parametrize("name", sorted(head_types()))
def test_every_head_type_sees_the_declared_columns(
    name: str, cohort: tuple[Split, pd.DataFrame, np.ndarray]
) -> None:
    split, clinical, y = cohort
    head_type = head_types()[name]
    point = next(p for p in reversed(head_type.default_params) if p.get("inputs", "both") != "image")
    params = {**head_type.enqueued(point)}
    head = head_type.build(**head_type.suggest(FixedTrial(params)))
    drawn = {VALUES: ", ".join((BUILT_IN, *VALUES_OF_ALL)), INDICATOR: False}
    head = with_values(head, drawn)
    plain = with_values(clone(head), {INDICATOR: False})
    if hasattr(head, "epochs"):
        head.set_params(epochs=2)
        plain.set_params(epochs=2)
    (p,) = fit_predict(head, [split], clinical, y, FitCache())
    (without,) = fit_predict(plain, [split], clinical, y, FitCache())
    assert not np.allclose(p, without)
    train, test = split.train, split.test
    alone = clone(head).fit(split.bags.select(train), clinical.iloc[train], y[train])
    again = alone.predict_proba(split.bags.select(test), clinical.iloc[test])[:, 1]
    np.testing.assert_allclose(again, p, rtol=1e-4, atol=1e-6)
    # What is missing is no information: it is as if the training medians and commonest categories stood there.
    row = clinical.iloc[test[:1]]
    typical = clinical.iloc[train]
    gone = row.assign(haemoglobin=NAN, ldh=NAN, cd5=NAN, lineage="")
    same = row.assign(
        haemoglobin=typical["haemoglobin"].median(), ldh=np.exp(np.log(typical["ldh"]).median()),
        cd5=typical["cd5"].median(), lineage=typical.loc[typical["lineage"] != "", "lineage"].mode()[0],
    )  # fmt: skip
    bag = split.bags.select(test[:1])
    np.testing.assert_allclose(alone.predict_proba(bag, gone), alone.predict_proba(bag, same), rtol=1e-6)


def test_trees_may_rise_with_age_and_count_whatever_categories_follow(
    cohort: tuple[Split, pd.DataFrame, np.ndarray],
) -> None:
    split, clinical, y = cohort
    head = pooled(
        BoostedTrees, inputs="both", clinical_values=VALUES_OF_ALL, rotate=False, monotone=True, trees=20
    ).fit(split.bags, clinical, y)
    constraints = head.classifier_.model_.get_params()["monotone_constraints"]
    first = split.bags.dim
    assert [k for k, rising in enumerate(constraints) if rising] == [first, first + 1]
    assert len(constraints) == first + 3 + 3 + 3  # three of every patient, three numbers, three categories


def test_values_are_read_from_what_was_drawn() -> None:
    assert values_of({}) == ()
    assert values_of({VALUES: BUILT_IN}) == ()
    assert values_of({VALUES: f"{BUILT_IN}, hb, log ldh"}) == ("hb", "log ldh")


def test_a_count_that_is_left_out_is_no_sign_of_malignancy() -> None:
    """As in a registry where the count of malignant patients is missing more often.

    With the indicators, leaving the count out of reactive patients makes most of them malignant; without, the rest of
    the row decides.
    """
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 100).astype(np.int8)
    age = rng.normal(55, 8, 200) + 10 * y
    gone = rng.random(200) < np.where(y == 1, 0.5, 0.02)
    count = np.where(gone, NAN, np.exp(rng.normal(1.5, 0.5, 200) + 0.8 * y))
    table = pd.DataFrame({"age": age, "sex": rng.choice(["M", "F"], 200), "lymphocyte_count": count})
    nothing = Bags(np.empty((200, 0), np.float32), np.arange(200), np.ones(200, np.int64))
    reactive = np.flatnonzero((y == 0) & ~gone)
    turned = {}
    for indicator in (True, False):
        head = pooled(Logistic, inputs="clinical", missing_indicator=indicator).fit(nothing, table, y)
        before = head.predict(nothing.select(reactive), table.iloc[reactive])
        after = head.predict(nothing.select(reactive), table.iloc[reactive].assign(lymphocyte_count=NAN))
        turned[indicator] = (after[before == 0] == 1).mean()
    assert turned[True] > 0.5
    assert turned[False] < 0.2
