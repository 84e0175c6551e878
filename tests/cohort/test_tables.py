"""Tables as spreadsheets write them, and row numbers as an editor shows them."""

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from lymphofeat.cohort.problems import Problems
from lymphofeat.cohort.records import as_number
from lymphofeat.cohort.tables import Table, needed_once, read_table

PLAIN = "ID,Name\nP1,Zoé\nP2,Ann\n"


def read(path: Path, content: bytes) -> Table:
    path.write_bytes(content)
    problems = Problems()
    table = read_table(path, problems)
    assert table is not None
    assert problems.found == []
    return table


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("cp1252"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace("Ann", '"Ann"').rstrip("\n").encode(),
        b"ID,Name,,\nP1,Zo\xc3\xa9,,\nP2,Ann,,\n",
    ],
)
def test_the_same_table_in_many_forms(content: bytes, tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", content)
    assert [row.cells for row in table.rows] == [{"id": "P1", "name": "Zoé"}, {"id": "P2", "name": "Ann"}]
    assert [row.number for row in table.rows] == [2, 3]
    assert table.has("Id")
    assert not table.has("")
    assert table.decimal_comma == (b"," not in content.replace(b"\0", b""))


def test_rows_are_numbered_by_lines_through_blanks_and_quoted_line_ends(tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", b'\nID,Name\n\nP1,"two\nlines"\n,\nP2,x\n')
    assert [(row.number, row.cells["id"]) for row in table.rows] == [(4, "P1"), (7, "P2")]


def test_a_repeated_column_matters_only_where_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("ID,Dob,DOB,,\nP1,a,b,,\n")
    problems = Problems()
    table = read_table(path, problems)
    assert table is not None
    assert problems.found == []
    assert table.rows[0].cells == {"id": "P1"}
    assert needed_once(table, ["ID", "sex", ""], problems)
    assert not needed_once(table, ["ID", "Dob"], problems)
    assert "row 1: has the column 'dob' more than once" in str(problems.found[0])


def test_a_folder_in_a_tables_place_is_a_problem(tmp_path: Path) -> None:
    problems = Problems()
    assert read_table(tmp_path, problems) is None
    assert "cannot be read" in str(problems.found[0])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_problem(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    problems = Problems()
    table = read_table(path, problems)
    assert table is not None or len(problems.found) == 1


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


ROWS: list[list[object]] = [
    ["ID", "DOB", "LYMPH", "Hb"],
    [7, datetime(1950, 7, 3), 11.25, "9,5"],
    [],
    ["P8", None, 12, True],
]


def test_a_workbook_is_a_table_of_texts(tmp_path: Path) -> None:
    """Dates as ISO text, whole numbers without a point, empty rows counted as a spreadsheet does."""
    problems = Problems()
    table = read_table(workbook(tmp_path / "t.xlsx", Tabelle1=ROWS, Tabelle2=[]), problems)
    assert table is not None
    assert problems.found == []
    assert table.columns == ("ID", "DOB", "LYMPH", "Hb")
    assert [row.number for row in table.rows] == [2, 4]
    assert table.rows[0].cells == {"id": "7", "dob": "1950-07-03", "lymph": "11.25", "hb": "9,5"}
    assert table.rows[1].cells == {"id": "P8", "dob": "", "lymph": "12", "hb": "1"}
    assert as_number("9,5", table) == 9.5


def test_a_sheet_is_named_after_a_hash(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", Labor=[["X"], [1]], Kohorte=ROWS)
    for name, expected in (("Labor", "X"), ("Kohorte", "ID")):
        table = read_table(tmp_path / f"t.xlsx#{name}", Problems())
        assert table is not None
        assert table.columns[0] == expected
    problems = Problems()
    assert read_table(path, problems) is None
    assert read_table(tmp_path / "t.xlsx#labor", problems) is None
    assert [str(p).rpartition(": ")[2] for p in problems.found] == [
        "has 2 sheets (Labor, Kohorte); name one, as in file.xlsx#Labor.",
        "has no sheet 'labor'; name one of Labor, Kohorte.",
    ]


@pytest.mark.parametrize("content", [b"PK\x03\x04 no zip", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_a_workbook_that_cannot_be_read_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(content)
    problems = Problems()
    assert read_table(tmp_path / "t.xlsx", problems) is None
    assert "CSV" in problems.found[0].remedy


@given(at=st.integers(0, 5000), byte=st.integers(0, 255))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_workbook_is_a_table_or_a_problem(tmp_path: Path, at: int, byte: int) -> None:
    path = workbook(tmp_path / "t.xlsx", A=ROWS)
    content = bytearray(path.read_bytes())
    content[at % len(content)] = byte
    path.write_bytes(content)
    problems = Problems()
    assert (read_table(path, problems) is None) == bool(
        [p for p in problems.found if p.code.startswith("table-")]
    )
