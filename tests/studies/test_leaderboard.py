"""The best of each head type, the rows behind it, what mattered, and what to try next."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from lymphofeat.errors import StudyError
from lymphofeat.estimates.scores import bootstrap
from lymphofeat.metric import METRICS
from lymphofeat.scoring.score import TrialScores
from lymphofeat.studies import StudySummary, TrialSummary, load_study
from lymphofeat.studies.database import quiet_optuna
from lymphofeat.studies.importance import importance_of
from lymphofeat.studies.next_step import next_step
from lymphofeat.studies.record import scores_to_attrs
from lymphofeat.studies.rows import Row
from lymphofeat.studies.store import create_store, open_store
from lymphofeat.studies.summary import HeadTypeBest

N = 120
Y = np.arange(N) % 2
TAKES = {"logistic": ["clinical", "image", "both"], "late": ["both"], "stacked": ["both"]}


def probabilities(strength: float, seed: int, repeats: int = 1) -> np.ndarray:
    """(N, repeats) probabilities of someone with a nose for the label, the slide's luck shared by all seeds."""
    luck = np.random.default_rng(0).normal(size=(N, 1))
    own = 0.1 * np.random.default_rng(seed + 1).normal(size=(N, repeats))
    return np.asarray(1 / (1 + np.exp(-(strength * (2 * Y[:, None] - 1) + luck + own))))


def trial(
    number: int, encoder_family: str, strength: float, *, inputs: str = "both", pruned: bool = False
) -> Any:
    p = probabilities(strength, number)
    value = bootstrap("auc", Y, p[:, 0], n_resamples=1).value
    scores = TrialScores(
        p, np.full((1, 5), 0.5), np.ones((1, 5), dtype=bool),
        {m: np.full((1, 5), value) for m in METRICS}, dict.fromkeys(METRICS, value),
    )  # fmt: skip
    params: dict[str, Any] = {"family": encoder_family}
    spaces: dict[str, Any] = {"family": CategoricalDistribution(sorted(TAKES))}
    if len(TAKES[encoder_family]) > 1:
        params |= {f"{encoder_family}.inputs": inputs, f"{encoder_family}.C": 1.0 + number}
        spaces |= {f"{encoder_family}.inputs": CategoricalDistribution(TAKES[encoder_family])}
        spaces |= {f"{encoder_family}.C": FloatDistribution(1e-3, 1e3)}
    return create_trial(
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE, value=value, params=params,
        distributions=spaces, intermediate_values={2: value} if pruned else {},
        user_attrs={"number": number} | ({} if pruned else scores_to_attrs(scores)),
    )  # fmt: skip


def study(path: Path, trials: list[Any], metric: str = "auc") -> Path:
    folds = [[i // 2 % 5] for i in range(N)]
    patients = {"ids": [f"P{i}" for i in range(N)], "labels": Y.tolist(), "folds": folds}
    provenance = {"metric": metric, "family": "drawn", "repeats": 1, "takes": TAKES}
    create_store(path, provenance, patients, METRICS[metric].direction)
    with quiet_optuna(), open_store(path) as store:
        for one in trials:
            store.add(one)
    return path


@pytest.fixture
def summary(tmp_path: Path) -> StudySummary:
    trials = [
        trial(0, "logistic", 0.3, inputs="clinical"),
        trial(2, "late", 1.4),  # kept in the order in which they ended
        trial(1, "logistic", 0.8, inputs="image"),
        trial(3, "late", 1.0),
        trial(4, "logistic", 0.5),
        trial(5, "late", 0.1, pruned=True),
        trial(6, "stacked", 0.1, pruned=True),
    ]
    return load_study(study(tmp_path / "s.db", trials))


def test_the_best_of_each_head_type(summary: StudySummary) -> None:
    board = [(e.head_type, e.trial.number, e.n_trials, e.n_pruned) for e in summary.leaderboard]
    assert board == [
        ("late", 2, 3, 1),
        ("logistic", 1, 3, 0),
    ]  # none of the third head type was scored to its end
    assert summary.leaderboard[0].trial is summary.best
    assert (summary.n_trials, summary.n_pruned) == (7, 2)
    assert (summary.best_clinical or summary.best).number == 0
    assert (summary.best_image or summary.best).number == 1
    assert summary.best.inputs == "both"  # of a head type that does not draw it


def test_differences_are_paired(summary: StudySummary) -> None:
    best, other = (entry.trial for entry in summary.leaderboard)
    difference = summary.difference(other)
    expected = bootstrap("auc", Y, other.scores.probabilities[:, 0]) - bootstrap(
        "auc", Y, best.scores.probabilities[:, 0]
    )
    assert difference == expected.percentile()
    assert difference.high < 0
    assert summary.is_worse(other)
    assert not summary.is_worse(best)
    # Both are wrong about the same patients: the difference is surer than the score.
    assert difference.high - difference.low < other.interval("auc").high - other.interval("auc").low


def test_repeats_are_averaged_before_the_interval_is_taken(summary: StudySummary) -> None:
    p = probabilities(0.8, 3, repeats=3)
    folds = np.repeat(summary.best.folds, 3, axis=1)
    scores = replace(summary.best.scores, probabilities=p, thresholds=np.full((3, 5), 0.5))
    repeated: TrialSummary = replace(summary.best, scores=scores, folds=folds)
    each = [bootstrap("auc", Y, column) for column in p.T]
    assert repeated.bootstrap("auc").value == pytest.approx(np.mean([b.value for b in each]))
    np.testing.assert_allclose(
        repeated.bootstrap("auc").resampled, np.mean([b.resampled for b in each], axis=0)
    )


def test_rows_are_what_optuna_reads(summary: StudySummary) -> None:
    with quiet_optuna():
        trials = optuna.load_study(study_name="lymphofeat", storage=f"sqlite:///{summary.path}").get_trials()
    by_number = {t.user_attrs["number"]: t for t in trials}
    assert [row.number for row in summary.rows] == sorted(by_number)
    for row in summary.rows:
        other, own = by_number[row.number], row.trial()
        assert (own.params, own.distributions) == (other.params, other.distributions)
        assert (own.value, own.state) == (other.value, other.state)
        assert own.intermediate_values == other.intermediate_values
        assert list(row.params) == list(other.params)


def test_a_study_of_pruned_trials_only_has_nothing_to_show(tmp_path: Path) -> None:
    path = study(tmp_path / "s.db", [trial(0, "late", 0.1, pruned=True)])
    with pytest.raises(StudyError, match="no finished trial yet"):
        load_study(path)


def test_a_trial_of_someone_else_gets_a_sentence(tmp_path: Path) -> None:
    path = study(tmp_path / "s.db", [trial(0, "late", 1.0)])
    with quiet_optuna():
        foreign = optuna.load_study(study_name="lymphofeat", storage=f"sqlite:///{path}")
        foreign.add_trial(create_trial(value=0.5, params={}, distributions={}))
    with pytest.raises(StudyError, match="holds a trial that cannot be read"):
        load_study(path)


def rows(n: int, pruned: int = 0) -> list[Row]:
    rng, made = np.random.default_rng(0), []
    spaces = {name: FloatDistribution(0.0, 1.0) for name in ("family.x", "family.y")}
    for number in range(n):
        x, y = rng.random(2)
        made.append(Row(number, x, number < pruned, {"family.x": x, "family.y": y}, dict(spaces)))
    return made


def test_importance_finds_the_parameter_that_matters() -> None:
    found = importance_of(rows(200), "maximize")
    assert next(iter(found.shares)) == "family.x"
    assert found.shares["family.x"] > 0.8
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert "From 200 complete trials" in found.note
    many = importance_of(rows(3500), "maximize")
    assert 500 <= many.n_trials <= 1000
    assert many.shares["family.x"] > 0.8


@pytest.mark.parametrize(("n", "pruned"), [(49, 0), (70, 40), (0, 0)])
def test_importance_of_few_trials_is_said_to_be_none(n: int, pruned: int) -> None:
    found = importance_of(rows(n, pruned=pruned), "maximize")
    assert found.shares == {}
    assert f"with {n - pruned} it is noise" in found.note


def after(summary: StudySummary, n: int, strengths: dict[str, float], clinical: float, best_at: int) -> str:
    """The advice after `n` trials in which each head type reached so much."""
    base = summary.best
    trials = {
        name: replace(base, number=i, scores=replace(base.scores, probabilities=probabilities(s, i)))
        for i, (name, s) in enumerate(strengths.items())
    }
    ordered = sorted(trials.items(), key=lambda item: -item[1].bootstrap("auc").value)
    values = {name: t.bootstrap("auc").value for name, t in ordered}
    best = replace(ordered[0][1], number=best_at)
    best = replace(best, scores=replace(best.scores, values={"auc": next(iter(values.values()))}))
    board = [HeadTypeBest(name, best if i == 0 else t, 10, 0) for i, (name, t) in enumerate(ordered)]
    own = replace(base, number=1, scores=replace(base.scores, probabilities=probabilities(clinical, 99)))
    listed = [Row(i, 0.55, pruned=False) for i in range(n)]
    listed[best_at] = Row(best_at, best.scores.values["auc"], pruned=False)
    changed = replace(summary, best=best, best_clinical=own, leaderboard=tuple(board), rows=tuple(listed))
    return next_step(changed)


def test_what_to_try_next(summary: StudySummary) -> None:
    ahead = {"late": 1.5, "logistic": 0.3}
    assert "continue with `--trials 200`" in after(summary, 20, ahead, 0.1, 3)
    assert "came late (190 of 200)" in after(summary, 200, ahead, 0.1, 189)
    assert "images add nothing" in after(summary, 200, ahead, 1.5, 10)
    assert "1 more head type (logistic) cannot be told" in after(
        summary, 200, {"late": 0.7, "logistic": 0.7}, 0.1, 10
    )
    assert "'late' is clearly better" in after(summary, 200, ahead, 0.1, 10)
    for n, at in ((20, 3), (200, 189), (200, 10)):
        assert after(summary, n, ahead, 0.1, at).count(". ") == 0  # one sentence
