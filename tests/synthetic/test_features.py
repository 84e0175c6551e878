"""The simulated features: each signal is where it is said to be, and nowhere else."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from lymphofeat.cohort.model import TABLE_COLUMNS
from lymphofeat.errors import InputError
from lymphofeat.synthetic.features import FeatureCohort, simulate_features

SIGNALS = ("mean", "spread", "rare", "clinical", "interaction", "none")


def simulated(signal: str, n: int = 3000, seed: int = 0, strength: float = 2.0) -> FeatureCohort:
    return simulate_features(n, 30, 12, signal=signal, strength=strength, seed=seed)  # type: ignore[arg-type]


def summaries(cohort: FeatureCohort) -> dict[str, np.ndarray]:
    along = [bag @ cohort.direction for bag in cohort.bags]
    informative = [bag[:, cohort.informative] for bag in cohort.bags]
    mean = np.array([a.mean() for a in along])
    age = cohort.table["age"].to_numpy()
    return {
        "mean": mean,
        "mean of informative": np.array([i.mean() for i in informative]),
        "spread": np.array([i.std(axis=0).mean() for i in informative]),
        "reach": np.array([a.max() - np.median(a) for a in along]),
        "age": age,
        "count": cohort.table["lymphocyte_count"].to_numpy(),
        "product": mean * (age - age.mean()),
    }


CARRIERS = {
    "mean": {"mean": 0.85, "mean of informative": None},
    "spread": {"spread": 0.85, "reach": None},
    "rare": {"reach": 0.68, "mean": 0.55, "spread": None, "mean of informative": None},
    "clinical": {"age": 0.8, "count": 0.8, "product": None},
    "interaction": {"product": 0.75},
    "none": {},
}


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_is_where_it_is_said_to_be(signal: str) -> None:
    """A number is the least AUC; None: may or may not carry something; not named: carries nothing."""
    cohort = simulated(signal)
    for name, values in summaries(cohort).items():
        auc = roc_auc_score(cohort.y, values)
        least = CARRIERS[signal].get(name, 0.0)
        if least == 0.0:
            assert abs(auc - 0.5) < 0.045, name
        elif least is not None:
            assert auc > least, name


def test_rare_cells_show_better_in_the_extremes_than_in_the_mean() -> None:
    cohort = simulated("rare")
    found = summaries(cohort)
    assert roc_auc_score(cohort.y, found["reach"]) > roc_auc_score(cohort.y, found["mean"]) + 0.05


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_true_probability_is_calibrated(signal: str) -> None:
    cohort = simulated(signal, n=6000, seed=1)
    which = np.digitize(cohort.probability, np.linspace(0.1, 0.9, 9))
    for k in np.unique(which):
        p = cohort.probability[which == k]
        error = np.sqrt((p * (1 - p)).sum()) / len(p)
        assert abs(p.mean() - cohort.y[which == k].mean()) < 4.5 * error + 1e-9


@pytest.mark.parametrize("signal", ["mean", "spread", "rare", "clinical"])
def test_the_best_auc_follows_the_strength(signal: str) -> None:
    cohort = simulated(signal, strength=1.5)
    assert roc_auc_score(cohort.y, cohort.probability) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.02)


def test_shapes_types_and_determinism() -> None:
    first = simulate_features(20, (3, 9), 5, signal="mean", seed=2)
    again = simulate_features(20, (3, 9), 5, signal="mean", seed=2)
    other = simulate_features(20, (3, 9), 5, signal="mean", seed=3)
    assert tuple(first.table.columns) == TABLE_COLUMNS
    assert [len(b) for b in first.bags] == first.table["n_images"].tolist()
    assert all(b.shape[1] == 5 and b.dtype == np.float32 and 3 <= len(b) <= 9 for b in first.bags)
    assert (first.y.dtype, first.y.sum()) == (np.int8, 10)
    assert all((a == b).all() for a, b in zip(first.bags, again.bags, strict=True))
    assert first.table.equals(again.table)
    assert any(a.shape != b.shape or (a != b).any() for a, b in zip(first.bags, other.bags, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_patients": 3},
        {"n_images": 0},
        {"n_images": (4, 2)},
        {"dim": 0},
        {"strength": -1.0},
        {"signal": "loud"},
    ],
)
def test_bad_arguments_are_named(changes: dict[str, object]) -> None:
    arguments = {"n_patients": 8, "n_images": 4, "dim": 3, "signal": "mean", "strength": 1.0} | changes
    (name,) = changes
    with pytest.raises(InputError, match=name):
        simulate_features(**arguments)  # type: ignore[arg-type]
