"""The section of cells: its order, its links, its galleries, and who is not named on it."""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.columns import InFile
from lymphofeat.errors import InputError
from lymphofeat.explanation import explain
from lymphofeat.page import cells as page_cells
from lymphofeat.page.blocks import Gap, Section, Text
from lymphofeat.page.cells import Gallery, Nested, PatientList, cells_section
from lymphofeat.page.patient import PatientPage
from lymphofeat.page.records import EvaluationRecord
from lymphofeat.page.render import render_page
from lymphofeat.page.sources import Places, Selection, Sources, find_sources
from lymphofeat.progress import Silent
from lymphofeat.studies import load_study, tune

from ..helpers.caches import features, patients


def table_of(n: int = 24, n_test: int = 3) -> pd.DataFrame:
    """Patients whose IDs are found in no other text."""
    table = patients(n, n_test, seed=1)
    return table.assign(id=[f"ZQX{i:03d}" for i in range(n + n_test)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Features without images; some patients are predicted wrongly."""
    folder, table = tmp_path_factory.mktemp("cells"), table_of()
    save_cache(folder / "c.h5", table, {"frozen": features(table, seed=1, signal=0.3)}, n_folds=3)
    tune(folder / "c.h5", folder / "s.db", n_trials=3, heads=["logistic"])
    return folder / "c.h5", folder / "s.db"


def sources_of(made: tuple[Path, Path], *, ids: bool = False, selection: Selection = Selection()) -> Sources:  # noqa: B008
    return find_sources(Places(*made, kept=made[0].parent / "kept"), ids=ids, selection=selection)


@pytest.fixture(scope="module", autouse=True)
def mapped() -> Iterator[list[Any]]:
    """What the map of the cells is given; drawing it takes seconds, and tests/page/test_cell_map.py looks at it."""
    given: list[Any] = []

    def block(sources: Sources, contributions: Any, *rest: Any) -> Gap:
        given.append(contributions)
        return Gap("No map")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_cells, "cell_map_block", block)
        yield given


@pytest.fixture(scope="module")
def section(made: tuple[Path, Path], mapped: list[Any]) -> Section:
    return cells_section(sources_of(made), Silent())


def test_the_map_has_the_contributions_in_the_order_of_the_cache(
    made: tuple[Path, Path], section: Section, mapped: list[Any]
) -> None:
    cache = open_cache(made[0])
    assert set(mapped[0]) == set(cache.ids)
    for row in (4, 25):
        e = explain(*made, str(cache.ids[row]))
        names = cache.tables.names[int(cache.tables.offsets[row]) :][: len(e.images)]
        expected = e.images.set_index("image")["contribution"][list(names)]
        np.testing.assert_allclose(mapped[0][e.id], expected, atol=1e-9)


def blocks_of(section: Section, kind: type) -> list[Any]:
    return [block for block in section.blocks if isinstance(block, kind)]


def texts_of(html: str) -> str:
    """The page and the tables in it, without pictures."""
    tables = [b64decode(text).decode() for text in re.findall(r"data:text/csv[^,]*,([A-Za-z0-9+/=]+)", html)]
    return "\n".join([re.sub(r"base64,[A-Za-z0-9+/=]+", "", html), *tables])


def test_every_patient_has_a_page_and_the_wrong_ones_come_first(
    made: tuple[Path, Path], section: Section
) -> None:
    cache, chosen = open_cache(made[0]), load_study(made[1]).selected
    (rows,) = (block.rows for block in blocks_of(section, PatientList))
    pages = blocks_of(section, PatientPage)
    assert len(pages) == len(rows) == len(cache.ids)
    assert [page.anchor for page in pages] == [row.anchor for row in rows]
    n_wrong = int((chosen.decisions[:, 0] != (cache.labels[cache.labelled] == 1)).sum())
    assert 0 < n_wrong < 24
    assert [row.mark for row in rows] == ["wrong"] * n_wrong + [""] * (27 - n_wrong)
    assert all(row.true != row.called for row in rows[:n_wrong])
    for part in (rows[:n_wrong], rows[n_wrong:]):
        distance = [abs(row.probability - row.threshold) for row in part]
        assert distance == sorted(distance)
    assert sum(row.true == "not known" for row in rows) == 3
    assert sorted(row.probability for row in rows if row.true != "not known") == pytest.approx(
        sorted(chosen.probabilities[:, 0]), abs=1e-9
    )
    assert f"{n_wrong} of 24 labelled patients" in blocks_of(section, PatientList)[0].sentences[0]


def test_what_the_cache_knows_of_images_is_read_a_few_times_not_once_an_image(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = [], InFile.read
    monkeypatch.setattr(InFile, "read", lambda column, rows: (reads.append(rows), read(column, rows))[1])
    cells_section(sources_of(made, ids=True), Silent())
    assert 0 < len(reads) < 27  # patients; of images there are five times as many


def test_links_lead_from_page_to_page_and_back(section: Section) -> None:
    pages = blocks_of(section, PatientPage)
    assert pages[0].before is None
    assert pages[-1].after is None
    for one, other in pairwise(pages):
        assert (one.after.anchor, other.before.anchor) == (other.anchor, one.anchor)
    html = render_page("Report", [section])
    anchors = re.findall(r'id="([^"]+)"', html)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(anchors)


def test_galleries_hold_the_strongest_cells_and_two_of_a_patient(
    made: tuple[Path, Path], section: Section
) -> None:
    galleries = blocks_of(section, Gallery)
    assert [gallery.name for gallery in galleries] == ["malignant", "reactive"]
    for gallery in galleries:
        values = [abs(cell.contribution) for cell, _, _ in gallery.cells]
        assert len(values) == 12
        assert values == sorted(values, reverse=True)
        assert all(cell.side == gallery.name for cell, _, _ in gallery.cells)
        links = [link.anchor for _, link, _ in gallery.cells]
        assert max(links.count(link) for link in links) <= 2


def test_nobody_is_named_unless_asked_for(made: tuple[Path, Path], section: Section) -> None:
    cache = open_cache(made[0])
    said = texts_of(render_page("Report", [section]))
    named = texts_of(render_page("Report", [cells_section(sources_of(made, ids=True), Silent())]))
    births = set(cache.patients["birth"])
    for patient in cache.ids:
        assert patient not in said
        assert patient in named
    for name in set(cache.tables.names):
        assert name not in said
    assert not any(birth in text for birth in births for text in (said, named))
    assert "Patient 27" in said


def evaluated(sources: Sources, decisions: list[list[int]]) -> Sources:
    """With an evaluation of several runs that decides thus about the patients of the cache."""
    rows = [
        {
            "role": "main",
            "id": str(sources.cache.ids[k]),
            "run": run,
            "probability": 0.5 + 0.1 * run,
            "decision": one,
        }
        for k, decided in enumerate(decisions)
        for run, one in enumerate(decided)
    ]
    other = rows[0] | {"role": "clinical", "probability": 0.01}
    tables = {"predictions": pd.DataFrame([*rows, other])}
    return replace(
        sources,
        evaluation=EvaluationRecord(
            Path("evaluate.json"), "a", "b", "auc", 24, 12, None, 3, 3, tables=tables
        ),
    )


def test_runs_of_the_evaluation_say_how_far_the_probability_ranges(made: tuple[Path, Path]) -> None:
    sources = sources_of(made)
    labels = sources.cache.labels[:24].tolist()
    decisions = [[label, label, 1 - label] for label in labels]
    right = {
        row.name for row in blocks_of(cells_section(sources, Silent()), PatientList)[0].rows if not row.mark
    }
    number = sources.names.number
    k = next(k for k in range(24) if f"Patient {number(str(sources.cache.ids[k]))}" in right)
    decisions[k] = [1 - labels[k]] * 3
    found = cells_section(evaluated(sources, decisions), Silent())
    rows = blocks_of(found, PatientList)[0].rows
    marked = [row.name for row in rows if row.mark == "wrong when nested"]
    assert marked == [f"Patient {number(str(sources.cache.ids[k]))}"]
    marks = [row.mark for row in rows]
    assert marks == sorted(marks, key=["wrong", "wrong when nested", ""].index)
    page = next(page for page in blocks_of(found, PatientPage) if page.title == marked[0])
    n = 3 * (1 - labels[k])
    assert page.facts == [
        "Over 3 runs of the nested evaluation the probability ranges from 0.500 to 0.700, and "
        f"{n} of 3 runs call the patient malignant."
    ]
    assert page.gauge.low <= 0.5
    assert page.gauge.high >= 0.7
    assert (
        Nested(0.2, 0.2, 1, 0).in_words == "The nested evaluation gives 0.200 and calls the patient reactive."
    )
    assert not Nested(0.2, 0.4, 2, 1).wrong(1)
    assert not Nested(0.2, 0.4, 2, 2).wrong(-1)


def test_of_many_patients_those_that_matter_have_a_page(
    made: tuple[Path, Path], section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cells, "MOST_PAGES", 20)
    found = cells_section(sources_of(made), Silent())
    (some,), (everyone,) = blocks_of(found, PatientList), blocks_of(section, PatientList)
    assert len(some.rows) == len(blocks_of(found, PatientPage)) == 20
    assert len(some.others) == 7
    wrong = {row.name for row in everyone.rows if row.mark == "wrong"}
    assert wrong <= {row.name for row in some.rows}
    known = {row.name: row for row in everyone.rows}
    for row in some.others:
        if row.true != "not known":
            assert row.probability == pytest.approx(known[row.name].probability, abs=1e-9)
            assert row.threshold == pytest.approx(known[row.name].threshold)
            assert row[2:4] == known[row.name][2:4]
    assert not any(row.anchor for row in some.others)
    assert "the other 7 are listed only" in some.sentences[-1]
    assert "of them called wrongly" not in some.sentences[-1]
    render_page("Report", [found])
    monkeypatch.setattr(page_cells, "MOST_PAGES", 4)
    (few,) = blocks_of(cells_section(sources_of(made), Silent()), PatientList)
    assert [row.mark for row in few.rows] == ["wrong"] * 4
    assert f"{len(wrong) - 4} of them called wrongly" in few.sentences[-1]
    monkeypatch.setattr(page_cells, "MOST_PAGES", 26)
    (most,) = blocks_of(cells_section(sources_of(made), Silent()), PatientList)
    assert [row.true for row in most.others] == ["not known"]
    assert "26 patients have a page: all that are labelled; 1 without a label" in most.sentences[-1]


def test_a_head_that_sees_no_image_shows_no_cell(made: tuple[Path, Path], tmp_path: Path) -> None:
    tune(made[0], tmp_path / "s.db", n_trials=1, heads=["logistic"], inputs=["clinical"])
    found = cells_section(sources_of((made[0], tmp_path / "s.db")), Silent())
    assert any("No image contributes" in one for block in blocks_of(found, Text) for one in block.sentences)
    assert not blocks_of(found, Gallery)
    page = blocks_of(found, PatientPage)[0]
    assert (page.cells.malignant, page.cells.reactive, page.cells.others) == ((), (), ())
    assert [bar.label for bar in page.parts] == ["typical patient", "clinical values", "log-odds"]
    assert "sees no image" in render_page("Report", [found])


def test_without_clinical_values_there_is_no_clinical_part(tmp_path: Path) -> None:
    table = table_of(16, 0).assign(sex="", age=np.nan, lymphocyte_count=np.nan)
    save_cache(tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=2)
    tune(tmp_path / "c.h5", tmp_path / "s.db", n_trials=2, heads=["logistic"])
    found = cells_section(sources_of((tmp_path / "c.h5", tmp_path / "s.db")), Silent())
    for page in blocks_of(found, PatientPage):
        assert page.values == []
        assert "clinical values" not in [bar.label for bar in page.parts]
        assert page.parts[-1].value == pytest.approx(sum(bar.value for bar in page.parts[:-1]))


def test_what_cannot_be_shown_is_a_line(made: tuple[Path, Path], section: Section, tmp_path: Path) -> None:
    sentences = [one for block in blocks_of(section, Text) for one in block.sentences]
    assert sum("no cell can be shown" in one for one in sentences) == 1
    gap, _ = cells_section(sources_of((made[0], tmp_path / "s.db")), Silent()).blocks  # and the map
    assert isinstance(gap, Gap)
    assert gap.command.startswith("lymphofeat tune")
    with pytest.raises(InputError, match="99"):
        cells_section(sources_of(made, selection=Selection(trial=99)), Silent())
