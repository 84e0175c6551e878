"""What images add: exact where the head allows it, the naive way for the others."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from lymphofeat.cache.bags import Bags
from lymphofeat.errors import InputError
from lymphofeat.explanation import image_contributions, patient_parts, randomisation_test
from lymphofeat.explanation.images import leave_one_out
from lymphofeat.heads import Design, Logistic, PooledHead, pooled
from lymphofeat.heads.contributions import Contributions
from lymphofeat.heads.discriminant import ShrunkenLDA
from lymphofeat.heads.fusion.late import LateFusion
from lymphofeat.heads.fusion.stacked import StackedFusion
from lymphofeat.heads.neural.additive import AdditiveAttention
from lymphofeat.heads.neural.attention import AttentionPooling, GatedAttention
from lymphofeat.heads.svm import SupportVectorMachine

from ..helpers.caches import features, patients

SMALL = {"pca": 6, "hidden": 5, "epochs": 4}


@pytest.fixture(scope="module")
def cohort() -> tuple[Bags, pd.DataFrame, np.ndarray]:
    table = patients(60, 0, seed=3)
    lengths = table["n_images"].to_numpy(np.int64)
    rows = features(table, dim=20, seed=3)
    return Bags(rows, np.cumsum(lengths) - lengths, lengths), table, table["label"].to_numpy(np.int8)


def linear_heads() -> Iterator[Any]:
    yield pooled(Logistic)
    yield pooled(Logistic, inputs="image", pca=5, scale=False)
    yield pooled(Logistic, inputs="clinical", interaction=True, spline="age")
    yield pooled(Logistic, pca=7, cross=True, interaction=True, class_weight="balanced")
    yield pooled(Logistic, bag_size=True, C=0.1)
    yield pooled(Logistic, C=0.5, l1_ratio=0.5, pca=8)
    yield pooled(ShrunkenLDA, shrinkage=0.3)
    yield pooled(ShrunkenLDA, shrinkage=0.3, class_weight="balanced")
    yield pooled(SupportVectorMachine, kernel="linear", C=0.1)
    yield LateFusion(average="logits", weight=0.3)
    yield StackedFusion(image=pooled(ShrunkenLDA, inputs="image", shrinkage=0.5))


@pytest.mark.parametrize("head", list(linear_heads()), ids=lambda h: type(h).__name__)
def test_a_linear_head_is_a_sum_to_nine_digits(
    head: Any, cohort: tuple[Bags, pd.DataFrame, np.ndarray]
) -> None:
    bags, table, y = cohort
    head.fit(bags, table, y)
    parts = head.image_contributions(bags, table)
    assert parts is not None
    assert parts.method == "exact"
    assert parts.logits == pytest.approx(logit(head.predict_proba(bags, table)[:, 1]), abs=1e-9)
    assert [len(v) for v in parts.images] == bags.lengths.tolist()


def test_an_image_adds_what_it_changes(cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    """An image's contribution follows it into another bag of the same size; the mean image adds nothing."""
    bags, table, y = cohort
    head = pooled(Logistic).fit(bags, table, y)
    i = int(np.argmax(bags.lengths))
    mean = np.mean([bag.mean(axis=0, dtype=np.float64) for bag in bags], axis=0)
    changed = bags[i].copy()
    changed[2] = mean
    before, after = (
        head.image_contributions(Bags.from_list([b]), table.iloc[[i]]) for b in (bags[i], changed)
    )
    assert before is not None
    assert after is not None
    assert after.images[0][2] == pytest.approx(0, abs=1e-6)  # the mean as float32
    assert before.logits[0] - after.logits[0] == pytest.approx(before.images[0][2], abs=1e-6)


@pytest.mark.parametrize(
    "head",
    [
        pooled(Logistic, pooling="max"),
        pooled(SupportVectorMachine),
        LateFusion(),
        pooled(Logistic, pooling="mean+std"),
    ],
    ids=["max", "rbf", "late", "mean+std"],
)
def test_leaving_one_out_is_predicting_without_it(
    head: Any, cohort: tuple[Bags, pd.DataFrame, np.ndarray]
) -> None:
    bags, table, y = cohort
    head.fit(bags, table, y)
    assert head.image_contributions(bags, table) is None
    i = int(np.argmax(bags.lengths))
    mine = bags.select(np.array([i])), table.iloc[[i]]
    (found,) = image_contributions(head, *mine)
    whole = logit(head.predict_proba(*mine)[0, 1])
    naive = [
        whole - logit(head.predict_proba(Bags.from_list([np.delete(bags[i], j, axis=0)]), mine[1])[0, 1])
        for j in range(len(bags[i]))
    ]
    assert found.method == "leave-one-out"
    assert found.values == pytest.approx(naive, abs=1e-5)
    assert found.logit == pytest.approx(whole)


def test_an_only_image_cannot_be_left_out(cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    bags, table, y = cohort
    head = pooled(Logistic, pooling="max").fit(bags, table, y)
    i = int(np.argmin(bags.lengths))
    assert bags.lengths[i] == 1
    assert np.isnan(leave_one_out(head, bags.select(np.array([i])), table.iloc[[i]])[0]).all()


def test_a_head_without_images_gives_them_nothing(cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    bags, table, y = cohort
    found = image_contributions(pooled(Logistic, inputs="clinical").fit(bags, table, y), bags, table)
    assert {one.method for one in found} == {"none"}
    assert not np.concatenate([one.values for one in found]).any()


@pytest.mark.parametrize("kind", [AttentionPooling, GatedAttention, AdditiveAttention])
@pytest.mark.parametrize("inputs", ["image", "both"])
def test_attention_adds_up(kind: Any, inputs: str, cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    """Contributions and the rest (clinical part, offset) are the log-odds; equal rows have one rest."""
    bags, table, y = cohort
    head = kind(inputs=inputs, **SMALL).fit(bags, table, y)
    alike = table.iloc[np.zeros(len(table), dtype=int)]
    found = image_contributions(head, bags, alike)
    rest = [one.logit - one.values.sum() for one in found]
    assert np.ptp(rest) < 1e-4
    assert np.std([one.logit for one in found]) > 0.01
    assert {one.method for one in found} == {"attention"}
    if kind is not AdditiveAttention:
        for one, n in zip(found, bags.lengths, strict=True):
            assert one.weights is not None
            assert one.weights.sum() == pytest.approx(1, abs=1e-5)
            assert len(one.weights) == len(one.values) == n


class Darkest(PooledHead):
    """A user's own head: it names the image whose first feature is the lowest."""

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions:
        marked = [(bag[:, 0] == bag[:, 0].min()).astype(np.float64) for bag in bags]
        nothing = np.zeros(len(bags))
        return Contributions("attention", marked, nothing, nothing, 0.0, marked)


def test_a_head_of_ones_own_may_tell_what_its_images_add(
    cohort: tuple[Bags, pd.DataFrame, np.ndarray],
) -> None:
    bags, table, y = cohort
    head = Darkest(design=Design(pooling="max"), classifier=Logistic()).fit(bags, table, y)
    found = image_contributions(head, bags, table)
    for i, one in enumerate(found):
        assert one.method == "attention"
        assert one.values.argmax() == bags[i][:, 0].argmin()
        assert one.weights is not None
        assert one.logit == pytest.approx(logit(head.predict_proba(bags, table)[i, 1]))


class Flattened(LogisticRegression):
    """Has linear coefficients, but not the log-odds that they give."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return (super().predict_proba(X) + 0.5) / 2


def test_coefficients_that_are_not_those_of_the_log_odds_are_not_believed(
    cohort: tuple[Bags, pd.DataFrame, np.ndarray],
) -> None:
    bags, table, y = cohort
    head = PooledHead(design=Design(), classifier=Flattened()).fit(bags, table, y)
    assert head.image_contributions(bags, table) is None
    assert image_contributions(head, *_first(bags, table))[0].method == "leave-one-out"


def test_fusion_tells_only_what_both_parts_tell_exactly(
    cohort: tuple[Bags, pd.DataFrame, np.ndarray],
) -> None:
    bags, table, y = cohort
    for image in (GatedAttention(inputs="image", **SMALL), pooled(SupportVectorMachine, inputs="image")):
        head = LateFusion(image=image, average="logits").fit(bags, table, y)
        assert head.image_contributions(bags, table) is None
        assert image_contributions(head, *_first(bags, table))[0].method == "leave-one-out"


def _first(bags: Bags, table: pd.DataFrame) -> tuple[Bags, pd.DataFrame]:
    return bags.select(np.array([0])), table.iloc[[0]]


def test_members_are_averaged(cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    bags, table, y = cohort
    head = GatedAttention(inputs="image", members=3, **SMALL).fit(bags, table, y)
    whole = image_contributions(head, bags, table)
    each = []
    for k in range(3):
        one = GatedAttention(inputs="image", **SMALL).fit(bags, table, y)
        one.coordinates_, one.parameters_ = head.coordinates_, head.parameters_[k : k + 1]
        each.append(image_contributions(one, bags, table))
    for i in range(len(bags)):
        assert whole[i].values == pytest.approx(np.mean([e[i].values for e in each], axis=0), abs=1e-5)


@pytest.mark.parametrize(
    "head", [pooled(Logistic), LateFusion(average="logits"), pooled(ShrunkenLDA, shrinkage=0.5)]
)
def test_the_split_of_a_linear_head_is_its_own(
    head: Any, cohort: tuple[Bags, pd.DataFrame, np.ndarray]
) -> None:
    bags, table, y = cohort
    training = np.arange(45)
    head.fit(bags.select(training), table.iloc[training], y[training])
    for row in (50, 59):
        found = patient_parts(head, bags, table, row, training)
        parts = head.image_contributions(bags.select(np.array([row])), table.iloc[[row]])
        assert parts is not None
        assert found.image == pytest.approx(parts.images[0].sum(), abs=1e-9)
        assert found.clinical == pytest.approx(parts.clinical[0], abs=1e-9)
        assert found.base == pytest.approx(parts.intercept, abs=1e-9)


@pytest.mark.parametrize("inputs", ["image", "clinical", "both"])
def test_any_head_is_split_without_a_rest(inputs: str, cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    bags, table, y = cohort
    training = np.arange(45)
    head = pooled(SupportVectorMachine, inputs=inputs).fit(
        bags.select(training), table.iloc[training], y[training]
    )
    found = patient_parts(head, bags, table, 52, training)
    assert found.base + found.image + found.clinical == pytest.approx(found.logit)
    if inputs == "image":
        assert found.clinical == pytest.approx(0, abs=1e-9)
    if inputs == "clinical":
        assert found.image == pytest.approx(0, abs=1e-9)
    if inputs == "both":
        assert abs(found.image) > 1e-3
        assert abs(found.clinical) > 1e-3


def big_bags(signal: float, seed: int) -> tuple[Bags, pd.DataFrame, np.ndarray]:
    """Patients of 30 images whose features are moved along one direction by the label."""
    table = patients(80, 0, seed=seed).assign(n_images=30)
    lengths = table["n_images"].to_numpy(np.int64)
    y = table["label"].to_numpy(np.int8)
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=12) / np.sqrt(12)
    rows = rng.normal(size=(lengths.sum(), 12)) + signal * np.repeat(y, lengths)[:, None] * direction
    return Bags(rows.astype(np.float32), np.cumsum(lengths) - lengths, lengths), table, y


@pytest.mark.parametrize(
    "head", [pooled(Logistic, inputs="image"), pooled(Logistic, inputs="image", pooling="max")]
)
def test_maps_follow_what_the_head_has_learnt(head: Any) -> None:
    found = randomisation_test(head, *big_bags(1.5, 5), np.arange(10), draws=8)
    assert found.shuffled.shape == found.refitted.shape == (8, 10)
    assert abs(found.correlation) < 0.25
    assert found.repeatability > 0.6


def test_a_map_of_the_images_alone_would_be_found_out() -> None:
    """A head whose map does not depend on labels stays at a correlation of 1."""

    class Brightness(PooledHead):
        def fit(self, bags: Bags, clinical: pd.DataFrame, y: np.ndarray) -> "Brightness":
            super().fit(bags, clinical, y)
            self.classifier_.model_.coef_ = np.ones_like(self.classifier_.coef_)
            axes = np.linalg.qr(np.random.default_rng(0).normal(size=self.design_.axes_.axes.shape))[0]
            self.design_.axes_.axes[:] = axes
            return self

    found = randomisation_test(
        Brightness(design=Design(inputs="image", scale=False), classifier=Logistic()),
        *big_bags(1.5, 5),
        np.arange(6),
        draws=3,
    )
    assert found.correlation > 0.95


def test_the_randomisation_test_needs_images_to_rank(cohort: tuple[Bags, pd.DataFrame, np.ndarray]) -> None:
    with pytest.raises(InputError, match="three images or more"):
        randomisation_test(pooled(Logistic), *cohort, np.arange(60))
