"""`evaluate` as an array of tasks: the same bits, in whatever order and however often tasks are given."""

import json
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Never

import pandas as pd
import pytest

import lymphofeat
from lymphofeat.assess.evaluate import EvaluateOptions, Evaluation, carry_out
from lymphofeat.assess.plan import EvaluationPlan, plan_evaluation
from lymphofeat.assess.share import carry_out_share
from lymphofeat.errors import InputError, StudyError
from lymphofeat.nested.control_experiments import SHUFFLED
from lymphofeat.nested.result import Nested
from lymphofeat.storage.locks import locked

from ..helpers.commands import Run, runner
from ..helpers.compared import compared_cache
from ..helpers.tasks import finish_with_kills

OPTIONS: dict[str, Any] = {"encoding": "good", "heads": ["logistic"], "n_trials": 2, "permute": 2}


class Nobody(Executor):
    """Where there is nothing to score."""

    def submit(self, *_: object, **__: object) -> Never:
        """Fails."""
        raise AssertionError("a trial was scored again")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compared_cache(tmp_path_factory.mktemp("cache") / "c.h5", n_folds=3, pairs=False)


@pytest.fixture(scope="module")
def plan(cache: Path) -> EvaluationPlan:
    """Three folds of the pipeline and of shuffled labels, which are the permutation test's as well: 7 searches."""
    whole = plan_evaluation(cache, encoding="good", heads=["logistic"], n_trials=1, permute=1)
    return replace(whole, controls=tuple(p for p in whole.controls if p.name == SHUFFLED))


@pytest.fixture(scope="module")
def alone(plan: EvaluationPlan, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """What a call without tasks finds."""
    return carry_out(plan, tmp_path_factory.mktemp("alone") / "nested")


def assert_same(found: Evaluation, expected: Evaluation) -> None:
    """Equal in every bit but the seconds."""
    for one, other in zip((found.main, *found.others), (expected.main, *expected.others), strict=True):
        pd.testing.assert_frame_equal(_folds(one), _folds(other), check_exact=True)
    assert found.permutation is not None
    assert expected.permutation is not None
    assert list(found.permutation.permuted) == list(expected.permutation.permuted)
    assert found.selected.trials["value"].equals(expected.selected.trials["value"])
    assert found.assessment.tables.keys() == expected.assessment.tables.keys()
    for name, table in found.assessment.tables.items():
        pd.testing.assert_frame_equal(table, expected.assessment.tables[name], check_exact=True)


def _folds(nested: Nested) -> pd.DataFrame:
    rows = [
        {
            "run": fold.run, "fold": fold.fold, "rows": fold.rows.tobytes(), "p": fold.probabilities.tobytes(),
            "inner": None if fold.inner is None else fold.inner.tobytes(), "threshold": fold.threshold,
            "members": json.dumps(fold.members), "tuned": json.dumps(fold.tuned),
        }
        for fold in nested.folds_of_runs
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_tasks_in_any_order_and_a_last_call_give_the_same_bits(
    plan: EvaluationPlan, alone: Evaluation, tmp_path: Path
) -> None:
    shares = {i: carry_out_share(plan, tmp_path, (i, 3)) for i in (2, 3, 1)}
    assert [shares[i].n_searches for i in (1, 2, 3)] == [3, 2, 2]
    assert {(share.n_all, share.n_before) for share in shares.values()} == {(7, 0)}
    assert repr(shares[2]) == "<EvaluationShare 2 of 3: 2 of 7 searches>"
    assert len(list(tmp_path.glob("folds.task-*-of-3.jsonl"))) == 3
    assert not (tmp_path / "folds.jsonl").exists()
    for task in ((2, 3), (1, 2)):  # given again, and of another number: it knows what is there
        again = carry_out_share(plan, tmp_path, task, executor=Nobody())
        assert again.n_before == again.n_searches > 0
    assert_same(carry_out(plan, tmp_path, executor=Nobody()), alone)
    assert sorted(path.name for path in tmp_path.glob("*folds*")) == [".folds.jsonl.lock", "folds.jsonl"]


def test_a_task_is_held_by_one_process_and_waits_for_no_other(plan: EvaluationPlan, tmp_path: Path) -> None:
    with locked(tmp_path / "folds.task-1-of-20.jsonl", StudyError):
        for call in (partial(carry_out_share, task=(1, 20)), carry_out):  # that has finished nothing yet
            with pytest.raises(StudyError, match=r"folds\.task-1-of-20\.jsonl is in use by another process"):
                call(plan, tmp_path)
        beside = carry_out_share(plan, tmp_path, (2, 20))
        assert beside.n_searches == 1
    empty = carry_out_share(plan, tmp_path, (20, 20))  # more tasks than searches
    assert (empty.n_searches, empty.n_before) == (0, 0)
    with (
        locked(beside.ledger, StudyError),
        pytest.raises(StudyError, match=r"folds\.task-2-of-20\.jsonl is in use by another process"),
    ):
        carry_out(plan, tmp_path)
    beside.ledger.write_text("words\n")
    damaged = r"folds\.task-2-of-20\.jsonl, line 1: not what lymphofeat writes"
    with pytest.raises(StudyError, match=damaged):
        carry_out_share(plan, tmp_path, (3, 20))
    with pytest.raises(StudyError, match=damaged):
        carry_out(plan, tmp_path)


def test_a_task_from_python(cache: Path, tmp_path: Path) -> None:
    options: EvaluateOptions = {"encoding": "good", "heads": ["logistic"], "n_trials": 1}
    share = lymphofeat.evaluate(cache, tmp_path / "s.db", task=(16, 16), **options)
    assert (share.n_searches, share.n_all) == (1, 16)
    assert share.ledger == tmp_path / "s-nested" / "folds.task-16-of-16.jsonl"
    with pytest.raises(InputError, match="no task 0 of 20: tasks are counted from 1"):
        lymphofeat.evaluate(cache, tmp_path / "s.db", task=(0, 20), **options)


def test_the_command_says_what_it_did_and_what_collects(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run: Run = runner(monkeypatch, capsys)
    quick = ("--cache", cache, "--encoding", "good", "--heads", "logistic", "--trials", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    ran = run("evaluate", *quick, "--task", "/16")
    assert ran.code == 0, ran.err
    ledger = Path("studies/study-nested/folds.task-2-of-16.jsonl")
    assert ledger.is_file()
    *_, did, then = ran.out.splitlines()
    assert did == f"Task 2 of 16: 1 of 16 searches. Their results are kept in {ledger}."
    collecting = f"lymphofeat evaluate {' '.join(map(str, quick))}"
    assert then == f"Next: {collecting}: collects what the tasks made, when all of them are done"
    ran = run("evaluate", *quick, "--task=2/16")
    *_, did, then = ran.out.splitlines()
    assert did == "Task 2 of 16: 1 of 16 searches, 1 of them finished before. There was nothing left to do."
    assert then.startswith(f"Next: {collecting}: collects")
    Path("run.toml").write_text('[evaluate]\ntask = "/16"\n')
    ran = run("evaluate", *quick, "--config", "run.toml")
    assert "Next: the same command without `task` in its --config file: collects" in ran.out
    ran = run("evaluate", *quick, "--task", "2/16", "--out", "x", "--tables")
    assert (ran.code, ran.out) == (2, "")
    assert "--out, --tables cannot be used with --task; give it to the call without --task" in ran.err
    ran = run("evaluate", *quick, "--task", "0/16")
    assert (ran.code, ran.out) == (2, "")
    assert "There is no task 0 of 16: tasks are counted from 1, so give one from 1/16 to 16/16" in ran.err


TASK = """
import sys
import lymphofeat
from tests.assess.test_share import OPTIONS
from tests.helpers.tasks import Aloud
number, count, *places = sys.argv[1:]
lymphofeat.evaluate(*places, task=(int(number), int(count)), progress=Aloud(), **OPTIONS)
"""


@pytest.mark.slow
def test_tasks_killed_at_random_and_given_again_in_any_order_give_the_same_bits(
    cache: Path, tmp_path: Path
) -> None:
    study = tmp_path / "s.db"
    finish_with_kills(TASK, [cache, study], 3, 4)
    expected = lymphofeat.evaluate(cache, tmp_path / "alone.db", **OPTIONS)
    assert_same(lymphofeat.evaluate(cache, study, executor=Nobody(), **OPTIONS), expected)
