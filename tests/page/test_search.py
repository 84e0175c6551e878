"""The section of the search: its figures and tables hold the study's own numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lymphofeat import tune
from lymphofeat.page.blocks import FigureBlock, Gap, Table, Text
from lymphofeat.page.render import render_page
from lymphofeat.page.search import best_of_head_types, best_trials, search_section
from lymphofeat.page.search_points import parameter_shares, points_of
from lymphofeat.page.sources import Places, Selection, Sources, find_sources
from lymphofeat.progress import Silent
from lymphofeat.studies.importance import Importance
from lymphofeat.studies.summary import StudySummary

from ..helpers.caches import frozen_cache


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """A study of twelve trials of two head types."""
    root = tmp_path_factory.mktemp("search")
    tune(frozen_cache(root / "c.h5"), root / "s.db", n_trials=12, heads=["logistic", "lda"])
    return find_sources(Places(root / "c.h5", root / "s.db", kept=root))


@pytest.fixture(scope="module")
def study(sources: Sources) -> StudySummary:
    assert sources.study is not None
    return sources.study


def test_the_section_holds_the_numbers_of_the_study(sources: Sources, study: StudySummary) -> None:
    section = search_section(sources, Silent())
    drawn = {one.name: one for one in section.drawn}
    assert list(drawn) == ["head-types", "history", "parallel"], "too few trials for importances"
    assert np.array_equal(drawn["history"].table["value"], study.trials["value"], equal_nan=True)
    kept = drawn["head-types"].table.set_index("head_type")
    for one in study.leaderboard:
        exact = one.trial.interval(study.metric)
        assert tuple(kept.loc[one.head_type, ["value", "low", "high"]]) == tuple(exact)
    (best,) = (block for block in section.blocks if isinstance(block, Table))
    assert best.frame["trial"].tolist() == [one.number for one in best_trials(study)]
    assert best.frame[study.metric].tolist() == sorted(best.frame[study.metric], reverse=True)
    said = [sentence for block in section.blocks if isinstance(block, Text) for sentence in block.sentences]
    assert any(study.caveat in sentence for sentence in said), "selected, hence optimistic"
    assert study.importance.note in said
    assert any(isinstance(block, Gap) and "evaluate" in block.command for block in section.blocks)
    assert "data-value" in render_page("Report", [section])


def test_points_are_those_of_the_trials(study: StudySummary) -> None:
    points, logs = points_of(study)
    complete = [row for row in study.rows if row.complete]
    assert points.index.tolist() == [row.number for row in complete]
    assert points["value"].tolist() == [row.value for row in complete]
    assert points.shape[1] <= 9
    assert points["head type"].tolist() == [row.params["family"] for row in complete]
    if "C" in points:
        assert "C" in logs
        own = [row.params.get(f"{row.params['family']}.C", np.nan) for row in complete]
        assert np.array_equal(points["C"], own, equal_nan=True)
    assert parameter_shares(study).empty


def test_the_selected_head_is_the_one_that_was_asked_for(sources: Sources, study: StudySummary) -> None:
    number = best_of_head_types(study)["trial"].iloc[-1]
    asked = Sources(
        sources.places, sources.cache, study, None, None, sources.names, Selection(trial=int(number)),
        sources.missing,
    )  # fmt: skip
    said = [
        sentence
        for block in search_section(asked, Silent()).blocks
        if isinstance(block, Text)
        for sentence in block.sentences
    ]
    assert f"Selected model: trial {number}, by --trial {number}." in said


def test_a_study_of_one_trial_and_no_study(sources: Sources, tmp_path: Path) -> None:
    tune(sources.cache.path, tmp_path / "one.db", n_trials=1, heads=["logistic"])
    one = search_section(
        find_sources(Places(sources.cache.path, tmp_path / "one.db", kept=tmp_path)), Silent()
    )
    assert [block.drawn.name for block in one.blocks if isinstance(block, FigureBlock)] == [
        "head-types",
        "history",
    ]
    none = search_section(
        find_sources(Places(sources.cache.path, tmp_path / "none.db", kept=tmp_path)), Silent()
    )
    (gap,) = none.blocks
    assert isinstance(gap, Gap)
    assert gap.command.startswith("lymphofeat tune --cache")


def test_importances_choose_the_axes(sources: Sources, study: StudySummary) -> None:
    of_both = [f"{row.params['family']}.{name}" for row in study.rows for name in ("class_weight", "pooling")]
    there = [
        name
        for name in dict.fromkeys(of_both)
        if any(name in row.params for row in study.rows if row.complete)
    ]
    shares = {"family": 0.6, **dict.fromkeys(there, 0.4 / len(there))}
    weighed = replace(study)
    weighed.__dict__["importance"] = Importance(shares, 60)  # as of a longer search
    assert parameter_shares(weighed)["parameter"].tolist()[0] == "head type"
    assert parameter_shares(weighed)["share"].sum() == pytest.approx(1)
    points, _ = points_of(weighed, most=3)
    assert set(points.columns[1:]) <= {"head type", "class weight", "pooling"}
    drawn = [one.name for one in search_section(replace(sources, study=weighed), Silent()).drawn]
    assert "importance" in drawn
