"""Declared clinical columns: what may be declared, how their cells are read, and what is said of them."""

import math
from pathlib import Path

import pytest

from lymphofeat.cohort import Layout, read_cohort
from lymphofeat.cohort.audit import audit_cohort
from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.declared import ClinicalColumn
from lymphofeat.cohort.layout import LAYOUT_FILE, layout_from_text, layout_text, read_layout
from lymphofeat.cohort.problems import Problem
from lymphofeat.cohort.read import scan_cohort
from lymphofeat.errors import InputError

from ..helpers.tiny import tiny_cohort, with_columns

TOML = """
[clinical.haemoglobin]
column = "Hb"
unit = "g/dl"
range = [3, 25]
[clinical.ldh]
log = true
[clinical.cd5]
kind = "yes/no"
[clinical.lineage]
kind = "category"
"""
COLUMNS = {
    "Hb": ["11,2", "9", "", "110", "13.5", "12", "10", "1"],
    "LDH": ["200", "350", "n/a", "1e3", "100", "120", "130", "140"],
    "CD5": ["pos", "-", "?", "0", "1.0", "no", "+", "TRUE"],
    "Lineage": ["B", "T", "B", "", "B", "NK", "B", "T"],
    "Note": ["x"] * 8,
}


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    root = with_columns(tiny_cohort(tmp_path / "c", n=8, images=2), COLUMNS, separator=";")
    (root / LAYOUT_FILE).write_text(TOML, encoding="utf-8")
    return root


def found(root: Path, code: str) -> list[Problem]:
    return [problem for problem in scan_cohort(root)[1] if problem.code == code]


def test_cells_become_values(cohort: Path) -> None:
    table = read_cohort(cohort).table().set_index("id")
    assert list(table.columns[-4:]) == ["haemoglobin", "ldh", "cd5", "lineage"]
    assert table["haemoglobin"].tolist()[:2] == [11.2, 9.0]
    assert math.isnan(table.loc["P2", "haemoglobin"])
    assert table["ldh"].tolist()[3] == 1000.0
    # `-` is a word for missing, `0` and `1.0` are answers, `+` is one by default
    assert [None if math.isnan(v) else v for v in table["cd5"]] == [1, None, None, 0, 1, 0, 1, 1]
    assert table["lineage"].tolist() == ["B", "T", "B", "", "B", "NK", "B", "T"]


def test_a_word_for_missing_may_be_an_answer_of_a_column(cohort: Path) -> None:
    path = cohort / LAYOUT_FILE
    path.write_text(
        TOML.replace('kind = "yes/no"', 'kind = "yes/no"\nno = ["-", "no", "0"]'), encoding="utf-8"
    )
    assert read_cohort(cohort).table()["cd5"].tolist()[1] == 0


def test_implausible_values_are_one_warning_a_column(cohort: Path) -> None:
    messages = {problem.message for problem in found(cohort, "implausible-value")}
    rows = "in 2 rows: '110' (row 5) and '1' (row 9)"
    assert f"haemoglobin is outside the plausible range 3 to 25 g/dl {rows}" in messages
    assert {problem.severity for problem in found(cohort, "implausible-value")} == {"warning"}


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("Hb", ["abc"] * 8, "haemoglobin is not a number in 8 rows: 'abc' (row 2), 'abc' (row 3)"),
        ("LDH", ["0"] + ["1"] * 7, "ldh has no logarithm: '0'"),
        ("CD5", ["maybe"] + ["yes"] * 7, "cd5 is neither yes nor no: 'maybe'"),
    ],
)
def test_cells_of_another_kind_are_errors(
    tmp_path: Path, column: str, cells: list[str], message: str
) -> None:
    root = with_columns(tiny_cohort(tmp_path / "c"), COLUMNS | {column: cells}, separator=";")
    (root / LAYOUT_FILE).write_text(TOML, encoding="utf-8")
    assert any(p.message.startswith(message) and p.severity == "error" for p in found(root, "bad-value"))


def test_categories_may_be_listed(cohort: Path) -> None:
    toml = TOML + 'categories = ["b", "T"]\n'
    (cohort / LAYOUT_FILE).write_text(toml, encoding="utf-8")
    table, problems = scan_cohort(cohort)
    assert table is not None
    assert table.table()["lineage"].tolist() == ["b", "T", "b", "", "b", "", "b", "T"]
    assert any("lineage is none of the categories: 'NK'" in problem.message for problem in problems)


def test_tables_complete_and_contradict_one_another(cohort: Path) -> None:
    path = cohort / "trainset" / "trainset_true.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].replace(";9;", ";;")
    lines[1] = lines[1].replace("11,2", "14")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    read, problems = scan_cohort(cohort)
    assert read is not None
    assert read.patients[1].values["haemoglobin"] == 9.0
    contradictions = [p.message for p in problems if p.code == "contradiction"]
    assert contradictions == ["haemoglobin of P0 is 11.2, but trainset/trainset_true.csv, row 2 says 14.0"]


def test_columns_that_nothing_reads_are_named_once(cohort: Path) -> None:
    assert read_cohort(cohort).unused == ("Note",)
    (cohort / LAYOUT_FILE).unlink()
    assert read_cohort(cohort).unused == ("Hb", "LDH", "CD5", "Lineage", "Note")


def test_a_column_that_no_table_has(cohort: Path) -> None:
    (cohort / LAYOUT_FILE).write_text("[clinical.platelets]\n", encoding="utf-8")
    (problem,) = found(cohort, "missing-column")
    assert problem.severity == "warning"
    assert (
        "no table has a column 'platelets', so the platelets of every patient is missing" in problem.message
    )


def test_check_counts_and_audits_what_is_missing(cohort: Path) -> None:
    report = check_cohort(cohort, workers=1)
    assert report.summary is not None
    assert dict(report.summary.missing)["haemoglobin"] == 1
    assert report.summary.numbers["haemoglobin (g/dl)"][0] == 1.0
    assert dict(report.summary.words["cd5"]) == {"yes": 4, "no": 2}
    assert dict(report.summary.words["lineage"]) == {"B": 4, "T": 2, "NK": 1}
    names = [shortcut.name for shortcut in report.audit]
    assert "haemoglobin missing" in names  # that it is missing is a shortcut
    assert not {"haemoglobin", "ldh", "cd5", "lineage"} & set(names)  # the value is none
    assert audit_cohort(read_cohort(cohort), {}) == ()


@pytest.mark.parametrize(
    ("toml", "clause"),
    [
        ("[clinical.age]\n", "[clinical.age] is not accepted: a cohort has a value of that name already"),
        ('[clinical."a b"]\n', "[clinical.a b] is not accepted: a name begins with a letter"),
        ("[clinical.hb]\nunits = 'g'\n", "[clinical.hb] has no key 'units' (did you mean 'unit'?)"),
        (
            "[clinical.hb]\nkind = 'float'\n",
            "[clinical.hb] kind = 'float' must be 'number', 'yes/no' or 'category'",
        ),
        ("[clinical.hb]\nrange = [3]\n", "[clinical.hb] range = [3] must be a list of two numbers"),
        (
            "[clinical.hb]\nrange = [9, 3]\n",
            "[clinical.hb] is not accepted: `range` is the lowest and the highest",
        ),
        ("[clinical.hb]\nlog = 1\n", "[clinical.hb] log = 1 must be true or false"),
        ("[clinical]\nhb = 3\n", "clinical.hb = 3 must be a section [clinical.hb] with keys"),
        ("clinical = 3\n", "clinical = 3 must be a section [clinical] with keys"),
        ("[clinical.cd5]\nkind = 'yes/no'\nunit = 'x'\n", "`unit` goes with kind 'number' only"),
        ("[clinical.cd5]\nkind = 'yes/no'\nyes = ['a']\nno = ['A']\n", "'a' is in `yes` and in `no`"),
        ("[clinical.x]\nkind = 'category'\ncategories = ['B', 'b']\n", "`categories` are different texts"),
        # A label read as a clinical value would tell every head the answer.
        (
            "[clinical.x]\ncolumn = 'label'\n",
            "[clinical.x] reads the column 'label', which is the column of label",
        ),
        ("[clinical.a]\ncolumn = 'Hb'\n[clinical.b]\ncolumn = 'HB'\n", "which is the column of [clinical.a]"),
    ],
)
def test_declarations_that_cannot_be_used(tmp_path: Path, toml: str, clause: str) -> None:
    path = tmp_path / LAYOUT_FILE
    path.write_text(toml, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_layout(path)
    (line,) = str(raised.value).splitlines()
    assert clause in line


def test_declarations_come_back_from_the_text_that_caches_keep() -> None:
    sections = {"hb": {"unit": "g/dl", "range": [3, 25]}, "cd5": {"kind": "yes/no"}}
    layout = Layout.model_validate({"clinical": sections})
    again = layout_from_text(layout_text(layout))
    assert again.clinical == layout.clinical
    assert again.clinical["hb"] == ClinicalColumn(unit="g/dl", range=(3, 25))
    assert layout_from_text(layout_text(again)) == again


def test_a_file_beside_new_patients_declares_its_columns_over_those_of_a_model(tmp_path: Path) -> None:
    base = Layout(clinical={"hb": ClinicalColumn(unit="g/dl"), "ldh": ClinicalColumn(log=True)})
    path = tmp_path / LAYOUT_FILE
    path.write_text("[clinical.hb]\ncolumn = 'Haemoglobin'\nunit = 'g/dl'\n", encoding="utf-8")
    read = read_layout(path, base).clinical
    assert read == {"hb": ClinicalColumn(column="Haemoglobin", unit="g/dl"), "ldh": ClinicalColumn(log=True)}
