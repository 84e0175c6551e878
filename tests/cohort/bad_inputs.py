"""Every way to break a cohort that the program answers with a sentence.

`BAD_INPUTS` drives the tests of `check_cohort` and of the command line alike: each entry breaks a cohort
drawn by `tiny_cohort(path, n=12)`, in which P0 … P8 are labelled (row 2 … 10 of the tables), P9 … P11 test.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..helpers.tiny import edit, edit_row, write_table

TRAIN_TABLE = "trainset/trainset_true.csv"
CLINICAL_TABLE = "clinical_annotation.csv"


class BadInput(NamedTuple):
    """One way to break a cohort."""

    name: str
    mutate: Callable[[Path], object]
    expected: str  # a part of the sentence: file, row, and what is wrong
    remedy: str  # another part: what to do
    severity: str  # "error" (exit code 2) or "warning"


def _image(root: Path, patient: str = "P3", k: int = 1) -> Path:
    (folder,) = [
        root / part / patient for part in ("trainset", "testset") if (root / part / patient).exists()
    ]
    return folder / f"{k:06d}.jpg"


def _truncate(root: Path) -> None:
    path = _image(root)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _resize(side: int) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        with Image.open(_image(root)) as image:
            image.resize((side, side)).save(_image(root))

    return mutate


def _mode(mode: str) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        with Image.open(_image(root)) as image:
            image.convert(mode).save(_image(root).with_suffix(".tif" if mode in ("F", "I;16") else ".png"))
        _image(root).unlink()

    return mutate


def _pages(root: Path) -> None:
    with Image.open(_image(root)) as image:
        first = image.copy()
    first.save(
        _image(root).with_suffix(".tif"), save_all=True, append_images=[first.rotate(90), first.rotate(180)]
    )
    _image(root).unlink()


def _copy(source: str, target: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(_image(root, source), _image(root, target, 2))


def _copy_within(root: Path) -> None:
    shutil.copy(_image(root), _image(root, k=2))


def _value(patient: str, column: str, value: str) -> Callable[[Path], None]:
    return lambda root: edit_row(root, patient, column, value)


def _line(table: str, line: str) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        with (root / table).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return mutate


def _empty_folder(root: Path) -> None:
    for path in (root / "trainset" / "P3").iterdir():
        path.unlink()


def _no_tables(root: Path) -> None:
    (root / TRAIN_TABLE).unlink()
    (root / CLINICAL_TABLE).unlink()


def _person(a: str, b: str) -> Callable[[Path], None]:
    """Make two records one person: the same day, written in two ways."""

    def mutate(root: Path) -> None:
        edit_row(root, a, "DOB", "4/3/1941")
        edit_row(root, b, "DOB", "03-04-1941")
        edit_row(root, a, "GENDER", "f")
        edit_row(root, b, "GENDER", "F")

    return mutate


def _born(birth: str, *patients: str, sex: str | None = None) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        for patient in patients:
            edit_row(root, patient, "DOB", birth)
            if sex is not None:
                edit_row(root, patient, "GENDER", sex)

    return mutate


def _renamed(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: (root / "trainset" / old).rename(root / "trainset" / new)


def _column_twice(column: str, table: str = TRAIN_TABLE) -> Callable[[Path], None]:
    """One more column of that name, behind the others."""

    def mutate(root: Path) -> None:
        header, *rows = (root / table).read_text(encoding="utf-8").splitlines()
        write_table(root / table, [f"{header},{column}", *(f"{row},9" for row in rows)])

    return mutate


def _one_class(root: Path) -> None:
    for i in (2, 4, 6, 8):
        edit_row(root, f"P{i}", "LABEL", "1")


BAD_INPUTS = [
    BadInput("no cohort", shutil.rmtree, "there is no cohort folder here", "lymphofeat simulate", "error"),
    BadInput(
        "neither part",
        lambda root: (shutil.rmtree(root / "trainset"), shutil.rmtree(root / "testset")),
        "has neither a folder trainset nor testset",
        "check that this is the cohort's folder",
        "error",
    ),
    BadInput(
        "missing part",
        lambda root: shutil.rmtree(root / "trainset"),
        "trainset: is not there, but the tables list patients of it (P0 in clinical_annotation.csv, row 2)",
        "add the folder",
        "error",
    ),
    BadInput(
        "nobody",
        lambda root: (shutil.rmtree(root), (root / "trainset").mkdir(parents=True)),
        "has no patient with images",
        "add a folder with images per patient",
        "error",
    ),
    BadInput(
        "row without folder",
        lambda root: shutil.rmtree(root / "trainset" / "P3"),
        "trainset/trainset_true.csv, row 5: P3 has no folder trainset/P3",
        "remove the row",
        "error",
    ),
    BadInput("empty folder", _empty_folder, "trainset/P3: has no image", "add the patient's images", "error"),
    BadInput(
        "folder without row",
        lambda root: shutil.copytree(root / "trainset" / "P3", root / "trainset" / "X7"),
        "trainset/X7: X7 has no row in trainset_true.csv or clinical_annotation.csv",
        "add the row",
        "error",
    ),
    BadInput(
        "test folder without row",
        lambda root: (root / "testset" / "P9").rename(root / "testset" / "X9"),
        "testset/X9: X9 has no row in testset_data.csv or clinical_annotation.csv",
        "add the row",
        "error",
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
    BadInput(
        "folder in both parts",
        lambda root: shutil.copytree(root / "trainset" / "P3", root / "testset" / "P3"),
        "testset/P3: trainset/P3 is a folder of the same patient",
        "keep the patient in one part",
        "error",
    ),
    BadInput(
        "folder in the wrong part",
        lambda root: shutil.move(root / "trainset" / "P3", root / "testset" / "P3"),
        "trainset/trainset_true.csv, row 5: P3 is listed here, but its folder is testset/P3",
        "move the folder or the row",
        "error",
    ),
    BadInput(
        "impossible date",
        _value("P3", "DOB", "2/30/1950"),
        "trainset/trainset_true.csv, row 5: date of birth: there is no day '2/30/1950' (read as m/d/y)",
        "correct it, or leave it empty",
        "error",
    ),
    BadInput(
        "date in an unknown form",
        _value("P3", "DOB", "3 May 1950"),
        "clinical_annotation.csv, row 5: date of birth: '3 May 1950' is not a date of a known form",
        "correct it, or leave it empty",
        "error",
    ),
    BadInput(
        "date after the reference",
        _value("P3", "DOB", "31-12-2021"),
        "row 5: the date of birth 2021-12-31 is after the reference date 2020-01-01",
        "set a later `reference`",
        "error",
    ),
    BadInput(
        "implausible age",
        _value("P3", "DOB", "1/1/1850"),
        "row 5: born 1850-01-01",
        "check the year",
        "warning",
    ),
    BadInput(
        "negative count",
        _value("P3", "LYMPH_COUNT", "-4.2"),
        "trainset/trainset_true.csv, row 5: lymphocyte count -4.2 is negative",
        "correct it",
        "error",
    ),
    BadInput(
        "count that is no number",
        _value("P3", "LYMPH_COUNT", "high"),
        "row 5: lymphocyte count 'high' is not a number",
        "correct it or leave it empty",
        "error",
    ),
    BadInput(
        "infinite count",
        _value("P3", "LYMPH_COUNT", "inf"),
        "row 5: lymphocyte count 'inf' is not a number",
        "correct it or leave it empty",
        "error",
    ),
    BadInput(
        "implausible count",
        _value("P3", "LYMPH_COUNT", "11200"),
        "row 5: lymphocyte count 11200 is implausible",
        "check the value and its unit",
        "warning",
    ),
    BadInput(
        "zero count",
        _value("P3", "LYMPH_COUNT", "0"),
        "row 5: lymphocyte count 0 is",
        "check the value",
        "warning",
    ),
    BadInput(
        "unknown sex", _value("P3", "GENDER", "Q"), "row 5: sex 'Q' is not known", "list the word", "error"
    ),
    BadInput(
        "label outside the vocabulary",
        _value("P3", "LABEL", "2"),
        "trainset/trainset_true.csv, row 5: label '2' is none of 0, 1, -1",
        "correct it",
        "error",
    ),
    BadInput(
        "training patient without label",
        _value("P3", "LABEL", "-1"),
        "trainset/trainset_true.csv, row 5: training patient P3 has no label",
        "give the label",
        "error",
    ),
    BadInput(
        "test patient with a label",
        _value("P9", "LABEL", "1"),
        "testset/testset_data.csv, row 2: test patient P9 has the label 1, which is not used",
        "write -1",
        "warning",
    ),
    BadInput(
        "tables that contradict one another",
        lambda root: edit(root / TRAIN_TABLE, "P3,1", "P3,0"),
        "clinical_annotation.csv, row 5: label of P3 is 1, but trainset/trainset_true.csv, row 5 says 0",
        "make the tables agree",
        "error",
    ),
    BadInput(
        "too few patients of a class",
        _one_class,
        "has 1 patient labelled 0 (reactive)",
        "add patients of that class",
        "warning",
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
        "trainset/trainset_true.csv: is a workbook",
        "save it as CSV",
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
        "empty image",
        lambda root: _image(root).write_bytes(b""),
        "trainset/P3/000001.jpg: is empty (0 bytes)",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "truncated image",
        _truncate,
        "trainset/P3/000001.jpg: is truncated or damaged",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "text named as an image",
        lambda root: _image(root).write_text("not a cell"),
        "trainset/P3/000001.jpg: is not an image",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "dangling link",
        lambda root: (_image(root).unlink(), _image(root).symlink_to("nowhere.jpg")),
        "trainset/P3/000001.jpg: cannot be read",
        "replace or remove the file",
        "error",
    ),
    BadInput(
        "too small an image",
        _resize(100),
        "trainset/P3/000001.jpg: is 100 × 100 pixels, smaller than 112 × 112",
        "replace or remove it",
        "error",
    ),
    BadInput(
        "another size than most",
        _resize(200),
        "trainset/P3/000001.jpg: is 200 × 200 pixels, most images are 128 × 128",
        "check that the scale is the same",
        "warning",
    ),
    BadInput(
        "grey image",
        _mode("L"),
        "trainset/P3/000001.png: is not RGB but L (grey)",
        "it is converted",
        "warning",
    ),
    BadInput(
        "transparent image",
        _mode("RGBA"),
        "trainset/P3/000001.png: is not RGB but RGBA (with transparency)",
        "it is converted",
        "warning",
    ),
    BadInput(
        "several pages",
        _pages,
        "trainset/P3/000001.tif: holds 3 pages, of which only the first is read; 2 of 3 pages are left out (66.7 %)",
        "save pages that show cells",
        "warning",
    ),
    BadInput(
        "a field instead of a cell",
        _resize(2592),
        "is 2592 × 2592 pixels, of which the centre crop of 112 × 112 leaves out 99.8 %",
        "check that the cell lies in the middle",
        "warning",
    ),
    BadInput(
        "16 bits",
        _mode("I;16"),
        "trainset/P3/000001.tif: has 16 bits a channel; the largest value of all is",
        "save the images with 8 bits a channel",
        "warning",
    ),
    BadInput(
        "image of floats",
        _mode("F"),
        "trainset/P3/000001.tif: is not RGB but F",
        "save as 8-bit RGB",
        "error",
    ),
    BadInput(
        "identical images of two patients",
        _copy("P3", "P5"),
        "trainset/P5/000002.jpg: is byte for byte the same file as trainset/P3/000001.jpg",
        "find out whose image it is",
        "error",
    ),
    BadInput(
        "identical images in both parts",
        _copy("P3", "P9"),
        "testset/P9/000002.jpg: is byte for byte the same file as trainset/P3/000001.jpg",
        "find out whose image it is",
        "error",
    ),
    BadInput(
        "identical images of one patient",
        _copy_within,
        "trainset/P3/000002.jpg: is byte for byte the same file as 000001.jpg of the same patient",
        "it counts twice",
        "warning",
    ),
    BadInput(
        "other file beside images",
        lambda root: (root / "trainset/P3/notes.txt").write_text("a note"),
        "trainset/P3: holds files that are not images (notes.txt)",
        "remove them",
        "warning",
    ),
    BadInput(
        "image outside patient folders",
        lambda root: shutil.copy(_image(root), root / "trainset" / "a.jpg"),
        "trainset: holds 1 image outside patient folders (a.jpg)",
        "put each into the folder",
        "warning",
    ),
    BadInput(
        "person in both parts",
        _person("P3", "P10"),
        "P3 and P10 may be one person (born 1941-04-03, sex F) and are in both parts",
        "check whether they are",
        "warning",
    ),
    BadInput(
        "person with both labels",
        _person("P3", "P4"),
        "P3 and P4 may be one person (born 1941-04-03, sex F) but have different labels",
        "check whether they are",
        "warning",
    ),
    BadInput(
        "no date of birth",
        _born("", *(f"P{i}" for i in range(12))),
        "none of the 12 patients has a date of birth",
        "make sure that each of these persons appears once",
        "warning",
    ),
    BadInput(
        "one date of birth missing",
        _born("", "P4"),
        "1 of 12 patients have no date of birth (P4)",
        "add the dates",
        "warning",
    ),
    BadInput(
        "placeholder date",
        _born("1/1/1900", "P2", "P3", "P5"),
        "3 records have the date of birth 1900-01-01, which looks like a placeholder",
        "leave unknown dates empty",
        "warning",
    ),
    BadInput(
        "person without sex",
        lambda root: (_born("5/6/1950", "P2", sex="F")(root), _born("06-05-1950", "P4", sex="")(root)),
        "P2 and P4 were born on 1950-05-06, and the sex of P4 is missing",
        "give the sex",
        "warning",
    ),
    BadInput(
        "person in both parts without sex",
        lambda root: (_born("5/6/1950", "P2", sex="F")(root), _born("06-05-1950", "P10", sex="")(root)),
        "P2 and P10 may be one person (born 1950-05-06, sex F or missing) and are in both parts",
        "check whether they are",
        "warning",
    ),
    BadInput(
        "person of many records",
        _born("5/6/1950", "P0", "P2", "P4", "P6", "P8", sex="F"),
        "5 records (P0, P2, P4, P6 and P8) count as one person (born 1950-05-06, sex F)",
        "leave the date empty",
        "warning",
    ),
    BadInput(
        "IDs that differ in zeros",
        _renamed("P3", "P03"),
        "row 5: P3 has no folder; 'P3' in this row, 'P03' in trainset: they differ in leading zeros",
        "give the patient one ID",
        "error",
    ),
    BadInput(
        "IDs that differ in case",
        _renamed("P3", "p3"),
        "row 5: P3 has no folder; 'P3' in this row, 'p3' in trainset: they differ in upper and lower case",
        "give the patient one ID",
        "error",
    ),
    BadInput(
        "IDs that differ between tables",
        lambda root: edit(root / CLINICAL_TABLE, ",P3,", ",P03,"),
        "row 5: P03 has no folder; 'P03' in this row, 'P3' in trainset/trainset_true.csv, row 5: they differ in",
        "give the patient one ID",
        "error",
    ),
    BadInput(
        "patients whose IDs look alike",
        lambda root: (
            _renamed("P3", "p1")(root),
            edit(root / TRAIN_TABLE, "P3,", "p1,"),
            edit(root / CLINICAL_TABLE, ",P3,", ",p1,"),
        ),
        "row 5: ID 'p1' looks like 'P1' of trainset/trainset_true.csv, row 3 (upper and lower case), and counts",
        "or two patients IDs that differ more",
        "warning",
    ),
    BadInput(
        "repeated column",
        _column_twice("Label"),
        "trainset/trainset_true.csv, row 1: has the column 'label' more than once",
        "remove one or rename it",
        "error",
    ),
]
