"""Tables as spreadsheets write them, and row numbers as an editor shows them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.cohort.problems import Problems
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
