"""Checklists: every answer is of this very report, and what is missing is a gap with its command."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cohort.exclusions import Exclusion, exclusions_text
from lymphofeat.page import checklist_cohort, checklist_model
from lymphofeat.page.referee import Checklist, checklists, referee_section
from lymphofeat.page.sources import Places, Sources, find_sources
from lymphofeat.progress import Silent
from lymphofeat.studies import load_study
from lymphofeat.wording import interval_text

from ..helpers.reported import made_once

# As published: doi:10.1136/bmj-2023-078378, table 2, and doi:10.1038/s41591-025-03953-8, table 2.
TRIPOD = (
    "1,2,3a,3b,3c,4,5a,5b,6a,6b,6c,7,8a,8b,8c,9a,9b,9c,10,11,12a,12b,12c,12d,12e,12f,12g,13,14,15,16,17,"
    "18a,18b,18c,18d,18e,18f,19,20a,20b,20c,21,22,23a,23b,24,25,26,27a,27b,27c"
)
STARD = (
    "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15a,15b,15c,15d,16a,16b,16c,17a,17b,18,19,20,21,22,23,24,25,26a,26b,"
    "27,28,29,30,31,32,33,34,35,36,37,38,39,40a,40b"
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """A cache, its study, its evaluation and comparison, as the commands leave them."""
    made = made_once(tmp_path_factory)
    return find_sources(Places(made.cache, made.study, kept=made.folder / "studies"))


@pytest.fixture(scope="module")
def kept(sources: Sources) -> dict[str, Any]:
    """The evaluation as it lies on the disk."""
    assert sources.evaluation is not None
    found: dict[str, Any] = json.loads(sources.evaluation.path.read_text(encoding="utf-8"))
    return found


def answers(sources: Sources, name: str = "TRIPOD+AI") -> dict[str, Any]:
    (found,) = (one for one in checklists(sources) if one.name == name)
    return {item.number: item for item in found.items}


def noun(sources: Sources) -> str:
    """What a row of the table is called, in the plural."""
    groups = sources.cache.groups[sources.cache.labelled]
    return "patients" if len(set(groups.tolist())) == len(groups) else "records"


def test_the_items_are_those_of_the_published_checklists(sources: Sources) -> None:
    tripod, stard = checklists(sources)
    assert ",".join(item.number for item in tripod.items) == TRIPOD
    assert ",".join(item.number for item in stard.items) == STARD
    assert (len(tripod.items), len(stard.items)) == (52, 48)
    assert {item.number.rstrip("abcdefg") for item in stard.items} == {str(k) for k in range(1, 41)}


def test_every_item_is_answered_or_left_with_what_to_write(sources: Sources) -> None:
    for one in checklists(sources):
        for item in one.items:
            assert item.asks
            expected = {"answered": (True, False), "in part": (True, True), "for the author": (False, True)}
            assert (bool(item.answer), bool(item.author)) == expected[item.state], item.number
            assert not item.command
            assert "nan" not in item.answer.split()
            assert item.answer.endswith(".") or not item.answer
    tripod, stard = checklists(sources)
    assert (
        tripod.summary == "52 items: 17 answered by the program, 16 answered in part, 19 left to the author."
    )
    assert (
        stard.summary == "48 items: 10 answered by the program, 16 answered in part, 22 left to the author."
    )


def test_nothing_that_answers_is_unused(sources: Sources) -> None:
    both: Mapping[str, Any] = {**checklist_cohort.ANSWERS, **checklist_model.ANSWERS}
    assert len(both) == len(checklist_cohort.ANSWERS) + len(checklist_model.ANSWERS)
    said = {item.answer for one in checklists(sources) for item in one.items if item.answer}
    assert len(said) == len(both)  # each says something of its own


def test_scores_are_those_of_the_evaluation(sources: Sources, kept: dict[str, Any]) -> None:
    tripod, stard = answers(sources), answers(sources, "STARD-AI")
    none = float("nan")
    for row in kept["tables"]["metrics"]:
        bounds = tuple(none if row[key] is None else row[key] for key in ("value", "low", "high"))
        assert interval_text(bounds) in tripod["23a"].answer
    assert stard["31"].answer == tripod["23a"].answer
    reactive, malignant = kept["tables"]["confusion"]
    assert stard["30"].answer == (
        f"{reactive['n']} reactive: {reactive['called_malignant']:.0f} called malignant, "
        f"{reactive['called_reactive']:.0f} reactive; {malignant['n']} malignant: {malignant['called_malignant']:.0f} "
        f"called malignant, {malignant['called_reactive']:.0f} reactive."
    )
    assert f"{kept['folds']} outer folds, {kept['search']['trials']} trials in each" in tripod["12c"].answer
    assert f"{len(kept['tables']['differences'])} paired differences" in tripod["12e"].answer
    for row in kept["tables"]["calibration"]:
        assert (
            interval_text((row["log_loss"], row["log_loss_low"], row["log_loss_high"]))
            in tripod["12f"].answer
        )
    assert f"{len(kept['tables']['wrong'])} of {kept['patients']} {noun(sources)}" in tripod["14"].answer


def test_patients_and_folds_are_those_of_the_cache(sources: Sources) -> None:
    cache = open_cache(sources.cache.path)
    labels, folds = cache.labels[cache.labelled], cache.folds[cache.labelled, 0]
    n, malignant = len(labels), int(labels.sum())
    tripod = answers(sources)
    everybody, test = len(cache.patients), int((cache.patients["split"] == "test").sum())
    assert tripod["20a"].answer == (
        f"{everybody} {noun(sources)} in the cohort; none left out; {everybody} with {cache.tables.n_images:,} images "
        f"remain: {n} labelled ({malignant} malignant, {n - malignant} reactive), {test} of the test part, "
        f"{everybody - n - test} without a diagnosis."
    )
    for k in np.unique(folds):
        out, bad = int((folds == k).sum()), int(labels[folds == k].sum())
        assert f"{out} {noun(sources)} ({bad} malignant)" in tripod["12a"].answer
        assert (
            f"fold {k}: {n - out} ({malignant - bad} malignant) to search and fit, {out} ({bad})"
            in tripod["21"].answer
        )
    ages = cache.patients.iloc[cache.labelled]["age"]
    assert f"age {int(ages.isna().sum())} ({100 * ages.isna().mean():.0f} %)" in tripod["11"].answer
    of_malignant = ages[labels == 1].median()
    assert f"malignant ({malignant}): age {of_malignant:.0f} (" in tripod["20b"].answer


def test_the_model_is_the_one_that_the_study_selects(sources: Sources) -> None:
    study = load_study(sources.places.study)
    tripod = answers(sources)
    assert f"malignant at {study.selected.threshold:.3f} or above" in tripod["15"].answer
    assert f"Search of {study.n_trials} trials" in tripod["12c"].answer
    worst = min((row for row in study.rows if row.complete), key=lambda row: row.value)
    other = replace(sources, selection=sources.selection._replace(trial=worst.number))
    assert f"Selected: trial {worst.number}, chosen by hand (1 head)" in answers(other)["12c"].answer


def test_another_value_in_a_source_is_another_answer(sources: Sources) -> None:
    assert sources.evaluation is not None
    metrics = sources.evaluation.table("metrics").copy()
    metrics.loc[metrics["metric"] == "auc", ["value", "low", "high"]] = [0.123, 0.111, 0.135]
    other = replace(
        sources,
        evaluation=replace(sources.evaluation, tables={**sources.evaluation.tables, "metrics": metrics}),
    )
    assert "AUC 0.123 [0.111, 0.135]" in answers(other)["23a"].answer
    assert "AUC 0.123 [0.111, 0.135]" in answers(other)["10"].answer


def test_without_a_source_its_items_wait_for_a_command(sources: Sources) -> None:
    tripod = answers(replace(sources, evaluation=None))
    waiting = {number for number, item in tripod.items() if item.state == "not run"}
    assert waiting == {"12a", "12e", "12f", "12g", "14", "16", "20c", "21", "23a", "24", "26"}
    assert {tripod[number].command for number in waiting} == {sources.gap("evaluate").shown}
    assert "cross-validation only, whose scores are selected" in tripod["4"].answer
    assert "The nested evaluation has not been run." in tripod["12c"].answer
    tripod = answers(replace(sources, evaluation=None, study=None))
    assert {tripod[number].command for number in ("9a", "11", "12b", "12c", "13", "15", "22", "27a")} == {
        sources.gap("tune").shown
    }
    assert tripod["20a"].state == "answered"


def test_an_evaluation_of_before_lacks_tables_and_the_command_makes_them(sources: Sources) -> None:
    assert sources.evaluation is not None
    other = replace(sources, evaluation=replace(sources.evaluation, tables={}))
    tripod, stard = answers(other), answers(other, "STARD-AI")
    assert {tripod[number].state for number in ("12e", "14", "23a")} == {"not run"}
    assert (stard["30"].state, stard["30"].command) == ("not run", sources.gap("evaluate").shown)
    assert tripod["12g"].state == "answered"
    assert not [item.number for item in tripod.values() if ": ." in item.answer or ": ;" in item.answer]


def test_reasons_of_exclusions_name_nobody(sources: Sources) -> None:
    known = str(sources.cache.ids[3])
    out = Exclusion("PX9", "", f"the same person as {known}", 4, label=1, split="train")
    tables = replace(sources.cache.tables, exclusions=exclusions_text([out]))
    cache = replace(sources.cache, tables=tables)
    item = answers(replace(sources, cache=cache))["6b"]
    assert "1 patient (1 malignant): the same person as another patient 1" in item.answer
    assert known not in item.answer.split()
    assert "PX9" not in item.answer


def test_the_supplement_says_the_same(sources: Sources) -> None:
    for one in checklists(replace(sources, evaluation=None)):
        frame = pd.read_csv(io.BytesIO(content(one.csv)), dtype=str, keep_default_na=False)
        assert frame["item"].tolist() == [item.number for item in one.items]
        assert frame["answer"].tolist() == [item.answer for item in one.items]
        assert frame["command"].tolist() == [item.command for item in one.items]
        rows = content(one.markdown_link).decode().splitlines()
        table = [row for row in rows if row.startswith("| ")][1:]
        assert len(table) == len(one.items)
        for row, item in zip(table, one.items, strict=True):
            assert row.startswith(f"| {item.number} | {item.topic}: ")
            assert item.answer.replace("|", "\\|") in row


def content(link: str) -> bytes:
    return base64.b64decode(link.partition("base64,")[2])


def test_claim_and_probast_stand_by_number_only(sources: Sources) -> None:
    section = referee_section(sources, Silent())
    assert [block.name for block in section.blocks if isinstance(block, Checklist)] == [
        "TRIPOD+AI",
        "STARD-AI",
    ]
    full, cohort_only = (
        referee_section(found, Silent()).blocks[-1].sentences  # type: ignore[attr-defined]
        for found in (sources, replace(sources, study=None, evaluation=None))
    )
    assert "this report has something on 8, 9, 12, 35, 36." in cohort_only[0]
    assert "8, 9, 12, 19, 20, 21, 22, 23, 25, 26, 27, 28, 29, 30, 32, 35, 36, 37, 38, 39." in full[0]
    assert "1.2, 4.1, 4.2, 4.3, 4.4, 4.5, 4.7, 4.8." in full[1]


def test_a_cache_without_labels_or_study_has_answers_too(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "data" / "before_rooms" / "features.h5"
    found = find_sources(Places(path, tmp_path / "none.db", kept=tmp_path))
    labels = found.cache.tables.patients.assign(label=np.int8(-1))
    for cache in (found.cache, replace(found.cache, tables=replace(found.cache.tables, patients=labels))):
        for one in checklists(replace(found, cache=cache)):
            assert all(item.answer or item.command or item.author for item in one.items)
