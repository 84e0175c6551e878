"""Which heads leave a study: every rule on trials with a known answer, and one answer for submission and bundle."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.bundle import ExportOptions, export_bundle
from lymphofeat.cache import open_cache
from lymphofeat.commands.common import DEFAULT_RULE
from lymphofeat.commands.common import RULES as RULES_OF_COMMANDS
from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import score
from lymphofeat.final import submit
from lymphofeat.final.selected_model import final_model, selection_sentence
from lymphofeat.metric import METRICS
from lymphofeat.scoring import one_standard_error_threshold, prevalence_threshold
from lymphofeat.scoring.score import TrialScores
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.average import Average
from lymphofeat.studies.load import load_selected, load_trials
from lymphofeat.studies.selection import AVERAGED, DEFAULT, RULES, Candidate, ranked, select
from lymphofeat.studies.trial import TrialSummary

from ..helpers.caches import frozen_cache

N, FOLDS = 40, 4
Y = (np.arange(N) % 2).astype(np.int8)
CLINICAL = {
    "family": "logistic", "logistic.inputs": "clinical", "logistic.penalty": "l2", "logistic.C": 1.0,
    "logistic.class_weight": None, "logistic.interaction": False, "logistic.spline": None,
}  # fmt: skip


def trial(number: int, p: np.ndarray, inputs: str = "both", threshold: float = 0.5) -> TrialSummary:
    """A trial with these out-of-fold probabilities; every trial is another head."""
    folds = (np.arange(N) // 2 % FOLDS).astype(np.int8)[:, None]
    values = {m: score(m, Y, p >= threshold if m == "balanced_accuracy" else p) for m in METRICS}
    shape = (1, FOLDS)
    scores = TrialScores(p[:, None], np.full(shape, threshold), np.ones(shape, dtype=bool), {}, values)
    params = CLINICAL | {"logistic.C": 1.0 + number}
    return TrialSummary(number, params, inputs, scores, Y, folds)


def right(p_right: float, n_wrong: int = 0, p_wrong: float | None = None) -> np.ndarray:
    """Probabilities that give the label `p_right`, but the label of the last `n_wrong` patients `p_wrong`."""
    of_label = np.where(np.arange(N) < N - n_wrong, p_right, 1 - p_right if p_wrong is None else p_wrong)
    return np.where(Y == 1, of_label, 1 - of_label)


def numbers(chosen: Average) -> list[int]:
    return [one.number for one, _ in chosen.members]


def chosen_by(rule: str, *trials: TrialSummary) -> list[int]:
    return numbers(select([Candidate.of(one) for one in trials], rule))


def test_scores_disagree_and_each_rule_takes_its_own() -> None:
    sure_and_wrong = trial(0, right(0.99, n_wrong=2, p_wrong=1e-9))  # 38 of 40, and ruinous probabilities
    modest = trial(1, right(0.8, n_wrong=4, p_wrong=0.45))  # 36 of 40, and good probabilities
    assert chosen_by("balanced_accuracy", sure_and_wrong, modest) == [0]
    assert chosen_by("log_loss", sure_and_wrong, modest) == [1]
    assert chosen_by("brier", sure_and_wrong, modest) == [0]
    # The threshold lies badly, the order is perfect.
    ordered = trial(2, np.where(Y == 1, 0.3, 0.2))
    assert chosen_by("auc", sure_and_wrong, modest, ordered) == [2]
    assert chosen_by("average_precision", sure_and_wrong, modest, ordered) == [2]
    assert chosen_by("balanced_accuracy", sure_and_wrong, modest, ordered) == [0]


def test_of_equals_the_first_and_a_head_that_was_drawn_twice_counts_once() -> None:
    first = trial(3, right(0.7))
    copy = replace(first, number=9)
    other = trial(5, right(0.7))
    assert [one.number for one in ranked([Candidate.of(t) for t in (copy, other, first)], "log_loss")] == [
        3,
        5,
    ]
    assert chosen_by("average_log_loss", copy, other, first) == [3, 5]


def test_one_standard_error_takes_the_simplest_that_is_not_clearly_worse() -> None:
    p = right(0.9, n_wrong=3, p_wrong=0.2)
    best = trial(0, p)
    losses = -np.log(np.where(Y == 1, p, 1 - p))
    reach = losses.mean() + losses.std(ddof=1) / np.sqrt(N)
    just_within, just_beyond = (float(np.exp(-(reach + d))) for d in (-1e-6, 1e-6))
    assert chosen_by("one_standard_error", best, trial(1, right(just_within), "clinical")) == [1]
    assert chosen_by("one_standard_error", best, trial(1, right(just_beyond), "clinical")) == [0]
    # Images alone are simpler than both; of equally simple ones the better.
    pair = trial(1, right(just_within), "image"), trial(2, right(just_within + 1e-9), "image")
    assert chosen_by("one_standard_error", best, *pair) == [2]


def test_an_average_has_ten_heads_with_one_share_each_and_its_own_threshold() -> None:
    rng = np.random.default_rng(0)
    trials = [trial(k, np.clip(right(0.6) + 0.3 * rng.normal(size=N), 0.01, 0.99)) for k in range(15)]
    found = select([Candidate.of(one) for one in trials], "average_log_loss")
    best = sorted(trials, key=lambda one: one.scores.values["log_loss"])[:AVERAGED]
    assert numbers(found) == [one.number for one in best]
    mean = np.mean([one.scores.probabilities for one in best], axis=0)
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-15)
    np.testing.assert_array_equal(found.decisions, mean >= 0.5)
    assert found.threshold == pytest.approx(
        one_standard_error_threshold(Y, mean[:, 0], prior=prevalence_threshold(Y))
    )


def test_the_average_of_one_head_is_that_head() -> None:
    one = trial(0, right(0.8, n_wrong=5), threshold=0.4)
    alone = Average(((one, 1.0),))
    np.testing.assert_array_equal(alone.probabilities, one.scores.probabilities)
    np.testing.assert_array_equal(alone.decisions, one.decisions)
    assert alone.threshold == one.threshold


def test_an_unknown_rule_is_named_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"no rule of selection 'luck'; choose one of balanced_accuracy"):
        chosen_by("luck", trial(0, right(0.8)))


def test_options_of_the_commands_are_the_rules_that_there_are() -> None:
    assert list(RULES) == RULES_OF_COMMANDS
    assert DEFAULT_RULE == DEFAULT in RULES


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("made")
    cache = frozen_cache(folder / "c.h5", n=60)
    tune(
        cache, folder / "s.db", n_trials=16, heads=["logistic", "lda"], inputs=["clinical"]
    )  # no encoder to export
    return cache, folder / "s.db"


@pytest.mark.parametrize("rule", RULES)
def test_rules_find_in_the_file_what_they_find_in_memory(made: tuple[Path, Path], rule: str) -> None:
    trials = load_trials(made[1])
    assert numbers(load_selected(made[1], rule)) == chosen_by(rule, *trials)


@pytest.mark.parametrize(
    "options", [{}, {"select": "average_log_loss"}, {"select": "auc"}, {"trial": 3}, {"ensemble": 3}], ids=str
)
def test_a_submission_and_a_bundle_take_the_same_heads(
    made: tuple[Path, Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    submitted = submit(*made, tmp_path / "sub.csv", **options).model
    exported = export_bundle(*made, tmp_path / "model", ExportOptions(**options)).model
    assert exported.reason == submitted.reason
    inside = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert inside["members"] == [{"params": t.params, "weight": w} for t, w in submitted.members]
    assert inside["cut"] == submitted.threshold


def test_the_default_is_what_a_study_says_that_it_hands_over(made: tuple[Path, Path], tmp_path: Path) -> None:
    study = load_study(made[1])
    model = submit(*made, tmp_path / "sub.csv").model
    assert numbers(model.chosen) == numbers(study.selected) == chosen_by(DEFAULT, *load_trials(made[1]))
    assert model.reason == selection_sentence(study, study.selected)
    assert ", the average of the 10 best by log loss of 16 trials (the default rule" in model.reason
    assert "docs/bundle.md" in model.reason
    assert model.caveat.startswith(
        "This is the average of the 10 best by log loss of 16 trials, selected on these same folds. The scores are"
    )
    named = submit(*made, tmp_path / "named.csv", select="auc").model
    assert "the best by AUC of 16 trials (--select auc)" in named.reason
    assert "selected as the best by AUC of 16 trials, on these same folds" in named.caveat


@pytest.mark.parametrize(
    ("trials", "which", "caveat"),
    [
        (
            1,
            "Selected model: trial 0, the only complete head of 1 trial (the default rule",
            "Trial 0 was selected as",
        ),
        (
            3,
            ", the average of all 3 complete heads of 3 trials (the default",
            "searched on these same",
        ),
    ],
)
def test_a_study_with_fewer_heads_gives_all_it_has_and_says_so(
    made: tuple[Path, Path], tmp_path: Path, trials: int, which: str, caveat: str
) -> None:
    tune(made[0], tmp_path / "s.db", n_trials=trials, heads=["logistic", "lda"], inputs=["clinical"])
    model = submit(made[0], tmp_path / "s.db", tmp_path / "sub.csv").model
    assert [weight for _, weight in model.members] == [1 / trials] * trials
    assert which in model.reason
    assert caveat in model.caveat


def test_bad_choices_are_refused(made: tuple[Path, Path]) -> None:
    cache, study = open_cache(made[0]), load_study(made[1])
    with pytest.raises(InputError, match="exclude one another"):
        final_model(cache, study, rule="auc", trial=1)
    with pytest.raises(InputError, match="holds no complete trial 16; it has 16 finished trials"):
        final_model(cache, study, trial=16)
    with pytest.raises(InputError, match="no rule of selection 'luck'"):
        final_model(cache, study, rule="luck")
