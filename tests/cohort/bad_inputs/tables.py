"""Tables whose rows and columns do not add up."""

from collections.abc import Callable
from pathlib import Path

from ...helpers.tiny import edit, write_table
from .bad_input import CLINICAL_TABLE, TRAIN_TABLE, BadInput


def _line(table: str, line: str) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        with (root / table).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return mutate


def _no_tables(root: Path) -> None:
    (root / TRAIN_TABLE).unlink()
    (root / CLINICAL_TABLE).unlink()


def _column_twice(column: str, table: str = TRAIN_TABLE) -> Callable[[Path], None]:
    """One more column of that name, behind the others."""

    def mutate(root: Path) -> None:
        header, *rows = (root / table).read_text(encoding="utf-8").splitlines()
        write_table(root / table, [f"{header},{column}", *(f"{row},9" for row in rows)])

    return mutate


TABLES = [
    BadInput(
        "exclusion without a reason",
        lambda root: write_table(root / "exclude.csv", ["patient,image,reason", "P3,000001.jpg,"]),
        "exclude.csv, row 2: gives no reason why P3, 000001.jpg is left out",
        "give the reason",
        "error",
    ),
    BadInput(
        "exclusion of an image that there is not",
        lambda root: write_table(root / "exclude.csv", ["patient,image,reason", "P3,1.jpg,blurred"]),
        "exclude.csv, row 2: P3 has no image '1.jpg' (did you mean '000001.jpg'?)",
        "correct the name",
        "error",
    ),
    BadInput(
        "exclusion of a patient who is not there",
        lambda root: write_table(root / "exclude.csv", ["patient,reason", "Q44,blurred"]),
        "exclude.csv, row 2: patient 'Q44' is not in the cohort",
        "remove the row",
        "warning",
    ),
    BadInput(
        "row without ID",
        lambda root: edit(root / TRAIN_TABLE, "P3,", ","),
        "trainset/trainset_true.csv, row 5: has no ID",
        "give the ID",
        "error",
    ),
    BadInput(
        "duplicate ID",
        _line(TRAIN_TABLE, "P3,1,M,1/1/1950,5.0"),
        "trainset/trainset_true.csv, row 11: ID 'P3' is already in row 5",
        "keep one of the two rows",
        "error",
    ),
    BadInput(
        "patient in both tables",
        _line("testset/testset_data.csv", "P3,-1,F,04-04-1933,5.0"),
        "testset/testset_data.csv, row 5: P3 is also in ",
        "keep the patient in one part",
        "error",
    ),
    BadInput("no labelled table", _no_tables, "so no label is known", "add one of the tables", "error"),
    BadInput(
        "no label column",
        lambda root: (
            [edit(root / t, ",LABEL", ",L") for t in (TRAIN_TABLE, CLINICAL_TABLE)]
            and edit(root / "testset/testset_data.csv", ",LABEL", ",L")
        ),
        "no table has a column 'LABEL'",
        "name the column in lymphofeat.toml",
        "error",
    ),
    BadInput(
        "no ID column",
        lambda root: edit(root / TRAIN_TABLE, "ID,", "Code,"),
        "trainset/trainset_true.csv, row 1: has no column 'ID' (its columns: Code, LABEL",
        "name it in lymphofeat.toml as `id`",
        "error",
    ),
    BadInput(
        "short row",
        _line(TRAIN_TABLE, "P3,1"),
        "trainset/trainset_true.csv, row 11: has 2 cells where the header has 5",
        "complete the row",
        "error",
    ),
    BadInput(
        "empty table",
        lambda root: write_table(root / TRAIN_TABLE, []),
        "trainset/trainset_true.csv: is empty",
        "restore the table",
        "error",
    ),
    BadInput(
        "workbook instead of a table",
        lambda root: (root / TRAIN_TABLE).write_bytes(b"PK\x03\x04" + bytes(100)),
        "trainset/trainset_true.csv: is not a workbook that can be read",
        "as CSV",
        "error",
    ),
    BadInput(
        "open quote",
        lambda root: edit(root / TRAIN_TABLE, "P3,", 'P3,"'),
        "trainset/trainset_true.csv, row 5: cannot be parsed",
        "save it as CSV again",
        "error",
    ),
    BadInput(
        "repeated column",
        _column_twice("Label"),
        "trainset/trainset_true.csv, row 1: has the column 'label' more than once",
        "remove one or rename it",
        "error",
    ),
]
