"""Provenance: each step with its command, time, versions and machine; no folder and no patient in a command."""

import base64
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.page.blocks import Table
from lymphofeat.page.names import Names
from lymphofeat.page.provenance import (
    Commands,
    Step,
    commands_in_order,
    provenance_section,
    shown_command,
    steps,
)
from lymphofeat.page.referee import referee_section
from lymphofeat.page.render import render_page
from lymphofeat.page.sources import Places, Sources, find_sources
from lymphofeat.progress import Silent
from lymphofeat.storage.provenance import made_by

from ..helpers.reported import Made, made_once

NAMES = Names(("P12", "7", "Ann B"))
OLD = Path(__file__).parents[1] / "data" / "before_rooms" / "features.h5"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_once(tmp_path_factory)


@pytest.fixture(scope="module")
def sources(made: Made) -> Sources:
    """All that the commands left, and an evaluation that says from elsewhere that it has several seeds."""
    found = find_sources(Places(made.cache, made.study, kept=made.folder / "studies"))
    assert found.evaluation is not None
    ended = {"command": "lymphofeat evaluate --cache /clinic/c.h5", "at": "2026-01-02T03:04:05+00:00"}
    search = {**found.evaluation.search, "seed": 3, "seeds": 2}
    return replace(found, evaluation=replace(found.evaluation, search=search, made=made_by() | ended))


def tables(sources: Sources) -> dict[str, Table]:
    return {b.name: b for b in provenance_section(sources, Silent()).blocks if isinstance(b, Table)}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("lymphofeat tune --cache /ward/c.h5 --trials 7", "lymphofeat tune --cache c.h5 --trials 7"),
        ("lymphofeat explain P12 --cache c.h5", "lymphofeat explain … --cache c.h5"),
        ("lymphofeat explain stranger", "lymphofeat explain …"),
        ("lymphofeat explain 7 --out 7.html", "lymphofeat explain … --out …"),
        ("lymphofeat explain P12 --out /home/P12.csv", "lymphofeat explain … --out …"),
        ("lymphofeat predict model 'Ann B'", "lymphofeat predict model …"),
        ("lymphofeat check --x=P12 'a b'", "lymphofeat check … 'a b'"),
        ("lymphofeat 'torn", ""),
        ("", ""),
    ],
)
def test_a_command_names_no_folder_and_no_patient(given: str, shown: str) -> None:
    assert shown_command(given, NAMES) == shown


def test_with_ids_a_command_is_as_typed_but_for_folders() -> None:
    names = replace(NAMES, shown=True)
    assert (
        shown_command("lymphofeat explain P12 --cache /a/c.h5", names)
        == "lymphofeat explain P12 --cache c.h5"
    )


@given(
    st.lists(
        st.sampled_from(["explain", "P12", "--cache", "/a/P12/x.h5", "Ann B", "a\\P12.csv", "7", "--k=P12"])
    )
)
def test_no_patient_is_left_in_any_command(words: list[str]) -> None:
    shown = shown_command(shlex.join(["lymphofeat", *words]), NAMES)
    assert "P12" not in shown
    assert "Ann" not in shown
    assert "/" not in shown


def test_every_step_stands_with_its_source(sources: Sources) -> None:
    found = list(steps(sources))
    n = len(sources.cache.everything)
    assert [step.name for step in found] == [
        "check",
        *["extract"] * n,
        "tune",
        "evaluate",
        "compare",
        "report",
    ]
    assert sources.study is not None
    assert found[n + 1].seconds == sources.study.seconds
    cells = tables(sources)["steps"].cells
    assert [row[0][0] for row in cells] == [step.name for step in found]
    check, first, *_, tune, evaluate, _, _ = cells
    assert check[2][0] == "lymphofeat check"
    assert first[2][0] == "lymphofeat extract --folds 3"
    assert tune[2][0] == "lymphofeat tune --trials 8 --heads logistic --jobs 1"
    assert evaluate[2][0] == "lymphofeat evaluate --cache c.h5"
    assert evaluate[3] == ("2026-01-02 03:04", "2026-01-02T03:04:05+00:00")
    versions = tables(sources)["versions"].frame
    for row, number in zip(cells, versions["numpy"], strict=True):
        assert made_by()["processor"] in row[5][0]
        assert number == np.__version__


def test_without_ids_nothing_in_it_names_a_patient_or_a_file(sources: Sources, made: Made) -> None:
    page = render_page("x", [provenance_section(sources, Silent()), referee_section(sources, Silent())])
    text = re.sub(r"base64,([^\"]*)", lambda found: base64.b64decode(found[1]).decode(), page)
    assert "lymphofeat extract --folds 3" in text
    assert [word for word in (*made.ids, *made.files, *made.births) if word in text] == []


def test_folds_and_digests_are_the_caches(sources: Sources) -> None:
    cache, found = sources.cache, tables(sources)
    labels = cache.labels[cache.labelled]
    for row in found["folds"].frame.itertuples():
        own = labels[cache.folds[cache.labelled, row.repeat] == row.fold]
        assert (row.patients, row.malignant, row.reactive) == (
            len(own),
            int(own.sum()),
            int((own == 0).sum()),
        )
    assert found["folds"].frame["patients"].sum() == len(labels) * cache.folds.shape[1]
    digests = dict(zip(found["digests"].frame["of"], found["digests"].frame["digest"], strict=True))
    assert digests["cohort: images, labels, values, folds"] == cache.fingerprint
    assert digests["labelled patients"] == sources.digest
    for name, one in cache.encodings.items():
        assert digests[f"features of {name}"] == one.digest
    assert found["digests"].cells[0][1] == (cache.fingerprint[:12], cache.fingerprint)


def test_seeds_are_said(sources: Sources) -> None:
    text = " ".join(
        sentence
        for block in provenance_section(sources, Silent()).blocks
        for sentence in getattr(block, "sentences", ())
    )
    assert f"Seed of the folds: {sources.cache.fold_seed}." in text
    assert "Seed of the search: 0." in text
    assert "Seeds of the searches inside outer folds: 3 to 4." in text


def test_commands_are_repeated_once_each_in_the_order_in_which_they_ended() -> None:
    def step(command: str | None, at: str = "") -> Step:
        return Step("x", "y", ({} if command is None else {"command": command}) | ({"at": at} if at else {}))

    found = [
        step("lymphofeat check a", "2026-01-01T00:00:00+00:00"),
        step("lymphofeat extract a", "2026-01-01T01:00:00+00:00"),
        step("lymphofeat compare a", "2026-01-01T02:00:00+00:00"),
        step("lymphofeat tune", "2026-01-01T05:00:00+00:00"),
        step(None),
        step(""),
        step("lymphofeat compare a", "2026-01-01T04:00:00+00:00"),
    ]
    assert commands_in_order(found, NAMES) == [
        f"lymphofeat {name}" for name in ("check a", "extract a", "compare a", "tune")
    ]


def test_what_earlier_versions_did_not_keep_is_not_recorded(tmp_path: Path) -> None:
    found = find_sources(Places(OLD, tmp_path / "none.db", kept=tmp_path))
    blocks = provenance_section(found, Silent()).blocks
    step, *_ = tables(found)["steps"].cells
    assert (step[2][0], step[3][0], step[5][0]) == ("not recorded", "not recorded", "not recorded")
    assert not [block for block in blocks if isinstance(block, Commands)]
