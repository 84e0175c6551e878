"""The table of metrics: it holds what the functions, the options and the reports go by."""

import subprocess
import sys

import click
import numpy as np
import pytest

from lymphofeat.cli import commands
from lymphofeat.errors import InputError
from lymphofeat.estimates import DESCRIBED
from lymphofeat.estimates.metrics import statistic
from lymphofeat.estimates.scores import score
from lymphofeat.metric import METRICS, NAMED, find_metric
from lymphofeat.wording import metric_label


def test_labels_and_headers() -> None:
    assert [m.label for m in METRICS.values()] == [
        "balanced accuracy", "AUC", "average precision", "log loss", "Brier score"
    ]  # fmt: skip
    assert [m.header for m in METRICS.values() if m.is_loss] == ["log loss ↓", "Brier score ↓"]
    assert metric_label("auc") == "AUC"
    assert metric_label("sensitivity_at_95_specificity") == "sensitivity at 95 % specificity"
    assert metric_label("calibration_slope") == "calibration slope"  # not in the table: it is best at 1


@pytest.mark.parametrize("name", [n for n in NAMED if n not in ("sensitivity", "specificity")])
def test_the_direction_is_that_of_the_function(name: str) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    good = np.clip(0.5 + 0.3 * (2 * y - 1) + rng.normal(scale=0.15, size=200), 0, 1)
    bad = np.clip(0.5 - 0.3 * (2 * y - 1) + rng.normal(scale=0.15, size=200), 0, 1)
    better, worse = (statistic(name, y, p, p >= 0.5)(np.ones((1, 200)))[0] for p in (good, bad))
    metric = NAMED[name]
    assert metric.better(better, worse)
    assert not metric.better(worse, better)
    assert not metric.better(worse, worse)
    assert metric.sign * better > metric.sign * worse
    assert metric.is_worse(*sorted((worse - better, 0.5 * (worse - better))))
    assert not metric.is_worse(-1.0, 1.0)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_what_a_metric_takes_is_what_its_score_depends_on(metric) -> None:
    y = np.arange(40) % 2
    p = np.random.default_rng(1).uniform(0.1, 0.9, 40)
    p[y == 1] += 0.05
    same_order, decisions = p**3, p >= 0.5
    value = score(metric.name, y, metric.judged(p, decisions))
    assert (score(metric.name, y, metric.judged(same_order, decisions)) == value) == (
        metric.takes != "probabilities"
    )
    if metric.takes == "decisions":
        with pytest.raises(InputError, match="measured on decisions 0 and 1"):
            score(metric.name, y, p)
    else:
        score(metric.name, y, p)
    assert 0 <= value <= (1 if metric.unit else np.inf)


def test_every_metric_with_a_direction_is_described() -> None:
    assert set(NAMED) == set(DESCRIBED) - {"calibration_slope", "calibration_intercept"}
    assert set(METRICS) <= set(NAMED)


def test_an_unknown_metric_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="There is no metric 'f1'; choose one of balanced_accuracy, auc, "):
        find_metric("f1")


@pytest.mark.parametrize("command", ["tune", "compare", "evaluate"])
def test_the_commands_offer_the_metrics_of_the_table(command: str) -> None:
    option = next(o for o in commands.commands[command].params if o.name == "metric")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(METRICS)


def test_the_table_loads_no_library() -> None:
    asked = (
        "import sys, lymphofeat.metric; print([n for n in ('numpy', 'scipy', 'optuna') if n in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True).stdout.strip() == "[]"
    )
