"""Persons with several visits: an assessment says as much as that of the persons, and says so."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lymphofeat.assess import assess
from lymphofeat.assess.record import assessment_json
from lymphofeat.nested.result import Nested
from lymphofeat.report.assess import render_assessment

from ..helpers.nested import nested, table_of

VISITS = 3
COLUMNS = ["metric", "value", "low", "high"]


def visited(one: Nested, n_visits: int = VISITS) -> Nested:
    """The same with so many records of each patient, all alike."""
    rows = np.repeat(np.arange(len(one.y)), n_visits)
    folds = tuple(
        replace(
            fold,
            rows=np.flatnonzero(np.isin(rows, fold.rows)),
            probabilities=np.repeat(fold.probabilities, n_visits),
            inner=fold.inner[rows],
        )
        for fold in one.folds_of_runs
    )
    ids = tuple(f"{one.ids[row]}-{k % n_visits}" for k, row in enumerate(rows))
    return replace(one, ids=ids, y=one.y[rows], folds_of_runs=folds, groups=rows)


def table_of_visits(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.assign(id=table["id"] + f"-{k}") for k in range(VISITS)])


@pytest.mark.parametrize("runs", [1, 2])
def test_tables_of_visits_are_those_of_the_persons(runs: int) -> None:
    # Without inner predictions, since calibrators are fitted a little less tightly on fewer rows.
    main = nested(n=60, inner=False, runs=runs)
    clinical = nested(
        "clinical only", n=60, inner=False, inputs=("clinical",), strength=1.2, seed=1, runs=runs
    )
    options = {"n_resamples": 200}
    plain = assess(main, [clinical], table_of(60), **options)
    found = assess(visited(main), [visited(clinical)], table_of_visits(table_of(60)), **options)
    assert (found.n, found.n_persons, plain.n, plain.n_persons) == (180, 60, 60, None)
    counted = found.tables["metrics"]["metric"].isin(["sensitivity", "specificity"])
    for name in (
        "pipelines",
        "differences",
        "optimism",
        "calibration",
        "risk_coverage",
        "decision_curves",
        "simplest",
    ):
        pd.testing.assert_frame_equal(found.tables[name], plain.tables[name], obj=name, rtol=1e-6, atol=1e-6)
    pd.testing.assert_frame_equal(
        found.tables["metrics"][~counted], plain.tables["metrics"][~counted], rtol=1e-6, atol=1e-6
    )
    for name in (
        "metrics",
        "thresholds",
    ):  # bounds of counts, which are rounded: of records here, of persons there
        here, there = found.tables[name], plain.tables[name]
        if name == "metrics":
            here, there = here[counted], there[counted]
            pairs = [(here["low"], here["high"], there["low"], there["high"])]
        else:
            pairs = [
                (here[f"{s}_low"], here[f"{s}_high"], there[f"{s}_low"], there[f"{s}_high"])
                for s in ("sensitivity", "specificity")
            ]
        for (
            low,
            high,
            low_of_persons,
            high_of_persons,
        ) in pairs:  # three times as many would have 0.58 of the width
            assert (high - low >= 0.85 * (high_of_persons - low_of_persons)).all()
    same = ["rule", "target_error", "decided", "wrong", "limit", "measured_decided", "measured_wrong"]
    pd.testing.assert_frame_equal(found.tables["triage"][same], plain.tables["triage"][same])
    groups = found.tables["subgroups"]
    assert (groups["n"] == VISITS * groups["persons"]).all()
    assert "persons" not in plain.tables["subgroups"]


def shown(found: object) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    render_assessment(found, console)  # type: ignore[arg-type]
    return " ".join(console.export_text().split())


def test_screen_and_record_say_records_and_persons() -> None:
    main = nested(n=60)
    plain = assess(main, [], table_of(60), n_resamples=50)
    found = assess(visited(main), [], table_of_visits(table_of(60)), n_resamples=50)
    text = shown(found)
    assert "180 records of 60 persons (108 malignant records)" in text
    assert "95 % interval by person" in text
    assert "by patient" not in text
    assert assessment_json(found)["persons"] == 60
    assert assessment_json(found)["patients"] == 180
    assert json.dumps(assessment_json(found))
    text = shown(plain)
    assert "on 60 patients (36 malignant)" in text
    assert "person" not in text
    assert assessment_json(plain)["persons"] == 60
