"""The vectorised scores against scikit-learn and against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import (
    average_precision_score,
    balanced_accuracy_score,
    bootstrap,
    brier_loss,
    log_loss,
    roc_auc_score,
    score,
)
from lymphofeat.metric import METRICS

scored = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 20).map(lambda k: k / 20)), min_size=2, max_size=40
).filter(lambda rows: len({y for y, _ in rows}) == 2)


@given(scored)
@settings(deadline=None)
def test_scores_equal_scikit_learn(rows: list[tuple[int, float]]) -> None:
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    assert roc_auc_score(y, p) == pytest.approx(metrics.roc_auc_score(y, p))
    assert log_loss(y, p) == pytest.approx(metrics.log_loss(y, p))
    assert balanced_accuracy_score(y, p > 0.5) == pytest.approx(metrics.balanced_accuracy_score(y, p > 0.5))
    assert average_precision_score(y, p) == pytest.approx(metrics.average_precision_score(y, p))
    assert brier_loss(y, p) == pytest.approx(metrics.brier_score_loss(y, p))


@given(scored, st.floats(0.1, 10), st.floats(0.1, 10))
@settings(deadline=None)
def test_class_weights_are_weights_of_patients(
    rows: list[tuple[int, float]], reactive: float, malignant: float
) -> None:
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    weights = np.where(y == 1, malignant, reactive)
    expected = metrics.accuracy_score(y, p > 0.5, sample_weight=weights)
    assert balanced_accuracy_score(y, p > 0.5, (reactive, malignant)) == pytest.approx(expected)
    # Weights that balance these very patients give balanced accuracy back.
    own = (1 / float((y == 0).sum()), 1 / float((y == 1).sum()))
    assert balanced_accuracy_score(y, p > 0.5, own) == pytest.approx(balanced_accuracy_score(y, p > 0.5))
    assert score("auc", y, p, (reactive, malignant)) == roc_auc_score(y, p)


def naive_interval(name: str, y: np.ndarray, p: np.ndarray, n_resamples: int) -> tuple[float, float]:
    """The same interval by resampling patients, one resample at a time."""
    measure = {
        "auc": metrics.roc_auc_score,
        "average_precision": metrics.average_precision_score,
        "brier": metrics.brier_score_loss,
        "log_loss": metrics.log_loss,
        "balanced_accuracy": lambda y, p: metrics.balanced_accuracy_score(y, p > 0.5),
        "weighted": lambda y, p: metrics.accuracy_score(y, p > 0.5, sample_weight=np.where(y == 1, 3, 1)),
    }[name]
    rng = np.random.default_rng(1)
    classes = [np.flatnonzero(y == label) for label in (0, 1)]
    values = []
    for _ in range(n_resamples):
        rows = np.concatenate([rng.choice(members, len(members)) for members in classes])
        values.append(measure(y[rows], p[rows]))
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)


@pytest.mark.parametrize("metric", [*METRICS, "weighted"])
def test_interval_equals_a_loop_over_resamples(metric: str) -> None:
    rng = np.random.default_rng(3)
    y = rng.permutation(np.repeat([0, 1], [25, 45]))
    p = np.round(1 / (1 + np.exp(-(2 * y - 1 + rng.normal(size=70)))), 2)  # rounded: ties
    name, weights = ("balanced_accuracy", (1.0, 3.0)) if metric == "weighted" else (metric, None)
    interval = bootstrap(name, y, p, decision=p > 0.5, class_weights=weights, n_resamples=4000).percentile(
        0.9
    )
    low, high = naive_interval(metric, y, p, 1500)
    width = high - low
    assert interval.low == pytest.approx(low, abs=0.08 * width)
    assert interval.high == pytest.approx(high, abs=0.08 * width)
    assert interval.low < interval.value < interval.high


def test_interval_is_a_function_of_its_seed() -> None:
    y, p = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8, 0.3, 0.6, 0.9])
    assert bootstrap("auc", y, p, seed=4).interval() == bootstrap("auc", y, p, seed=4).interval()
    assert bootstrap("log_loss", y, p, seed=4).interval() != bootstrap("log_loss", y, p, seed=5).interval()


def test_interval_does_not_depend_on_the_order_of_scores_within_ties() -> None:
    y = np.array([1, 0, 1, 0, 1, 0])
    flat = bootstrap("auc", y, np.full(6, 0.5)).interval()
    assert flat == (0.5, 0.5, 0.5)
    assert bootstrap("auc", y, y.astype(float)).interval() == pytest.approx((1.0, 0.025 ** (1 / 3), 1.0))


def test_interval_covers_the_true_auc_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    true = 0.7602499  # Φ(1/√2): two unit normals one apart
    hits = 0
    for trial in range(200):
        y = np.repeat([0, 1], [40, 60])
        interval = bootstrap("auc", y, rng.normal(size=100) + y, n_resamples=400, seed=trial).interval()
        hits += interval.low <= true <= interval.high
    assert 180 <= hits <= 199  # 95 % of 200 is 190, and the binomial's 3 deviations are 9


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("auc", [0, 1, 2], [0.1, 0.2, 0.3]), "labels 0 and 1"),
        (("auc", [1, 1], [0.1, 0.2]), "both classes"),
        (("auc", [0, 1], [0.1, np.nan]), "not numbers"),
        (("auc", [0, 1], [0.1, 0.2, 0.3]), "one row per patient"),
        (
            ("log_loss", [0, 1], [0.1, 1.2]),
            "Log loss is measured on probabilities; some values are outside 0 to 1",
        ),
        (("brier", [0, 1], [-0.1, 1.0]), "Brier score is measured on probabilities"),
        (("balanced_accuracy", [0, 1], [0.1, 0.2]), "give `decision`"),
        (("accuracy", [0, 1], [0.1, 0.2]), "no metric 'accuracy'"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments: tuple[str, list[int], list[float]], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        bootstrap(*arguments).interval()


def test_decisions_must_be_decisions() -> None:
    with pytest.raises(InputError, match="threshold"):
        balanced_accuracy_score([0, 1], [0.2, 0.9])
    with pytest.raises(InputError, match="confidence"):
        bootstrap("auc", [0, 1], [0.2, 0.9]).interval(1.0)
    for weights in ((1.0, 0.0), (1.0, float("inf")), (1.0,)):
        with pytest.raises(InputError, match="two numbers above 0"):
            balanced_accuracy_score([0, 1], [0, 1], weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", METRICS)
def test_differences_are_taken_on_the_same_resamples(metric: str) -> None:
    rng = np.random.default_rng(3)
    y = rng.permutation(np.repeat([0, 1], [25, 35]))
    a = np.clip(0.5 + 0.2 * (y - 0.5) + rng.normal(0, 0.2, 60), 0.01, 0.99)
    b = np.clip(a + rng.normal(0, 0.03, 60), 0.01, 0.99)
    one, other = (bootstrap(metric, y, p, decision=p >= 0.5, n_resamples=300, seed=5) for p in (a, b))
    paired = (one - other).percentile()
    assert paired.value == pytest.approx(one.value - other.value)
    differences = one.resampled - other.resampled
    assert (paired.low, paired.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    # Two systems that err alike differ more surely than either is known.
    assert paired.high - paired.low < min(s.interval().high - s.interval().low for s in (one, other))
    assert (one - one).percentile() == (0.0, 0.0, 0.0)
