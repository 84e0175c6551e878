"""Reading cohorts in the challenge's layout and in others."""

import math
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from lymphofeat.cohort import Layout, read_cohort
from lymphofeat.cohort.dates import DATE_ORDERS
from lymphofeat.cohort.folds import assign_folds
from lymphofeat.cohort.layout import LAYOUT_FILE, with_date_format
from lymphofeat.cohort.persons import persons, placeholder_dates
from lymphofeat.cohort.read import scan_cohort

from ..helpers.tiny import edit, edit_row, tiny_cohort, write_table


def test_a_cohort_is_read_as_it_was_simulated(tmp_path: Path) -> None:
    cohort = read_cohort(tiny_cohort(tmp_path, n=8, images=3))
    assert [p.id for p in cohort.patients] == [f"P{i}" for i in range(8)]
    assert cohort.labels.tolist() == [0, 1, 0, 1, 0, 1, -1, -1]
    assert [p.split for p in cohort.patients] == ["train"] * 6 + ["test"] * 2
    second = cohort.patients[1]
    assert second.images == tuple(tmp_path / "trainset" / "P1" / f"00000{k}.jpg" for k in range(3))
    assert (second.birth, second.date_order, second.sex) == (date(1931, 2, 2), "d-m-y", "M")
    assert second.age == pytest.approx(88 + 333 / 365)
    assert cohort.images[3:6] == list(second.images)


def test_order_is_the_training_tables_then_the_test_tables(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    for name in ("trainset/trainset_true.csv", "testset/testset_data.csv"):
        header, *rows = (root / name).read_text().splitlines()
        write_table(root / name, [header, *reversed(rows)])
    assert [p.id for p in read_cohort(root).patients] == ["P5", "P4", "P3", "P2", "P1", "P0", "P7", "P6"]


def test_without_part_tables_the_clinical_table_gives_order_and_labels(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    whole = read_cohort(root)
    (root / "trainset/trainset_true.csv").unlink()
    (root / "testset/testset_data.csv").unlink()
    assert read_cohort(root).table().equals(whole.table())


def test_without_a_clinical_table_the_part_tables_are_enough(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    whole = read_cohort(root)
    (root / "clinical_annotation.csv").unlink()
    assert read_cohort(root).table().equals(whole.table())


def test_labels_alone_are_enough(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    (root / "clinical_annotation.csv").unlink()
    (root / "testset/testset_data.csv").unlink()
    write_table(root / "trainset/trainset_true.csv", ["ID,LABEL", *(f"P{i},{i % 2}.0" for i in range(6))])
    cohort, problems = scan_cohort(root)
    assert cohort is not None
    assert cohort.labels.tolist() == [0, 1, 0, 1, 0, 1, -1, -1]
    assert all(p.birth is None and p.sex == "" and math.isnan(p.age + p.count) for p in cohort.patients)
    assert {p.severity for p in problems} == {"warning"}
    assert "no table lists its 2 patients" in "\n".join(map(str, problems))


def test_without_a_test_part(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    shutil.rmtree(root / "testset")
    cohort, problems = scan_cohort(root)
    assert cohort is not None
    assert len(cohort.patients) == 6
    assert [p.severity for p in problems] == ["warning"]  # the clinical table still lists two
    assert "testset: is not there" in str(problems[0])


def test_the_label_of_a_test_patient_is_not_used(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    edit_row(root, "P6", "LABEL", "1")
    edit(root / "testset/testset_data.csv", "P7,-1", "P7,0")  # the clinical table says -1: no contradiction
    assert read_cohort(root).labels.tolist() == [0, 1, 0, 1, 0, 1, -1, -1]


def test_a_part_can_be_switched_off(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    (root / LAYOUT_FILE).write_text('[folders]\ntest = ""\n[tables]\ntest = ""\n')
    cohort, problems = scan_cohort(root)
    assert cohort is not None
    assert [p.id for p in cohort.patients] == [f"P{i}" for i in range(6)]
    assert problems == []


def test_a_folder_elsewhere(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    (root / "trainset").rename(tmp_path / "images")
    (tmp_path / "images/trainset_true.csv").unlink()
    for folder in (str(tmp_path / "images"), "../images"):
        (root / LAYOUT_FILE).write_text(f'[folders]\ntrain = "{folder}"\n')
        cohort, problems = scan_cohort(root)
        assert problems == []
        assert cohort is not None
        assert len(cohort.images) == 24
    shutil.rmtree(tmp_path / "images/P3")
    assert "P3 has no folder ../images/P3" in str(scan_cohort(root)[1][0])


def test_missing_values_in_any_spelling(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12)
    for i, word in enumerate(["", "NA", "nan", "?", "None", " - "]):
        for column in ("GENDER", "DOB", "LYMPH_COUNT"):
            edit_row(root, f"P{i}", column, word)
    for patient in read_cohort(root).patients[:6]:
        assert (patient.birth, patient.date_order, patient.sex) == (None, "", "")
        assert math.isnan(patient.age)
        assert math.isnan(patient.count)


def test_a_value_that_one_table_lacks_comes_from_the_other(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    whole = read_cohort(root)
    for column in ("LABEL", "GENDER", "DOB", "LYMPH_COUNT"):
        lines = [line.split(",") for line in (root / "trainset/trainset_true.csv").read_text().splitlines()]
        at = lines[0].index(column)
        lines[2][at] = ""
        write_table(root / "trainset/trainset_true.csv", [",".join(line) for line in lines])
    assert read_cohort(root).table().equals(whole.table())


@pytest.mark.parametrize(
    ("text", "sex"), [("M", "M"), ("m", "M"), ("Male", "M"), ("F", "F"), ("f", "F"), ("FEMALE", "F")]
)
def test_sex_in_any_case(text: str, sex: str, tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    edit_row(root, "P2", "GENDER", text)
    assert read_cohort(root).patients[2].sex == sex


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_code_is_the_same_whether_or_not_pandas_made_it_a_float(separator: str, tmp_path: Path) -> None:
    """A column of integers with a missing value is written as floats: `1.0`, in semicolon tables also `1,0`."""
    root = tiny_cohort(tmp_path, n=8)
    decimal = "." if separator == "," else ","
    for name in ("clinical_annotation.csv", "trainset/trainset_true.csv", "testset/testset_data.csv"):
        text = (root / name).read_text().replace(",", separator).replace(".", decimal)
        rows = [line.split(separator) for line in text.splitlines()]
        sex, label, count = (rows[0].index(c) for c in ("GENDER", "LABEL", "LYMPH_COUNT"))
        for row in rows[1:]:
            row[sex] = {"M": f"1{decimal}0", "F": f"2{decimal}0"}[row[sex]]
            row[label] = f"{row[label]}{decimal}0"
        rows[1][count] = f"999{decimal}0"
        write_table(root / name, [separator.join(row) for row in rows])
    (root / LAYOUT_FILE).write_text('[values]\nmale = [1]\nfemale = ["2"]\nmissing = ["", "999"]\n')
    cohort, problems = scan_cohort(root)
    assert problems == []
    assert cohort is not None
    assert [p.sex for p in cohort.patients] == ["M", "M", "F", "F", "M", "M", "F", "F"]
    assert cohort.labels.tolist() == [0, 1, 0, 1, 0, 1, -1, -1]
    assert math.isnan(cohort.patients[0].count)


def test_a_repeated_column_that_nobody_reads_is_no_problem(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    whole = read_cohort(root)
    for name in ("clinical_annotation.csv", "trainset/trainset_true.csv"):
        header, *rows = (root / name).read_text().splitlines()
        write_table(root / name, [f"{header},Note,NOTE", *(f"{row},x,y" for row in rows)])
    cohort, problems = scan_cohort(root)
    assert problems == []
    assert cohort is not None
    assert cohort.table().equals(whole.table())


def test_ids_stay_texts(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    (root / "trainset/P2").rename(root / "trainset/007")
    for name in ("clinical_annotation.csv", "trainset/trainset_true.csv"):
        edit(root / name, "P2,", " 007 ,")
    assert read_cohort(root).patients[2].id == "007"


def test_decimal_commas_where_the_separator_is_a_semicolon(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    whole = read_cohort(root)
    for name in ("clinical_annotation.csv", "trainset/trainset_true.csv", "testset/testset_data.csv"):
        path = root / name
        path.write_text(path.read_text().replace(",", ";").replace(".", ","), encoding="cp1252")
    assert read_cohort(root).table().equals(whole.table())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".bmp", ".JPEG"])
def test_other_image_formats_need_nothing(suffix: str, tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    for path in list(root.rglob("*.jpg")):
        with Image.open(path) as image:
            image.save(path.with_suffix(suffix))
        path.unlink()
    cohort = read_cohort(root)
    assert len(cohort.images) == 24
    assert {path.suffix for path in cohort.images} == {suffix}


def test_another_layout_by_its_mapping(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    whole = read_cohort(root)
    (root / "trainset").rename(root / "learn")
    (root / "testset").rename(root / "new")
    (root / "clinical_annotation.csv").unlink()
    for old, new in (("learn/trainset_true.csv", "known.csv"), ("new/testset_data.csv", "unknown.csv")):
        text = (
            (root / old)
            .read_text()
            .replace("ID,LABEL,GENDER,DOB,LYMPH_COUNT", "Case,Diagnosis,Sexe,Naissance,Lymphos")
        )
        text = (
            text.replace(",M,", ",Homme,")
            .replace(",F,", ",Femme,")
            .replace(",1,", ",LLC,")
            .replace(",0,", ",virale,")
        )
        (root / new).write_text(text)
    (root / LAYOUT_FILE).write_text(
        '[folders]\ntrain = "learn"\ntest = "new"\n'
        '[tables]\nclinical = ""\ntrain = "known.csv"\ntest = "unknown.csv"\n'
        '[columns]\nid = "case"\nlabel = "diagnosis"\nsex = "sexe"\nbirth = "naissance"\ncount = "lymphos"\n'
        '[values]\nmalignant = ["LLC", "lymphoma"]\nreactive = ["virale"]\nmale = ["Homme"]\nfemale = ["Femme"]\n'
        "[ages]\nreference = 2021-01-01\n"
    )
    cohort, problems = scan_cohort(root)
    assert problems == []
    assert cohort is not None
    table, expected = cohort.table(), whole.table()
    assert (table["age"] - expected["age"]).round(6).between(0.99, 1.01).all()
    assert table.drop(columns="age").equals(expected.drop(columns="age"))


def test_a_layout_in_the_hand_goes_before_the_file(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    (root / LAYOUT_FILE).write_text('[folders]\ntrain = "elsewhere"\n')
    assert len(read_cohort(root, layout=Layout()).patients) == 8


def test_hidden_entries_are_passed_over(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    (root / "trainset/.DS_Store").write_bytes(b"x")
    (root / "trainset/P1/.hidden.jpg").write_bytes(b"x")
    cohort, problems = scan_cohort(root)
    assert problems == []
    assert cohort is not None
    assert len(cohort.images) == 24


@given(
    st.lists(
        st.tuples(st.dates(date(1940, 1, 1), date(1960, 12, 31)), st.sampled_from("MF")),
        min_size=6,
        max_size=12,
    ),
    st.data(),
)
@settings(deadline=None, max_examples=25)
def test_one_person_in_two_date_formats_shares_a_fold(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[date, str]], data: st.DataObject
) -> None:
    """Records of one person, the day written month/day/year in one and day-month-year in the other."""
    root = tmp_path_factory.mktemp("pairs")
    rows, truth = [], []
    for number, (birth, sex) in enumerate(people):
        for record in range(2):
            us = data.draw(st.booleans())
            text = f"{birth.month}/{birth.day}/{birth.year}" if us else birth.strftime("%d-%m-%Y")
            rows.append(f"P{number}_{record},{number % 2},{sex if us else sex.lower()},{text},8")
            truth.append((birth, sex))
            (root / "trainset" / f"P{number}_{record}").mkdir(parents=True)
            (root / "trainset" / f"P{number}_{record}" / "0.jpg").touch()
    write_table(root / "trainset/trainset_true.csv", ["ID,LABEL,GENDER,DOB,LYMPH_COUNT", *rows])
    cohort = read_cohort(root, layout=with_date_format(Layout(), DATE_ORDERS))
    assume(not placeholder_dates(cohort.table()))
    numbers = persons(cohort.table())
    same_number = numbers[:, None] == numbers[None, :]
    assert (same_number == [[a == b for b in truth] for a in truth]).all()
    labels = np.arange(len(numbers)) // 2 % 2  # two persons of one class, whoever they are
    if min(len(set(numbers[labels == c])) for c in (0, 1)) >= 2 and len(set(numbers)) == len(people):
        folds = assign_folds(labels, numbers, 2, seed=0)
        assert (folds[0::2] == folds[1::2]).all()
