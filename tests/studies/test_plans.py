"""Scoring plans of earlier searches are not kept."""

from pathlib import Path
from typing import Any

import pytest

from lymphofeat.studies import evaluate as evaluate_module
from lymphofeat.studies.evaluate import Evaluator, StudySpec, TrialTask
from lymphofeat.studies.space import Space

from ..helpers.caches import frozen_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")


def test_plans_of_earlier_searches_are_forgotten(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A permutation test asks for hundreds of plans, and needs each for a while."""
    import weakref

    from lymphofeat.scoring.plan import ScoringPlan

    made: list[weakref.ref[ScoringPlan]] = []
    plan = StudySpec.plan

    def remembered(self: StudySpec, view: Any) -> ScoringPlan:
        found = plan(self, view)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(StudySpec, "plan", remembered)
    monkeypatch.setattr(evaluate_module, "_PLANS", 5)
    evaluator, point = Evaluator(), Space.of(["logistic"]).default_params()[0]
    settings = [StudySpec(cache, "frozen", 1, "auc", None, shuffle=shuffle) for shuffle in range(8)]
    values = [[evaluator(TrialTask(spec, 0, point, None)).value for spec in settings] for _ in range(2)]
    assert values[0] == values[1]
    assert len(made) == 16
    assert sum(one() is not None for one in made) == 5
