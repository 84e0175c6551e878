"""`exclude.csv`: who and what is left out, what is recorded of it, and what is wrong with such a table."""

import os
import re
import shutil
from pathlib import Path

import h5py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.bundle.patients import Reading, read_patients
from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.exclusions import (
    Exclusion,
    exclusions_from_text,
    exclusions_summary,
    exclusions_text,
    name_remover,
)
from lymphofeat.cohort.fingerprint import cohort_fingerprint, image_digests
from lymphofeat.cohort.layout import LAYOUT_FILE
from lymphofeat.cohort.model import Cohort
from lymphofeat.cohort.problems import Problem
from lymphofeat.cohort.pseudonyms import pseudonymous, read_key
from lymphofeat.cohort.read import read_cohort, scan_cohort

from ..helpers.tiny import edit, edit_row, tiny_cohort, write_table


def exclude(root: Path, *rows: str, header: str = "patient,image,reason") -> Path:
    write_table(root / "exclude.csv", [header, *rows])
    return root


def scanned(root: Path) -> tuple[Cohort, list[Problem]]:
    cohort, problems = scan_cohort(root)
    assert cohort is not None
    return cohort, problems


def fingerprint(root: Path) -> str:
    cohort = read_cohort(root)
    return cohort_fingerprint(cohort, image_digests(cohort.images))


def the_problem(root: Path) -> Problem:
    (problem,) = scanned(root)[1]
    return problem


def test_patients_and_images_are_left_out_and_recorded_in_the_order_of_the_table(tmp_path: Path) -> None:
    root = exclude(tiny_cohort(tmp_path, n=8), "P6,,pending", "P1,000001.jpg,blurred", "P3,,wrong stain")
    cohort, problems = scanned(root)
    assert not problems
    assert [p.id for p in cohort.patients] == ["P0", "P1", "P2", "P4", "P5", "P7"]
    assert cohort.patients[1].image_names == ("000000.jpg", "000002.jpg")
    assert cohort.exclusions == (
        Exclusion("P6", "", "pending", 3, -1, "test"),
        Exclusion("P1", "000001.jpg", "blurred", 1, 1, "train", 2),
        Exclusion("P3", "", "wrong stain", 3, 1, "train"),
    )


def test_the_fingerprint_is_that_of_a_cohort_without_them(tmp_path: Path) -> None:
    root, other = tiny_cohort(tmp_path / "a", n=8), tiny_cohort(tmp_path / "b", n=8)
    whole = fingerprint(root)
    exclude(root, "P2,,x", "P7,000000.jpg,x")
    shutil.rmtree(other / "trainset/P2")
    (other / "testset/P7/000000.jpg").unlink()
    for table in other.rglob("*.csv"):
        write_table(table, [line for line in table.read_text().splitlines() if "P2," not in line])
    assert whole != fingerprint(root) == fingerprint(other)


def test_nothing_that_is_wrong_with_what_is_left_out_is_told(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=16)
    edit_row(root, "P1", "DOB", "2/30/1950")
    edit_row(root, "P2", "LABEL", "maybe")
    with (root / "clinical_annotation.csv").open("a") as file:
        file.write("16,P3,1\n")  # short, and P3 is there already
    shutil.rmtree(root / "trainset/P4")
    (root / "trainset/P5/notes.txt").write_text("x")
    (root / "trainset/P6/000000.jpg").write_bytes(b"no image")
    shutil.copytree(root / "trainset/P7", root / "trainset/without a row")
    exclude(
        root, *(f"P{k},,x" for k in range(1, 6)), "P6,000000.jpg,cannot be read", "without a row,,of no table"
    )
    report = check_cohort(root)
    assert not report.problems
    assert [one.n_images for one in report.exclusions] == [3, 3, 3, 0, 3, 1, 3]
    assert [(one.label, one.split) for one in report.exclusions] == [
        (1, "train"), (-1, "train"), (1, "train"), (0, "train"), (1, "train"), (0, "train"), (-1, "train"),
    ]  # fmt: skip
    (root / "exclude.csv").unlink()
    codes = {problem.code for problem in check_cohort(root).errors}
    assert codes >= {
        "bad-date",
        "bad-label",
        "ragged-row",
        "duplicate-id",
        "no-folder",
        "bad-image",
        "no-row",
    }


def test_excluded_records_neither_join_persons_nor_tell_the_order_of_dates(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    edit_row(root, "P4", "DOB", "25/12/1950")  # day first, where the others are month first
    edit_row(root, "P0", "DOB", "1/25/1930")
    assert scanned(root)[1]
    assert not scanned(exclude(root, "P4,,x"))[1]


@pytest.mark.parametrize(
    "name", ["slide2/a.jpg", r"slide2\a.jpg", "./slide2/a.jpg", "trainset/P1/slide2/a.jpg"]
)
def test_an_image_is_named_by_its_path_in_the_patient_s_folder(tmp_path: Path, name: str) -> None:
    root = tiny_cohort(tmp_path, n=8)
    folder = root / "trainset/P1"
    for slide, image in (("slide1", "000000.jpg"), ("slide2", "000001.jpg")):
        (folder / slide).mkdir()
        (folder / image).rename(folder / slide / "a.jpg")
    cohort, problems = scanned(exclude(root, f"P1,{name},x"))
    assert not problems
    assert cohort.patients[1].image_names == ("000002.jpg", "slide1/a.jpg")
    assert [one.image for one in cohort.exclusions] == ["slide2/a.jpg"]


def test_the_other_images_of_a_flat_folder_and_of_a_table_keep_their_names(tmp_path: Path) -> None:
    """A name is a path in the folder of all images, also where only those of one slide remain."""
    root = tiny_cohort(tmp_path, n=8, images=2)
    rows = []
    for image in sorted(root.glob("*set/*/*.jpg")):
        slide = root / f"s{image.stem[-1]}" / image.parent.name
        slide.mkdir(parents=True)
        image.rename(slide / "cell.jpg")
        rows.append(f"{image.parent.name},{slide.relative_to(root)}/cell.jpg")
    rows.append("P3,s2/P3/gone.jpg")
    write_table(root / "files.csv", ["ID,FILE", *rows])
    (root / LAYOUT_FILE).write_text('[images]\ntable = "files.csv"\n')
    assert [p.code for p in scanned(root)[1]] == ["no-file"]
    exclude(root, "P1,s1/P1/cell.jpg,x", "P3,s2/P3/gone.jpg,lost", "P5,,x")
    cohort, problems = scanned(root)
    assert not problems
    assert [p.image_names for p in cohort.patients[1:4]] == [
        ("s0/P1/cell.jpg",), ("s0/P2/cell.jpg", "s1/P2/cell.jpg"), ("s0/P3/cell.jpg", "s1/P3/cell.jpg"),
    ]  # fmt: skip
    assert [(one.patient, one.image, one.n_images) for one in cohort.exclusions] == [
        ("P1", "s1/P1/cell.jpg", 1), ("P3", "s2/P3/gone.jpg", 1), ("P5", "", 2),
    ]  # fmt: skip


def test_an_excluded_patient_keeps_its_images_in_a_flat_folder(tmp_path: Path) -> None:
    """X_9 is in no table but exclude.csv, which tells that its images are not those of X."""
    root = tiny_cohort(tmp_path, n=8)
    for image in sorted(root.glob("*set/*/*.jpg")):
        image.rename(root / f"{image.parent.name}_{image.name}")
    (root / "P1_000000.jpg").rename(root / "X_9_000000.jpg")
    (root / LAYOUT_FILE).write_text(
        '[images]\npattern = "{patient}_{cell}.jpg"\n[folders]\ntrain = "."\ntest = "."\n'
    )
    cohort, problems = scanned(exclude(root, "X_9,,a second smear"))
    assert not problems
    assert len(cohort.patients[1].images) == 2
    assert [one.n_images for one in cohort.exclusions] == [1]


@pytest.mark.skipif(os.name == "nt", reason="file names are texts there")
def test_names_that_are_not_utf_8_are_given_as_they_are_printed(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    image = root / "trainset/P1/000001.jpg"
    image.rename(Path(os.fsdecode(os.fsencode(image.parent) + b"/\xe4.jpg")))
    # A backslash is read as a slash, so that such a name is known by its printed form with one.
    cohort, problems = scanned(exclude(root, r"P1,\xe4.jpg,x"))
    assert not problems, problems
    assert len(cohort.patients[1].images) == 2


@pytest.mark.parametrize(
    ("rows", "severity", "words"),
    [
        (["P1,000001.jpg,"], "error", "row 2: gives no reason why P1, 000001.jpg is left out; give the reason"),
        (["P1,,-"], "error", "gives no reason why P1 is left out"),
        ([",,x"], "error", "row 2: names no patient; give the ID"),
        (["P1,00001.jpg,x"], "error", "P1 has no image '00001.jpg' (did you mean '000001.jpg'?); correct the name"),
        (["p1,,x"], "error", "patient 'p1' is not in the cohort (did you mean 'P1'?); correct the ID"),
        (["P01,000000.jpg,x"], "error", "patient 'P01' is not in the cohort (did you mean 'P1'?)"),
        (["P77,,x"], "warning", "'P77' is not in the cohort (did you mean 'P7'?), so that the row leaves out nobody"),
        (["gone,1.jpg,x"], "warning", "'gone' is not in the cohort, so that the row leaves out nobody"),
        (["P1,,x", "P1,,X"], "warning", "row 3: leaves out P1 as row 2 does; remove one of the rows"),
        (["P1,,x", "P1,,y"], "error", "row 3: leaves out P1 because of 'y', and row 2 because of 'x'; keep one"),
        (["P1,000000.jpg,x", "P1,,y"], "warning", "row 2: leaves out an image of P1, who is left out as a whole by"),
        (["P1,000000.jpg,x", "P1,trainset/P1/000000.jpg,x"], "warning", "row 3: leaves out P1, trainset/P1/00"),
        (["P1,000000.jpg,x", "P1,./000000.jpg,y"], "error", "because of 'y', and row 2 because of 'x'"),
        (["P1,a.png,x"], "error", "P1 has no image 'a.png' (there are 000000.jpg, 000001.jpg, 000002.jpg)"),
        ([f"P1,00000{k}.jpg,x" for k in range(3)], "error", "leaves the patient without images (3 images, all"),
        (["P1,,x,more"], "error", "row 2: has 4 cells where the header has 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence(tmp_path: Path, rows: list[str], severity: str, words: str) -> None:
    problem = the_problem(exclude(tiny_cohort(tmp_path, n=8), *rows))
    assert problem.severity == severity
    assert problem.where.path == tmp_path / "exclude.csv"
    assert words in problem.sentence(tmp_path)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("patient,image", "has no column 'reason'"),
        ("image,reason", "has no column 'patient'"),
        ("patient,image,image,reason", "has the column 'image' more than once"),
    ],
)
def test_its_columns(tmp_path: Path, header: str, words: str) -> None:
    problem = the_problem(exclude(tiny_cohort(tmp_path, n=8), header=header))
    assert words in problem.sentence()


def test_separators_columns_and_words_are_those_of_the_other_tables(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=8)
    for table in root.rglob("*.csv"):
        edit(table, "ID,", "Fall,")
    (root / LAYOUT_FILE).write_text(
        '[columns]\nid = "Fall"\n[values]\nmissing = ["k.A."]\n[tables]\nexclude = "Ausschluss.csv"\n'
    )
    table = root / "Ausschluss.csv"
    assert the_problem(root).code == "no-exclude-table"  # it is named
    table.write_text("FALL;Image;Reason;Patient\nP1;k.A.;Färbung, falsch;Person 7\n", encoding="cp1252")
    cohort, problems = scanned(root)
    assert not problems
    assert [(one.patient, one.reason) for one in cohort.exclusions] == [("P1", "Färbung, falsch")]


def test_no_table_is_looked_for_where_the_layout_says_so(tmp_path: Path) -> None:
    root = exclude(tiny_cohort(tmp_path, n=8), "P1,,x")
    (root / LAYOUT_FILE).write_text('[tables]\nexclude = ""\n')
    cohort, problems = scanned(root)
    assert (len(cohort.patients), cohort.exclusions, problems) == (8, (), [])


def test_the_image_column_may_be_absent(tmp_path: Path) -> None:
    root = exclude(tiny_cohort(tmp_path, n=8), "P1,x", header="patient,reason")
    assert len(read_cohort(root).patients) == 7


def test_who_has_no_images_left_is_left_out_where_the_layout_says_so(tmp_path: Path) -> None:
    root = exclude(tiny_cohort(tmp_path, n=8), *(f"P1,00000{k}.jpg,x" for k in range(3)))
    (root / LAYOUT_FILE).write_text('[rows]\nwithout_images = "leave out"\n')
    assert the_problem(root).code == "left-out"


def test_pseudonyms_take_the_place_of_ids_and_names(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    before = pseudonymous(read_cohort(root), tmp_path / "key.csv")
    exclude(root, "P1,000001.jpg,blurred", "P3,,the same blood as p5 (P5x is another; see a/1.JPG)")
    cohort = pseudonymous(read_cohort(root), tmp_path / "key.csv")
    key = read_key(tmp_path / "key.csv")
    image, patient = cohort.exclusions
    assert (image.patient, image.image) == (key["P1"], "2")
    assert (patient.patient, patient.reason) == (
        key["P3"],
        f"the same blood as {key['P5']} (P5x is another; see another image)",
    )
    assert cohort.patients[1].image_names == ("1", "3")
    assert before.patients[1].image_names == ("1", "2", "3")


def test_new_patients_are_left_out_as_well(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    folder = exclude(root / "testset", "P6,000000.jpg,blurred", "P7,,wrong stain")
    table = tmp_path / "new.csv"
    write_table(table, ["ID,GENDER,DOB,LYMPH_COUNT", "P6,F,1/1/1950,7", "P7,F,31/31/1950,7"])
    new = read_patients(folder, table, Reading(), images=True)
    assert [(p.id, p.image_names) for p in new.patients] == [("P6", ("000001.jpg", "000002.jpg"))]
    assert (
        new.notes[-1]
        == f"Excluded by {folder / 'exclude.csv'}: 1 patient, 1 image: blurred 1, wrong stain 1."
    )
    exclude(root, "P1,,x")
    whole = read_patients(root, None, Reading(), images=True)
    assert "P1" not in [p.id for p in whole.patients]
    assert "1 patient: x 1" in whole.notes[-1]


@given(st.sets(st.text("aP1.*", min_size=1, max_size=3), max_size=5), st.text("aP1.* ", max_size=30))
def test_no_id_remains_in_a_reason_as_a_word(ids: set[str], reason: str) -> None:
    left = name_remover(dict.fromkeys(ids, "x"))(reason)
    assert not [name for name in ids if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", left)]


def test_reasons_are_counted() -> None:
    many = [Exclusion("P1", f"{k}.jpg", "blurred", 1) for k in range(9)]
    many += [Exclusion("P2", f"{k}.jpg", "wrong stain", 1) for k in range(4)]
    many += [Exclusion("P3", "", "Blurred", 7), Exclusion("P4", "", "consent withdrawn", 7)]
    assert exclusions_summary(many) == "2 patients, 13 images: blurred 10, wrong stain 4, consent withdrawn 1"
    assert exclusions_summary(many[-2:], labels=True).startswith("2 patients: ")
    labelled = [
        Exclusion("P1", "", "x", 1, 1),
        Exclusion("P2", "", "x", 1, 0),
        Exclusion("P3", "", "x", 1, -1),
    ]
    assert exclusions_summary(labelled, labels=True) == "3 patients (1 reactive, 1 malignant): x 3"
    others = [Exclusion("P1", "", f"reason {k}", 1) for k in range(8)]
    assert exclusions_summary(others).endswith("reason 4 1, 3 other reasons 3")


texts = st.text(min_size=1, max_size=8)


@given(
    st.lists(
        st.builds(
            Exclusion,
            texts,
            st.text(max_size=8),
            texts,
            st.integers(0, 9),
            st.sampled_from([-1, 0, 1]),
            st.sampled_from(["", "train", "test"]),
            st.integers(0, 9),
        )
    )
)
def test_the_text_of_exclusions_is_read_as_it_was_written(exclusions: list[Exclusion]) -> None:
    text = exclusions_text(exclusions)
    assert text.isascii()
    assert exclusions_from_text(text) == tuple(exclusions)


def test_an_attribute_of_a_cache_holds_the_text_of_many(tmp_path: Path) -> None:
    """HDF5 keeps attributes of more than 64 KB elsewhere."""
    text = exclusions_text([Exclusion("P1", f"{k:06d}.jpg", "blurred", 1) for k in range(20_000)])
    with h5py.File(tmp_path / "index.h5", "w") as file:
        file.attrs["exclusions"] = text
    with h5py.File(tmp_path / "index.h5") as file:
        assert exclusions_from_text(file.attrs["exclusions"])[-1].image == "019999.jpg"


@pytest.mark.parametrize("text", ["[", "[1]", '[{"patient": "P1", "colour": 1}]', "7"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        exclusions_from_text(text)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohort(tmp_path_factory.mktemp("fuzzed"), n=8, images=2, side=16)


words = [
    "P1",
    "P1",
    "P2",
    "P9",
    "p2",
    "",
    "000000.jpg",
    "000001.jpg",
    "trainset/P1/000000.jpg",
    "blurred",
    "-",
]
cells = st.sampled_from(words)


@given(
    st.binary(max_size=60)
    | st.lists(st.lists(cells | st.text(max_size=4), min_size=3, max_size=3), max_size=6).map(
        lambda rows: "\n".join(["patient,image,reason", *(",".join(row) for row in rows)]).encode()
    )
)
@settings(deadline=None, max_examples=60)
def test_any_table_is_read_or_told_of(fuzzed: Path, content: bytes) -> None:
    (fuzzed / "exclude.csv").write_bytes(content)
    cohort, problems = scan_cohort(fuzzed)
    if cohort is None:
        return
    left = {patient.id: patient.image_names for patient in cohort.patients}
    for one in cohort.exclusions:
        assert one.reason
        assert one.image not in left.get(one.patient, ()) if one.image else one.patient not in left
    if not any(problem.severity == "error" for problem in problems):
        n_left = sum(one.n_images for one in cohort.exclusions)
        assert n_left + len(cohort.images) == 16
