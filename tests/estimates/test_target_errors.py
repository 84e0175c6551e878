"""Conformal sets, triage and sensitive thresholds: their rules, and that what they promise holds in simulated cohorts.

A simulated patient has z ~ N(±d/2, 1), P(y = 1) = 0.6 and p = expit(1.3 (d z + log 1.5)): overconfident, in the right
order. The true error of any rule on p is an integral over z, done on a fine grid.
"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import beta, binom, norm

from lymphofeat.errors import InputError
from lymphofeat.estimates import REFER, sensitive_threshold, split_conformal, triage
from lymphofeat.estimates.exact import lower_bound, upper_bound
from lymphofeat.estimates.triage import certainty, p_value_above

COHORTS, PATIENTS = 200, 163
Decide = Callable[[np.ndarray], np.ndarray]


class Drawn:
    """Cohorts with a known truth."""

    def __init__(self, distance: float) -> None:
        self.distance = distance
        z = np.linspace(-9, 9, 8_001)
        self.p = self.probability(z)
        density = np.stack([0.4 * norm.pdf(z, -distance / 2), 0.6 * norm.pdf(z, distance / 2)])
        self.mass = density / density.sum()  # (2, grid): reactive, malignant

    def probability(self, z: np.ndarray) -> np.ndarray:
        return expit(1.3 * (self.distance * z + np.log(1.5)))

    def cohort(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, round(100 * self.distance)])
        y = (rng.random(PATIENTS) < 0.6).astype(int)
        return y, self.probability(rng.normal(size=PATIENTS) + self.distance * (y - 0.5))

    def wrong(self, decide: Decide) -> tuple[np.ndarray, float]:
        """(2,) P(reactive, decided wrongly) and P(malignant, decided wrongly); the share decided."""
        decision = decide(self.p)
        wrong = np.array([self.mass[0, decision == 1].sum(), self.mass[1, decision == 0].sum()])
        return wrong, float(self.mass[:, decision != REFER].sum())


@pytest.fixture(scope="module", params=[1.5, 2.3])
def simulated(request: pytest.FixtureRequest) -> Drawn:
    return Drawn(request.param)


@pytest.mark.parametrize("search", ["fixed-sequence", "bonferroni"])
@pytest.mark.parametrize("bound", ["clopper-pearson", "hoeffding-bentkus"])
@pytest.mark.parametrize("error", [0.05, 0.1])
def test_triage_keeps_its_promise_in_at_least_93_of_100_cohorts(
    simulated: Drawn, error: float, search: str, bound: str
) -> None:
    kept = decided = 0.0
    for seed in range(COHORTS):
        rule = triage(*simulated.cohort(seed), error, search=search, bound=bound)
        wrong, share = simulated.wrong(rule.decide)
        kept += wrong.sum() <= error * share + 1e-12
        decided += share
    assert kept >= 0.93 * COHORTS
    if error == 0.1 and simulated.distance > 2 and bound == "clopper-pearson":
        least = 0.5 if search == "fixed-sequence" else 0.3
        assert decided >= least * COHORTS  # a promise kept by referring everyone would be none


@pytest.mark.parametrize("class_conditional", [False, True])
def test_conformal_sets_keep_the_promise_for_this_cohort(simulated: Drawn, class_conditional: bool) -> None:  # noqa: FBT001
    error, kept = 0.1, 0
    for seed in range(COHORTS):
        found = split_conformal(
            *simulated.cohort(seed), error, confidence=0.95, class_conditional=class_conditional
        )
        wrong, _ = simulated.wrong(found.decide)
        by_class = wrong / simulated.mass.sum(axis=1)
        kept += (by_class.max() if class_conditional else wrong.sum()) <= error + 1e-12
    # one promise by class is two promises, each at 95 %
    assert kept >= (0.88 if class_conditional else 0.93) * COHORTS


def test_conformal_sets_keep_the_promise_on_average(simulated: Drawn) -> None:
    wrong = [
        simulated.wrong(split_conformal(*simulated.cohort(seed), 0.1).decide)[0].sum()
        for seed in range(COHORTS)
    ]
    assert np.mean(wrong) <= 0.1
    assert np.mean(wrong) > 0.05  # nor is it kept by referring everyone


def test_the_sensitive_threshold_keeps_its_sensitivity(simulated: Drawn) -> None:
    kept = 0
    for seed in range(COHORTS):
        found = sensitive_threshold(*simulated.cohort(seed), sensitivity=0.9)
        missed = (
            simulated.wrong(lambda p, threshold=found.threshold: (p >= threshold).astype(int))[0][1]
            / simulated.mass[1].sum()
        )
        kept += missed <= 0.1 + 1e-12
    assert 0.93 * COHORTS <= kept < COHORTS


def test_triage_equals_a_walk_from_the_most_certain_patient_down() -> None:
    y, p = Drawn(2.3).cohort(5)
    confident = np.abs(2 * p - 1)
    order = np.argsort(-confident)
    first = next(n for n in range(200) if binom.cdf(1, n, 0.1) <= 0.05 and n > 1)
    decided = 0
    for n in range(first, len(y) + 1):
        wrong = int(((p >= 0.5) != y)[order[:n]].sum())
        if binom.cdf(wrong, n, 0.1) > 0.05:
            break
        decided = n
    found = triage(y, p, 0.1)
    assert (found.n_decided, found.n) == (decided, PATIENTS)
    assert decided > first
    decision = found.decide(p)
    assert (decision != REFER).sum() == decided
    assert set(np.flatnonzero(decision != REFER)) == set(order[:decided])
    assert (decision[order[:decided]] == (p >= 0.5)[order[:decided]]).all()
    assert ((decision != y) & (decision != REFER)).sum() == found.n_wrong
    assert found.decided.value == decided / PATIENTS


def test_triage_refers_everyone_where_nothing_can_be_promised_and_decides_all_where_all_is_right() -> None:
    y = np.repeat([0, 1], [20, 20])
    nothing = triage(y, np.full(40, 0.7), 0.05)
    assert (nothing.n_decided, nothing.limit) == (0, np.inf)
    assert (nothing.decide([0.0, 1.0]) == REFER).all()
    everything = triage(np.repeat(y, 5), np.repeat(np.where(y, 0.9, 0.2), 5), 0.05)
    assert everything.n_decided == 200
    assert everything.decide([0.5, 0.49, 0.3]).tolist() == [1, 0, 0]


def test_certainty_is_measured_from_the_threshold_on_either_side() -> None:
    assert certainty(np.array([0.0, 0.15, 0.3, 0.65, 1.0]), 0.3) == pytest.approx([1.0, 0.5, 0.0, 0.5, 1.0])


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.01, 0.1, 0.3]))
def test_p_values_invert_clopper_pearson_and_hoeffding_bentkus_is_above(
    wrong: int, right: int, error: float
) -> None:
    n = wrong + right
    exact = float(p_value_above(wrong, n, error))
    loose = float(p_value_above(wrong, n, error, "hoeffding-bentkus"))
    assert (exact <= 0.05) == (upper_bound(wrong, n, 0.95) <= error + 1e-12)
    assert exact <= loose * (1 + 1e-12) <= 1 + 1e-12
    seen = min(wrong / n, error) if n else 0.0
    terms = [x * np.log(x / q) if x else 0.0 for x, q in ((seen, error), (1 - seen, 1 - error))]
    assert loose == pytest.approx(
        min(1.0, np.exp(-n * sum(terms)), np.e * binom.cdf(wrong, n, error)), rel=1e-9
    )


def test_conformal_limits_are_the_order_statistics_of_the_papers() -> None:
    p = np.arange(1, 100) / 100  # 99 malignant patients with nonconformity 0.01 … 0.99, one reactive
    y = np.ones(100, dtype=int)
    y[-1] = 0
    scores = np.sort(np.append(1 - p, 0.995))
    average = split_conformal(y, np.append(p, 0.995), 0.1)
    assert average.limits == pytest.approx(scores[[90, 90]])  # ⌈101 × 0.9⌉ = 91st
    certainties = split_conformal(y, np.append(p, 0.995), 0.1, confidence=0.95)
    k = next(k for k in range(1, 101) if beta.cdf(0.9, k, 101 - k) <= 0.05)
    assert certainties.limits == pytest.approx(scores[[k - 1, k - 1]])
    assert k > 91
    by_class = split_conformal(y, np.append(p, 0.995), 0.1, class_conditional=True)
    assert by_class.limits[0] == np.inf  # one reactive patient promises nothing about reactive ones
    assert by_class.limits[1] == pytest.approx(np.sort(1 - p)[89])


def test_conformal_sets_are_never_empty_and_both_labels_mean_referral() -> None:
    y, p = Drawn(4.0).cohort(0)
    found = split_conformal(y, p, 0.2)
    assert (found.limits < 0.5).all()  # so sure that patients between the limits are in neither set
    assert found.sets([0.5, 0.49]).tolist() == [[False, True], [True, False]]
    assert split_conformal(y, p, 0.001).decide([0.01, 0.99]).tolist() == [REFER, REFER]


@given(st.integers(1, 200), st.data())
def test_clopper_pearson_bounds_put_the_tail_where_they_say(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = lower_bound(k, n, 0.975), upper_bound(k, n, 0.975)
    assert low <= k / n <= high
    assert (binom.sf(k - 1, n, low) if k else 0.025) == pytest.approx(0.025)
    assert (binom.cdf(k, n, high) if k < n else 0.025) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda y, p: triage(y, p, 0.0), "target error"),
        (lambda y, p: triage(y, p, 0.1, confidence=1.0), "confidence"),
        (lambda y, p: triage(y, p, 0.1, threshold=1.0), "threshold"),
        (lambda y, p: triage(y, p, 0.1, allowed=-1), "0 or more"),
        (lambda y, p: split_conformal(y, p, 1.0), "target error"),
        (lambda y, p: split_conformal(np.ones(4), p, 0.1), "both classes"),
        (lambda y, p: split_conformal(y, p, 0.1, confidence=2), "confidence"),
        (lambda y, p: sensitive_threshold(y, p, sensitivity=95), "sensitivity"),
        (lambda y, p: sensitive_threshold(np.zeros(4), p), "both classes"),
    ],
)
def test_bad_arguments_get_a_sentence(call: Callable[[np.ndarray, np.ndarray], object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        call(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]))
