"""What every head type of the registry keeps to: its first points and some drawn ones, as heads."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optuna.trial import FixedTrial
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from lymphofeat.cache.bags import Bags
from lymphofeat.cohort.clinical import clinical_frame
from lymphofeat.errors import InputError
from lymphofeat.heads import FitCache, Split, fit_predict, pooled
from lymphofeat.heads.base import BatchFit
from lymphofeat.heads.linear import Logistic
from lymphofeat.heads.registry import COSTS, HeadType, head_types
from lymphofeat.synthetic.features import simulate_features

N, DIM = 36, 6
# Boosted trees jump where the others bend: a feature that differs in its last digit may fall on the other side.
TOLERANCE = 1e-4
Patients = tuple[Bags, pd.DataFrame, np.ndarray]


@dataclass
class Drawn:
    """A trial that draws at random and remembers what it was asked."""

    rng: np.random.Generator
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = np.exp(self.rng.uniform(np.log(low), np.log(high))) if log else self.rng.uniform(low, high)
        return self.params.setdefault(name, float(value))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self.params.setdefault(name, int(self.rng.integers(low, high + 1)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.params.setdefault(name, choices[self.rng.integers(len(choices))])


def _shortened(head: Any) -> Any:
    """With fewer passes and trees, so that the sweep takes seconds, and without noise that counts images."""
    short = {"epochs": 3, "trees": 20, "hidden": 8, "batch_size": 16, "instance_dropout": 0.0}
    return head.set_params(
        **{k: short[k.split("__")[-1]] for k in head.get_params() if k.split("__")[-1] in short}
    )


class Plain(ClassifierMixin, BaseEstimator):
    """A head without `fit_predict_splits`, which is optional."""

    def __init__(self, *, inputs: str = "both") -> None:
        self.inputs = inputs

    def fit(self, bags: Bags, clinical: pd.DataFrame, y: np.ndarray) -> "Plain":
        self.inner_ = pooled(Logistic, inputs=self.inputs).fit(bags, clinical, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, bags: Bags, clinical: pd.DataFrame) -> np.ndarray:
        return self.inner_.predict_proba(bags, clinical)


def _heads() -> dict[str, Any]:
    found: dict[str, Any] = {"plain": Plain(), "plain-image": Plain(inputs="image")}
    for name, head_type in head_types().items():
        for number, point in enumerate(head_type.default_params):
            drawn = head_type.suggest(FixedTrial(head_type.enqueued(point)))
            found[f"{name}-first-{number}"] = _shortened(head_type.build(**drawn))
        for seed in range(2 if head_type.cost == "expensive" else 4):
            drawn = head_type.suggest(Drawn(np.random.default_rng([seed, len(name)])))
            found[f"{name}-drawn-{seed}"] = _shortened(head_type.build(**drawn))
    return found


HEADS = _heads()
each_head = pytest.mark.parametrize("name", HEADS)


@pytest.fixture(scope="module")
def patients() -> Patients:
    cohort = simulate_features(N, (2, 9), DIM, signal="mean", strength=2.0, seed=3)
    table = cohort.table.copy()
    table.loc[::7, "age"] = np.nan
    table.loc[1::9, "sex"] = ""
    table.loc[[2, 3], ["birth", "sex"]] = ["1950-01-02", "F"]  # one person twice
    return Bags.from_list(cohort.bags), clinical_frame(table), cohort.y


@pytest.fixture(scope="module")
def fitted(patients: Patients) -> dict[str, Any]:
    return {name: clone(head).fit(*patients) for name, head in HEADS.items()}


def sees_images(head: Any) -> bool:
    return getattr(head, "inputs", None) != "clinical"


@pytest.mark.parametrize("head_type", head_types().values(), ids=head_types())
def test_a_head_type_says_what_it_is(head_type: HeadType) -> None:
    assert head_type.cost in COSTS
    assert head_type.summary.endswith(".")
    assert head_type.source
    assert head_type.inputs
    assert "." not in head_type.name
    drawn = Drawn(np.random.default_rng(0))
    point = head_type.suggest(drawn)
    assert all(parameter.startswith(f"{head_type.name}.") for parameter in drawn.params)
    again = head_type.suggest(FixedTrial(drawn.params))
    assert again == point
    assert (
        head_type.build(**point).get_params(deep=False).keys()
        == head_type.build(**again).get_params(deep=False).keys()
    )
    if len(head_type.inputs) > 1:
        seen = {head_type.suggest(Drawn(np.random.default_rng(s)))["inputs"] for s in range(40)}
        assert seen == set(head_type.inputs)
    for fixed in head_type.inputs:
        if len(head_type.inputs) > 1:
            assert head_type.suggest(Drawn(np.random.default_rng(1)), {"inputs": fixed})["inputs"] == fixed


@pytest.mark.parametrize("head_type", head_types().values(), ids=head_types())
def test_first_points_name_all_that_is_drawn(head_type: HeadType) -> None:
    """None is left to chance, and none is there in vain."""
    for point in head_type.default_params:
        drawn = Drawn(np.random.default_rng(0), head_type.enqueued(point))
        head_type.suggest(drawn)
        assert drawn.params == head_type.enqueued(point)


def test_the_quick_way_over_splits_is_optional() -> None:
    assert not isinstance(HEADS["plain"], BatchFit)
    assert isinstance(HEADS["logistic-first-0"], BatchFit)


def test_names_and_order_of_head_types() -> None:
    costs = [COSTS.index(head_type.cost) for head_type in head_types().values()]
    assert costs == sorted(costs)
    assert {"logistic", "svm", "xgboost", "instances", "late", "stacked", "mixture"} <= set(head_types())


@each_head
def test_neither_order_nor_repetition_of_images_matters(
    name: str, fitted: dict[str, Any], patients: Patients
) -> None:
    bags, clinical, _ = patients
    rng = np.random.default_rng(0)
    changed = Bags.from_list([np.tile(b, (t, 1))[rng.permutation(t * len(b))] for b, t in
                              zip(bags, rng.integers(1, 4, N), strict=True)])  # fmt: skip
    expected = fitted[name].predict_proba(bags, clinical)
    np.testing.assert_allclose(fitted[name].predict_proba(changed, clinical), expected, atol=TOLERANCE)


@each_head
def test_repeating_images_teaches_nothing(name: str, fitted: dict[str, Any], patients: Patients) -> None:
    bags, clinical, y = patients
    # Only malignant patients' bags are shown thrice: their number must not become a feature or a weight.
    repeated = Bags.from_list([np.tile(b, (1 + 2 * label, 1)) for b, label in zip(bags, y, strict=True)])
    p = clone(HEADS[name]).fit(repeated, clinical, y).predict_proba(bags, clinical)
    np.testing.assert_allclose(p, fitted[name].predict_proba(bags, clinical), atol=10 * TOLERANCE)


@each_head
def test_estimator(name: str, fitted: dict[str, Any], patients: Patients) -> None:
    bags, clinical, y = patients
    copy = clone(HEADS[name])
    assert str(copy.get_params()) == str(HEADS[name].get_params())
    assert copy.fit(bags, clinical, y) is copy
    p = copy.predict_proba(bags, clinical)
    assert p.shape == (N, 2)
    assert p.dtype == np.float64
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(copy.classes_, [0, 1])
    np.testing.assert_array_equal(fitted[name].predict_proba(bags, clinical), p)  # the same each time
    alone = copy.predict_proba(bags.select(np.array([7])), clinical.iloc[[7]])
    np.testing.assert_allclose(alone, p[[7]], atol=TOLERANCE)


@each_head
def test_splits_together_equal_splits_apart(name: str, patients: Patients) -> None:
    bags, clinical, y = patients
    rows = np.random.default_rng(4).permutation(N)
    splits = [Split(bags, "k", np.sort(rows[9:]), np.sort(rows[:9])),
              Split(bags, "k", np.sort(rows[:-9]), np.sort(rows[-9:]))]  # fmt: skip
    head = HEADS[name]
    fit_cache = FitCache()
    together = fit_predict(head, splits, clinical, y, fit_cache)
    for split, p in zip(splits, together, strict=True):
        plain = clone(head).fit(bags.select(split.train), clinical.iloc[split.train], y[split.train])
        expected = plain.predict_proba(bags.select(split.test), clinical.iloc[split.test])[:, 1]
        np.testing.assert_allclose(p, expected, atol=TOLERANCE)
    hidden = y.copy()
    hidden[splits[0].test] = -1
    np.testing.assert_allclose(
        fit_predict(head, splits[:1], clinical, hidden, FitCache())[0], together[0], atol=1e-6
    )
    assert not hasattr(head, "classes_")


@each_head
def test_training_patients_and_oneself_decide_and_nobody_else(name: str, patients: Patients) -> None:
    """All that is known of the others is replaced, their labels too; nothing is remembered from before."""
    bags, clinical, y = patients
    rows = np.random.default_rng(6).permutation(N)
    split = Split(bags, "k", np.sort(rows[12:]), np.sort(rows[:6]))  # six patients are in neither
    (expected,) = fit_predict(HEADS[name], [split], clinical, y, FitCache())
    others = np.setdiff1d(np.arange(N), np.r_[split.train, split.test[:1]])
    strange = Bags(bags.features.copy(), bags.starts, bags.lengths)
    for row in others:
        strange[row][:] = np.random.default_rng(row).normal(3.0, 9.0, strange[row].shape)
    values, hidden = clinical.copy(), np.full_like(y, -1)
    values.iloc[others, values.columns.get_indexer(["age", "lymphocyte_count"])] = [3.0, 900.0]
    values.iloc[others, values.columns.get_loc("sex")] = "M"
    hidden[split.train] = y[split.train]
    (found,) = fit_predict(
        HEADS[name], [replace(split, bags=strange, features_digest="other")], values, hidden, FitCache()
    )
    np.testing.assert_allclose(found[0], expected[0], atol=TOLERANCE)


@each_head
def test_threads_change_no_bit(name: str, patients: Patients, monkeypatch: pytest.MonkeyPatch) -> None:
    bags, clinical, y = patients
    rows = np.random.default_rng(5).permutation(N)
    splits = [Split(bags, "k", np.sort(np.delete(rows, part)), np.sort(rows[part]))
              for part in np.array_split(np.arange(N), 4)]  # fmt: skip
    alone = fit_predict(HEADS[name], splits, clinical, y, FitCache())
    monkeypatch.setattr("lymphofeat.heads.base._LARGE", 1)
    for fit_cache in (FitCache(threads=3), FitCache(1, threads=3)):
        for p, expected in zip(fit_predict(HEADS[name], splits, clinical, y, fit_cache), alone, strict=True):
            np.testing.assert_array_equal(p, expected)


@each_head
def test_poor_bags_give_a_result(name: str, patients: Patients) -> None:
    bags, clinical, y = patients
    single = Bags.from_list([bag[:1] for bag in bags])
    identical = Bags.from_list([np.tile(bag[:1], (4, 1)) for bag in bags])
    alike = Bags.from_list([np.full((3, DIM), 0.5, dtype=np.float32)] * N)
    constant = Bags(bags.features.copy(), bags.starts, bags.lengths)
    constant.features[:, 2] = 0.1
    for poor in (single, identical, alike, constant):
        p = clone(HEADS[name]).fit(poor, clinical, y).predict_proba(poor, clinical)
        assert np.isfinite(p).all()
    if sees_images(HEADS[name]) and getattr(HEADS[name], "inputs", None) == "image":
        p = clone(HEADS[name]).fit(alike, clinical, y).predict_proba(alike, clinical)
        np.testing.assert_allclose(p, p[[0]].repeat(N, axis=0), atol=1e-6)


@each_head
def test_all_clinical_values_missing(name: str, patients: Patients) -> None:
    bags, clinical, y = patients
    empty = clinical.assign(age=np.nan, sex="", count=np.nan)
    p = clone(HEADS[name]).fit(bags, empty, y).predict_proba(bags, empty)
    assert np.isfinite(p).all()


@each_head
def test_bad_input_gets_a_sentence(name: str, fitted: dict[str, Any], patients: Patients) -> None:
    bags, clinical, y = patients
    everyone = np.arange(N)
    for labels in (np.zeros_like(y), np.ones_like(y)):
        with pytest.raises(InputError, match="all of one class"):
            clone(HEADS[name]).fit(bags, clinical, labels)
        with pytest.raises(InputError, match="all of one class"):
            fit_predict(
                HEADS[name], [Split(bags, "k", everyone[:-3], everyone[-3:])], clinical, labels, FitCache()
            )
    if not sees_images(HEADS[name]):
        return
    for value in (np.nan, np.inf, -np.inf):
        broken = Bags(bags.features.copy(), bags.starts, bags.lengths)
        broken.features[3, 0] = value
        with pytest.raises(InputError, match="NaN or infinite"):
            clone(HEADS[name]).fit(broken, clinical, y)
        with pytest.raises(InputError, match="NaN or infinite"):
            fitted[name].predict_proba(broken, clinical)


@each_head
def test_one_patient_of_a_class_gives_a_result_or_a_sentence(name: str, patients: Patients) -> None:
    bags, clinical, y = patients
    few = np.r_[np.flatnonzero(y == 0)[:1], np.flatnonzero(y == 1)]
    try:
        model = clone(HEADS[name]).fit(bags.select(few), clinical.iloc[few], y[few])
    except InputError as error:
        assert "add patients" in str(error) or "early_stopping" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(model.predict_proba(bags, clinical)).all()


@pytest.mark.parametrize("head_type", head_types())
def test_all_bad_arguments_are_listed_at_once(head_type: str, patients: Patients) -> None:
    head = clone(next(head for name, head in HEADS.items() if name.startswith(f"{head_type}-")))
    names = list(head.get_params(deep=False))
    for argument in names:
        setattr(head, argument, object())
    with pytest.raises(InputError) as caught:
        head.fit(*patients)
    for argument in names:
        assert f"{argument} must be" in str(caught.value)
    with pytest.raises(InputError):
        fit_predict(
            head, [Split(patients[0], "k", np.arange(30), np.arange(30, N))], *patients[1:], FitCache()
        )
