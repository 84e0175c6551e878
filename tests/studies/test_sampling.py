"""Proposals: functions of the seed and the finished trials, from three samplers, none twice if it can be helped."""

from typing import Any

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from lymphofeat.studies.sampling import BATCH, Proposal, Proposals, point_key
from lymphofeat.studies.space import Space

HEADS = ("lda", "logistic", "xgboost")


def finished(proposal: Proposal, value: float, *, pruned: bool = False) -> FrozenTrial:
    return create_trial(
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE, value=value, params=proposal.params,
        distributions=proposal.distributions, intermediate_values={2: value} if pruned else {},
    )  # fmt: skip


def liking(proposal: Proposal) -> float:
    """A value that is best for one head type, and there for one kind of input."""
    if proposal.params["family"] != "lda":
        return 0.1
    return 1.0 if proposal.params["lda.inputs"] == "image" else 0.5


def searched(
    sampler: str, batches: int, seed: int = 0, heads: tuple[str, ...] = HEADS, space: Space | None = None
) -> list[Proposal]:
    proposals = Proposals(space or Space.of(heads), "maximize", sampler, seed)
    seen: list[Proposal] = []
    for _ in range(batches):
        batch = proposals.next_batch()
        for number, proposal in enumerate(batch):
            proposals.tell(finished(proposal, liking(proposal), pruned=number == 3))
        seen += batch
    return seen


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_batch_is_a_function_of_the_seed_and_what_was_told(sampler: str) -> None:
    whole = searched(sampler, 6)
    again = Proposals(Space.of(HEADS), "maximize", sampler, 0)
    for number, proposal in enumerate(whole[: 5 * BATCH]):  # as after a kill: told without having proposed
        again.tell(finished(proposal, liking(proposal), pruned=number % BATCH == 3))
    assert [p.params for p in again.next_batch()] == [p.params for p in whole[5 * BATCH :]]
    assert [p.number for p in whole] == list(range(6 * BATCH))
    other = searched(sampler, 6, seed=1)
    n_first = len(Space.of(HEADS).default_params())
    assert (
        [p.params for p in whole[:n_first]]
        == Space.of(HEADS).default_params()
        == [p.params for p in other[:n_first]]
    )
    assert [p.params for p in whole[n_first:]] != [p.params for p in other[n_first:]]


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_the_rule_for_missing_values_changes_no_other_parameter(sampler: str) -> None:
    """So that the trials of a seed are those of versions in which heads were always told what is missing."""
    heads = (*HEADS, "late", "attention")
    told = searched(sampler, 12, space=Space.of(heads, missing_indicators=True))
    without = searched(sampler, 12, space=Space.of(heads))
    rule = {"missing_indicator": False}
    for one, other in zip(told, without, strict=True):
        added = dict(other.params.items() - one.params.items())
        assert one.params == {name: value for name, value in other.params.items() if name not in added}
        assert {name.partition(".")[2]: value for name, value in added.items()} in ({}, rule)
        inputs = other.params.get(f"{other.params['family']}.inputs", "both")
        assert bool(added) == (inputs != "image")


def test_the_estimator_learns_what_is_good() -> None:
    def share(sampler: str) -> float:
        late = searched(sampler, 10)[-4 * BATCH :]
        return float(np.mean([liking(p) == 1.0 for p in late]))

    assert share("tpe") > 0.4
    assert share("random") < 0.25


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_no_point_is_proposed_twice(sampler: str) -> None:
    keys = [p.key for p in searched(sampler, 8)]
    assert len(set(keys)) == len(keys)


def test_a_used_up_grid_proposes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(_: Space, trial: Any) -> None:
        trial.suggest_categorical("family", ["logistic"])
        trial.suggest_int("logistic.n", 1, 4)

    monkeypatch.setattr(Space, "suggest", small)
    monkeypatch.setattr(Space, "default_params", lambda _: [{"family": "logistic", "logistic.n": 2}])
    proposals = Proposals(Space.of(["logistic"]), "maximize", "grid", 0)
    batch = proposals.next_batch()
    # The first one is on the grid as well; it is known only after it was told, so it is drawn once more, and redrawn.
    assert sorted(p.params["logistic.n"] for p in batch) == [1, 2, 3, 4]
    for sampler in ("random", "tpe"):  # these do not know the end; they repeat themselves
        assert len(Proposals(Space.of(["logistic"]), "maximize", sampler, 0).next_batch()) == BATCH


def test_equal_points_have_equal_keys() -> None:
    assert point_key({"b": 1, "a": None}) == point_key({"a": None, "b": 1})
    assert point_key({"a": 1}) != point_key({"a": 2})
