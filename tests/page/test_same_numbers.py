"""Every number on the page is that of the record that it was made from."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from ..helpers.pages import PageTable, tables_of, words_of
from ..helpers.reported import Made, made_once

# Table of the page → that of evaluate.json with the same rows.
OF_EVALUATE = {
    "pipelines": "pipelines",
    "pipelines-forest": "pipelines",
    "differences-forest": "differences",
    "metrics": "metrics",
    "confusion": "confusion",
    "calibration-scores": "calibration",
    "decision-curve": "decision_curves",
    "risk-coverage": "risk_coverage",
    "triage": "triage",
    "thresholds": "thresholds",
    "subgroups": "subgroups",
    "learning-curve": "learning_curve",
    "optimism": "optimism",
}
OF_COMPARE = "comparison-forest"
NUMBER = re.compile(r"[−+-]?\d[\d,]*(?:\.\d+)?(?: ?%)?")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_once(tmp_path_factory)


@pytest.fixture(scope="module")
def page(made: Made) -> str:
    return made.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables(page: str) -> dict[str, PageTable]:
    found = tables_of(page)
    names = Counter(table.name for table in found)
    assert [name for name, n in names.items() if n > 1] == []
    return {table.name: table for table in found}


@pytest.fixture(scope="module")
def evaluation(made: Made) -> dict[str, Any]:
    path = made.folder / "studies" / "study-nested" / "evaluate.json"
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def predictions(evaluation: Mapping[str, Any]) -> pd.DataFrame:
    """Of the main pipeline and of the clinical values alone, which are one run each."""
    table = pd.DataFrame(evaluation["tables"]["predictions"])
    return table[table["role"].isin(["main", "clinical"])]


@pytest.mark.parametrize("name", OF_EVALUATE)
def test_tables_are_those_of_evaluate(
    tables: Mapping[str, PageTable], evaluation: Mapping[str, Any], name: str
) -> None:
    _same_rows(tables[name].rows, evaluation["tables"][OF_EVALUATE[name]])


def test_pipelines_on_the_same_folds_are_those_of_compare(
    made: Made, tables: Mapping[str, PageTable]
) -> None:
    record = json.loads((made.folder / "studies" / "compare.json").read_text(encoding="utf-8"))
    _same_rows(tables[OF_COMPARE].rows, record["table"])


def test_the_answer_is_that_of_evaluate(page: str, evaluation: Mapping[str, Any]) -> None:
    said = words_of(page).replace(" ", "")  # around commands, which are marked, there is one more
    for sentence in evaluation["answer"]:
        assert sentence.replace("`", "").replace(" ", "") in said


def test_curves_are_those_of_the_predictions(
    tables: Mapping[str, PageTable], predictions: pd.DataFrame
) -> None:
    assert set(predictions["run"]) == {0}
    for pipeline, rows in predictions.groupby("pipeline"):
        y, score = rows["label"].to_numpy(), rows["score"].to_numpy()
        false, true, _ = roc_curve(y, score)
        roc = _columns(tables["roc"], "false_positive_rate", "true_positive_rate", pipeline=pipeline)
        np.testing.assert_array_equal(roc, np.stack([false, true], axis=1))
        precision, recall, _ = precision_recall_curve(y, score)
        drawn = _columns(tables["precision-recall"], "recall", "precision", pipeline=pipeline)
        points = {(r, p) for r, p in zip(recall.tolist(), precision.tolist(), strict=True)}
        assert {(r, p) for r, p in drawn.tolist()} <= points
        assert set(recall.tolist()) - {0.0} == set(drawn[:, 0].tolist()) - {0.0}


def test_bins_hold_every_patient_once(tables: Mapping[str, PageTable], predictions: pd.DataFrame) -> None:
    main = predictions[predictions["role"] == "main"]
    bins = _columns(tables["calibration"], "predicted", "observed", "patients", part="bin")
    assert bins[:, 2].sum() == len(main)
    assert math.isclose((bins[:, 1] * bins[:, 2]).sum(), main["label"].sum())
    assert math.isclose((bins[:, 0] * bins[:, 2]).sum(), main["probability"].sum())


def test_every_patient_has_the_probability_of_the_predictions(
    tables: Mapping[str, PageTable], predictions: pd.DataFrame
) -> None:
    main = predictions[predictions["role"] == "main"]
    shown = _columns(tables["stability"], "label", "probability")
    assert sorted(map(tuple, shown.tolist())) == sorted(zip(main["label"], main["probability"], strict=True))


def test_words_are_the_exact_values_rounded(tables: Mapping[str, PageTable]) -> None:
    """What is read and what stands behind it, of every cell of every table; and that it is in the table's CSV."""
    checked = 0
    for table in tables.values():
        values = Counter(value for row in table.rows for value in row.values())
        for row in table.cells:
            for title, (words, exact) in zip(table.titles, row, strict=True):
                if not exact:
                    continue
                assert exact in values, (table.name, title, words, exact)
                assert _agrees(words, exact), (table.name, title, words, exact)
                checked += 1
    assert checked > 500


def test_the_comparison_of_words_and_values_can_fail() -> None:
    for words, exact in (
        ("0.846 (0.70–0.94)", "0.84559"),
        ("−0.03", "-0.0294"),
        ("12 %", "0.1249"),
        ("2,355", "2355"),
    ):
        assert _agrees(words, exact)
    for words, exact in (
        ("0.846", "0.8471"),
        ("0.03", "-0.0294"),
        ("12 %", "0.1351"),
        ("2,355", "2356"),
        ("1", "1.6"),
    ):
        assert not _agrees(words, exact)


def _agrees(words: str, exact: str) -> bool:
    """Whether the first number of the words is the value, rounded to its digits; words without one say it otherwise."""
    try:
        value = float(exact)
    except ValueError:
        return True
    found = NUMBER.search(words)
    if found is None or words.lstrip().startswith(("<", ">", "≤", "≥")):
        return True
    text = found[0].replace("−", "-").replace(",", "")
    if text.endswith("%"):
        text, value = text.rstrip("% "), 100 * value
    digits = len(text.partition(".")[2])
    return abs(float(text) - value) <= 0.5 * 10.0**-digits * (1 + 1e-9)


def _columns(table: PageTable, *names: str, **where: object) -> np.ndarray:
    """(rows, columns) numbers of a table's CSV file, of the rows in which columns have these values."""
    rows = [row for row in table.rows if all(row[key] == value for key, value in where.items())]
    return np.array([[float(row[name]) for name in names] for row in rows])


def _same_rows(written: list[dict[str, str]], kept: list[dict[str, Any]]) -> None:
    """A CSV file's rows and a record's, every column of every row: numbers exactly, null as nothing."""
    assert len(written) == len(kept) > 0
    for row, other in zip(written, kept, strict=True):
        assert row.keys() == other.keys()
        for key, value in other.items():
            text = row[key]
            if value is None:
                assert text == "", key
            elif isinstance(value, bool) or not isinstance(value, int | float):
                assert text == str(value), key
            else:
                assert float(text) == value, key
