"""Layouts of images: folders with slides, flat folders by a pattern, a table of files; one cohort in each of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.bundle.patients import Reading, read_patients
from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.fingerprint import cohort_fingerprint
from lymphofeat.cohort.folders import natural_order
from lymphofeat.cohort.layout import LAYOUT_FILE, layout_of
from lymphofeat.cohort.model import Cohort, Patient
from lymphofeat.cohort.read import read_cohort, scan_cohort
from lymphofeat.errors import InputError

from ..helpers.tiny import edit, tiny_cohort, write_table

CLINICAL_ONLY = '[tables]\ntrain = ""\ntest = ""\n'


def with_layout(root: Path, *lines: str) -> Path:
    write_table(root / LAYOUT_FILE, list(lines))
    return root


def without_part_tables(root: Path) -> None:
    (root / "trainset/trainset_true.csv").unlink()
    (root / "testset/testset_data.csv").unlink()


def flat(root: Path) -> Path:
    """All images in the cohort's folder itself, one table."""
    without_part_tables(root)
    for image in sorted(root.glob("*set/*/*.jpg")):
        image.rename(root / f"{image.parent.name}_s1_{image.name}")
    for part in ("trainset", "testset"):
        shutil.rmtree(root / part)
    return with_layout(
        root,
        "[images]\npattern = '{patient}_{slide}_{cell}.jpg'",
        "[folders]\ntrain = '.'\ntest = '.'",
        CLINICAL_ONLY,
    )


def flat_parts(root: Path) -> Path:
    """Images flat in each part's folder."""
    for image in sorted(root.glob("*set/*/*.jpg")):
        image.rename(image.parents[1] / f"{image.parent.name}-{image.name}")
    for folder in root.glob("*set/P*/"):
        folder.rmdir()
    return with_layout(root, "[images]\npattern = '{patient}-{cell}'")


def slides(root: Path) -> Path:
    """Each patient's images in two subfolders with equal file names."""
    for folder in sorted(root.glob("*set/*/")):
        images = sorted(folder.glob("*.jpg"))
        for k, image in enumerate(images):
            slide = folder / ("slide10" if k else "slide9")
            slide.mkdir(exist_ok=True)
            image.rename(slide / f"{k // 2}.jpg")
    return root


def listed(root: Path) -> Path:
    """A table of files with a spreadsheet's backslashes."""
    rows = [f"{p.parent.name};{p.relative_to(root)}".replace("/", "\\") for p in root.glob("*set/*/*.jpg")]
    write_table(root / "files.csv", ["Pat;Path", *sorted(rows, reverse=True)])
    without_part_tables(root)
    edit(root / "clinical_annotation.csv", "ID", "Pat")
    return with_layout(
        root, "[images]\ntable = 'files.csv'\nfile = 'PATH'", "[columns]\nid = 'pat'", CLINICAL_ONLY
    )


def contents(cohort: Cohort) -> list[tuple[str, str, int, list[bytes]]]:
    return [(p.id, p.split, p.label, [image.read_bytes() for image in p.images]) for p in cohort.patients]


@pytest.mark.parametrize("layout", [flat, flat_parts, slides, listed])
def test_a_cohort_is_the_same_in_every_layout(layout: Callable[[Path], Path], tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=12)  # P1 and P10, P11
    expected = contents(read_cohort(root))
    cohort, problems = scan_cohort(layout(root))
    assert problems == []
    assert cohort is not None
    assert contents(cohort) == expected
    assert check_cohort(root, workers=1).problems == ()


@pytest.mark.parametrize("layout", [flat, flat_parts, slides, listed])
def test_new_patients_are_read_in_every_layout(layout: Callable[[Path], Path], tmp_path: Path) -> None:
    """From a folder that is no cohort: the one place of all images, or one part of a cohort."""
    root = layout(tiny_cohort(tmp_path / "cohort", n=12))
    whole = read_cohort(root)
    folder = root if layout in (flat, listed) else root / "testset"
    if layout is flat_parts:
        shutil.copy(root / LAYOUT_FILE, folder)
    if layout is listed:
        edit(root / LAYOUT_FILE, "[images]", "[folders]\ntrain = 'none'\ntest = 'none'\n[images]")
    clinical = None if folder == root else folder / "testset_data.csv"
    found = read_patients(folder, clinical, Reading(), images=True)
    expected = {p.id: p for p in whole.patients if folder == root or p.split == "test"}
    assert {p.id for p in found.patients} == set(expected)
    for patient in found.patients:
        known = expected[patient.id]
        assert patient.images == known.images
        assert patient.image_names == known.image_names
        assert (patient.birth, patient.sex, patient.age) == (known.birth, known.sex, known.age)


@pytest.mark.parametrize("layout", [flat, listed])
def test_a_model_reads_new_patients_as_in_training_or_in_folders(
    layout: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = layout(tiny_cohort(tmp_path / "cohort", n=8))
    reading = Reading(layout=layout_of(root))
    (root / LAYOUT_FILE).unlink()
    clinical = root / "clinical_annotation.csv"
    if layout is listed:
        (root / "trainset").rename(root / "images")
        text = (root / "files.csv").read_text()
        (root / "files.csv").write_text(text.replace("trainset", "images").replace("testset", "images"))
        for folder in (root / "testset").iterdir():
            folder.rename(root / "images" / folder.name)
        (root / "testset").rmdir()
    found = read_patients(root, clinical, reading, images=True)
    assert sorted(len(p.images) for p in found.patients) == [3] * 8
    in_folders = tiny_cohort(tmp_path / "other", n=8) / "testset"
    found = read_patients(in_folders, None, reading, images=True)
    assert {p.id: p.image_names[0] for p in found.patients} == {"P6": "000000.jpg", "P7": "000000.jpg"}


def test_names_of_images_are_paths_in_the_patients_folder(tmp_path: Path) -> None:
    root = slides(tiny_cohort(tmp_path / "slides", n=8))
    first = read_cohort(root).patients[0]
    assert first.image_names == ("slide9/0.jpg", "slide10/0.jpg", "slide10/1.jpg")
    (root / "trainset/P0/slide9/0.jpg").unlink()
    assert read_cohort(root).patients[0].image_names == ("slide10/0.jpg", "slide10/1.jpg")
    images = (Path("a/s1/1.png"), Path("a/s2/1.png"), Path("a/s2/../s1/2.png").absolute())
    assert Patient("P", "test", -1, images).image_names == ("s1/1.png", "s2/1.png", "s1/2.png")
    assert Patient("P", "test", -1, images[1:2]).image_names == ("1.png",)
    assert Patient("P", "test", -1, ()).image_names == ()


def test_without_subfolders_order_and_fingerprint_stay(tmp_path: Path) -> None:
    """As they were before subfolders were read: by name as text, and the name in the fingerprint."""
    folder = tiny_cohort(tmp_path / "cohort", n=8) / "trainset/P0"
    (folder / "000000.jpg").rename(folder / "10.jpg")
    (folder / "000001.jpg").rename(folder / "9.jpg")
    cohort = read_cohort(tmp_path / "cohort")
    assert cohort.patients[0].image_names == ("000002.jpg", "10.jpg", "9.jpg")
    small = Cohort(tmp_path, (Patient("P", "train", 1, (Path("a/1.jpg"), Path("a/2.jpg"))),))
    before = "996d48bd2b35255300f21151d516f9a62372dd27317f5709b425bdcba53cb40d"
    assert cohort_fingerprint(small, ["00", "11"]) == before


@given(st.lists(st.text("01a9/é\udce4", min_size=1, max_size=6), max_size=6))
def test_natural_order_is_one_order_of_all_paths(paths: list[str]) -> None:
    forward = sorted(paths, key=natural_order)
    paths.reverse()
    assert sorted(paths, key=natural_order) == forward


def test_natural_order_counts() -> None:
    assert sorted(["s10/1", "s9/10", "s9/9", "s9/09", "10", "9"], key=natural_order) == [
        "9",
        "10",
        "s9/09",
        "s9/9",
        "s9/10",
        "s10/1",
    ]


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    before = contents(read_cohort(root))
    for folder in (root, root / "trainset", root / "trainset/P0", root / "testset/P6"):
        for name in ("._000000.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "Desktop.ini", "thumbs.DB"):
            (folder / name).write_bytes(b"\0\5\x16\7")
        (folder / "__MACOSX").mkdir()
        (folder / "__MACOSX/._000001.jpg").write_bytes(b"\0\5\x16\7")
    cohort, problems = scan_cohort(root)
    assert problems == []
    assert cohort is not None
    assert contents(cohort) == before
    new = read_patients(root / "testset", None, Reading(), images=True)
    assert ([p.id for p in new.patients], new.notes) == (["P6", "P7"], ())


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    (root / "trainset/P0/again").symlink_to(root / "trainset/P0", target_is_directory=True)
    assert len(read_cohort(root).patients[0].images) == 3


def test_ids_that_begin_others_in_a_flat_folder(tmp_path: Path) -> None:
    root = flat(tiny_cohort(tmp_path / "cohort", n=12))
    for image in root.glob("P1_*"):
        image.unlink()
    cohort, problems = scan_cohort(root)
    assert cohort is not None
    assert "P1" not in {p.id for p in cohort.patients}  # P10's and P11's are not taken for its own
    assert [str(p).replace(f"{root}/", "") for p in problems] == [
        "clinical_annotation.csv, row 3: P1 has no image in the cohort by the pattern "
        '{patient}_{slide}_{cell}.jpg; add the images, remove the row, or set without_images = "leave out" in '
        "lymphofeat.toml under [rows]."
    ]


def test_images_that_a_pattern_does_not_fit_are_told_once(tmp_path: Path) -> None:
    root = flat(tiny_cohort(tmp_path / "cohort", n=8))
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "P0_s1_1.png"):
        shutil.copy(root / "P0_s1_000000.jpg", root / name)
    (warning,) = scan_cohort(root)[1]
    assert (warning.severity, warning.code) == ("warning", "stray-images")
    assert (
        "holds 5 images that the pattern {patient}_{slide}_{cell}.jpg does not fit (P0_s1_1.png, a.jpg, b.jpg, …)"
        in (warning.message)
    )


def test_images_of_an_unknown_and_of_two_patients(tmp_path: Path) -> None:
    root = flat(tiny_cohort(tmp_path / "cohort", n=8))
    table = root / "clinical_annotation.csv"
    shutil.copy(root / "P0_s1_000000.jpg", root / "X7_s1_1.jpg")
    write_table(table, [*table.read_text().splitlines(), "8,P0_s1,0,M,13-02-1950,7"])
    for k in range(3):
        shutil.copy(root / "P0_s1_000000.jpg", root / f"P0_s1_{k}_1.jpg")
    messages = {problem.code: str(problem) for problem in scan_cohort(root)[1]}
    assert set(messages) == {"image-of-two-patients", "no-row", "no-folder"}
    assert "holds 3 images that" in messages["image-of-two-patients"]
    assert "(P0_s1_0_1.jpg of P0 or P0_s1, P0_s1_1_1.jpg of" in messages["image-of-two-patients"]
    assert "X7 (X7_s1_1.jpg, …) has no row in clinical_annotation.csv" in messages["no-row"]


def test_a_pattern_that_fits_nothing_is_the_only_error(tmp_path: Path) -> None:
    root = flat(tiny_cohort(tmp_path / "cohort", n=8))
    edit(root / LAYOUT_FILE, "{patient}_{slide}", "{patient}-{slide}")
    (problem,) = scan_cohort(root)[1]
    assert (problem.severity, problem.code) == ("error", "pattern-fits-nothing")
    with pytest.raises(InputError, match="does not fit"):
        read_patients(root, None, Reading(), images=True)


def test_ids_that_look_alike_in_file_names(tmp_path: Path) -> None:
    root = flat(tiny_cohort(tmp_path / "cohort", n=8))
    for image in root.glob("P3_*"):
        image.rename(root / image.name.replace("P3", "p3"))
    (problem,) = scan_cohort(root)[1]
    assert problem.code == "alike-ids"
    assert "they differ in upper and lower case" in problem.message


def test_the_label_or_the_table_tells_the_part_of_one_flat_folder(tmp_path: Path) -> None:
    root = flat(tiny_cohort(tmp_path / "cohort", n=8))
    assert [p.split for p in read_cohort(root).patients] == ["train"] * 6 + ["test"] * 2
    edit(root / LAYOUT_FILE, "test = '.'", "test = ''")  # no test part: those without a label are not ready
    problems = scan_cohort(root)[1]
    assert {p.code for p in problems} == {"no-label"}
    assert len(problems) == 2


def test_patient_folders_in_the_cohorts_own_folder(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "cohort", n=8)
    without_part_tables(root)
    for folder in root.glob("trainset/*"):
        folder.rename(root / folder.name)
    (root / "trainset").rmdir()
    (root / "notes").mkdir()
    with_layout(root, "[folders]\ntrain = '.'")
    cohort, problems = scan_cohort(root)
    assert problems == []
    assert cohort is not None
    assert [p.split for p in cohort.patients] == ["train"] * 6 + ["test"] * 2


def test_a_table_of_files_tells_each_cause_once(tmp_path: Path) -> None:
    root = listed(tiny_cohort(tmp_path / "cohort", n=8))
    table = root / "files.csv"
    rows = table.read_text().splitlines()
    there = next(row for row in rows if row.startswith("P0;"))
    more = [
        *("P1;gone/a.jpg", "P1;gone\\b.jpg", "P1;gone/c.jpg", "P1;C:\\d.jpg"),
        *(there, there.replace("trainset", ".\\trainset")),
        there.replace("P0;", "P2;"),
        ";trainset/P0/000000.jpg",
        "P1;",
        "P1;notes.txt",
        "P1;._a.jpg",
        f"P0;{(tmp_path / 'elsewhere.jpg')}",
        "X9;trainset/x.jpg",
    ]
    shutil.copy(root / "trainset/P0/000000.jpg", tmp_path / "elsewhere.jpg")
    shutil.copy(root / "trainset/P0/000000.jpg", root / "trainset/x.jpg")
    write_table(table, [*rows, *more])
    cohort, problems = scan_cohort(root)
    found = {p.code: p for p in problems}
    assert len(found) == len(problems)
    assert {code: p.severity for code, p in found.items()} == {
        "image-without-id": "error",
        "no-file-named": "warning",
        "not-an-image-name": "warning",
        "image-of-two-patients": "error",
        "repeated-file": "warning",
        "no-file": "error",
        "no-row": "error",
    }
    at = len(rows) + 1
    assert found["no-file"].where.row == at
    assert f"gone/a.jpg (and in 3 more rows: row {at + 1}: gone/b.jpg, row {at + 2}: gone/c.jpg, …)" in (
        found["no-file"].message
    )
    assert cohort is not None
    assert cohort.patients[0].images[-1].name == "000002.jpg"
    assert tmp_path / "elsewhere.jpg" in cohort.patients[0].images
    assert len(set(cohort.patients[0].image_names)) == 4


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda root: (root / "files.csv").unlink(), "files.csv: is not there, so no image is known; add it"),
        (
            lambda root: edit(root / LAYOUT_FILE, "'PATH'", "'FILE'"),
            "files.csv, row 1: has no column 'FILE' (its columns: Pat, Path); rename the column, or name it in "
            "lymphofeat.toml as `file` under [images].",
        ),
        (
            lambda root: write_table(root / "files.csv", ["Pat;Path;path"]),
            "has the column 'path' more than once",
        ),
    ],
)
def test_a_table_of_files_that_cannot_be_used(
    change: Callable[[Path], object], expected: str, tmp_path: Path
) -> None:
    root = listed(tiny_cohort(tmp_path / "cohort", n=8))
    change(root)
    (problem,) = scan_cohort(root)[1]
    assert problem.severity == "error"
    assert expected in str(problem)


def test_a_pattern_beside_a_table_and_a_bad_pattern_are_refused(tmp_path: Path) -> None:
    for lines, expected in (
        ("pattern = '{patient}_{cell}'\ntable = 'files.csv'", "not both"),
        (
            "pattern = '{cell}.png'",
            "[images] pattern = '{cell}.png' is not accepted: it has no field {patient}",
        ),
    ):
        with_layout(tmp_path, "[images]", lines)
        with pytest.raises(InputError) as raised:
            scan_cohort(tmp_path)
        assert expected in str(raised.value)
