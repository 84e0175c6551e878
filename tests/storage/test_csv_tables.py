"""Tables as CSV: for programs as before, for Excel with semicolons, decimal commas and a mark."""

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat.errors import InputError
from lymphofeat.storage.csv_tables import write_csv

TABLE = pd.DataFrame(
    {
        "id": ["P1", "Jürgen; M.", "=1+1"],
        "n": [1, 2, 3],
        "p": [0.125, math.nan, 1 / 3],
        "mixed": [0.5, "x", None],
        "object": np.array([np.float64(1.5), 2, True], dtype=object),
    }
)


def test_for_programs_it_is_pandas_csv(tmp_path: Path) -> None:
    for digits, style in ((None, None), (6, "%.6g")):
        write_csv(TABLE, tmp_path / "t.csv", digits=digits)
        wanted = TABLE.to_csv(index=False, float_format=style, lineterminator="\n")
        assert (tmp_path / "t.csv").read_text(encoding="utf-8") == wanted


def test_for_excel_it_has_semicolons_decimal_commas_and_the_mark(tmp_path: Path) -> None:
    write_csv(TABLE, tmp_path / "t.csv", csv_for="excel", digits=6)
    raw = (tmp_path / "t.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.decode("utf-8-sig").split("\r\n") == [
        "id;n;p;mixed;object",
        "P1;1;0,125;0,5;1,5",
        '"Jürgen; M.";2;;x;2',
        "'=1+1;3;0,333333;;True",
        "",
    ]


def test_numbers_come_back_from_excels_form(tmp_path: Path) -> None:
    numbers = pd.DataFrame({"x": np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25)})
    write_csv(numbers, tmp_path / "t.csv", csv_for="excel")
    _, *lines = (tmp_path / "t.csv").read_text(encoding="utf-8-sig").split()
    assert [float(line.replace(",", ".")) for line in lines] == numbers["x"].tolist()
    back = pd.read_csv(tmp_path / "t.csv", sep=";", decimal=",", encoding="utf-8-sig")
    assert np.allclose(back["x"], numbers["x"], rtol=1e-12, atol=0)


def test_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'word'; it must be one of programs, excel"):
        write_csv(TABLE, tmp_path / "t.csv", csv_for="word")
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("text", ["=1", "+1", "-x", "@a", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠a"])
def test_for_excel_no_text_is_a_formula_and_for_programs_it_is_as_it_was(tmp_path: Path, text: str) -> None:
    table = pd.DataFrame({"id": [text], text: [1]})
    write_csv(table, tmp_path / "excel.csv", csv_for="excel")
    with (tmp_path / "excel.csv").open(encoding="utf-8-sig", newline="") as file:
        header, row = list(csv.reader(file, delimiter=";"))
    assert row[0] == header[1] == f"'{text}"
    if "\r" in text:  # which Python's csv does not quote; IDs with it are refused
        return
    write_csv(table, tmp_path / "plain.csv")
    with (tmp_path / "plain.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["id", text], [text, "1"]]
