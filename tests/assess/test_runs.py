"""Scores averaged over runs."""

import numpy as np
import pytest
from scipy.special import expit

from lymphofeat.assess.runs import Runs
from lymphofeat.errors import InputError
from lymphofeat.estimates import DESCRIBED, bca_interval, describe, statistic
from lymphofeat.estimates.scores import Interval
from lymphofeat.nested import Nested

from ..helpers.nested import nested

ORDER = ("auc", "average_precision", "sensitivity_at_95_specificity", "specificity_at_95_sensitivity")


def described(main: Nested, run: int, **options: int) -> dict[str, Interval]:
    """What asks for the order only, of folds on one scale; all else of the probabilities as they are."""
    y, decided = main.y, main.decisions[:, run]
    order = dict(describe(y, expit(main.scores[:, run]), decided, names=ORDER, **options))
    rest = [name for name in DESCRIBED if name not in ORDER]
    return order | dict(describe(y, main.probabilities[:, run], decided, names=rest, **options))


def test_one_run_is_described_as_ever() -> None:
    main = nested()
    found = Runs.of(main).describe()
    assert found == described(main, 0)


def test_several_runs_have_the_mean_of_their_scores() -> None:
    main = nested(runs=3)
    found = Runs.of(main).describe(n_resamples=300)
    each = [described(main, r, n_resamples=50) for r in range(3)]
    for name in DESCRIBED:
        assert found[name].value == pytest.approx(np.mean([run[name].value for run in each])), name
        assert found[name].low < found[name].value < found[name].high, name


def test_the_mean_is_taken_on_the_same_resamples() -> None:
    main = nested(runs=2)
    one, other = (statistic("brier", main.y, p) for p in main.probabilities.T)
    expected = bca_interval(lambda w: (one(w) + other(w)) / 2, main.y)
    assert Runs.of(main).describe(["brier"])["brier"] == pytest.approx(tuple(expected))


def test_equal_runs_are_as_sure_as_one() -> None:
    once = Runs.of(nested())
    twice = Runs(once.y, once.probabilities[:, [0, 0]], once.decisions[:, [0, 0]])
    for name in ("log_loss", "calibration_error", "balanced_accuracy"):
        assert twice.describe([name])[name] == pytest.approx(tuple(once.describe([name])[name]))


def test_flawless_runs_have_exact_bounds_or_none() -> None:
    found = Runs.of(nested(strength=60, runs=2)).describe(["balanced_accuracy", "auc", "average_precision"])
    assert found["balanced_accuracy"].value == found["auc"].value == 1
    assert 0.9 < found["auc"].low < 1
    assert np.isnan(found["average_precision"].low)


def test_predictions_with_holes_are_refused() -> None:
    main = nested()
    broken = type(main)(**{**vars(nested()), "folds_of_runs": main.folds_of_runs[1:]})
    with pytest.raises(InputError, match=r"'image \+ clinical' are not complete"):
        Runs.of(broken)
