"""The rendered check: what a user reads in a terminal of 100 columns."""

import io
from pathlib import Path

from rich.console import Console

from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.problems import FEW
from lymphofeat.report.check import render_check

from ..helpers.tiny import edit_row, tiny_cohort, write_table


def rendered(root: Path, width: int = 100, most: int | None = FEW) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_check(check_cohort(root), console, most=most)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_a_good_cohort(tmp_path: Path) -> None:
    text = rendered(tiny_cohort(tmp_path, n=12))
    assert "patients                      12: 5 reactive, 4 malignant, 3 test" in text
    assert "date formats                  m/d/y: 6, d-m-y: 6" in text
    assert "image sizes                   128 × 128: 36" in text
    assert "missing values                none" in text
    assert "Shortcut audit" in text
    # The date's form follows the label in this cohort, which 4 and 5 patients cannot prove.
    assert "date of birth written d-m-y           1.00  0.40 – 1.00    malignant" in text
    assert "Date of birth written" not in text
    assert "Mean file size alone separates the classes: AUC 0.90 (0.53–1.00)" in text
    assert text.endswith("The cohort can be used; nothing is wrong with it.")


def test_problems_come_by_severity_with_places_inside_the_cohort(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12)
    edit_row(root, "P3", "LYMPH_COUNT", "0")
    edit_row(root, "P4", "DOB", "2/30/1950")
    (root / "trainset/P5/[b]weird.jpg").write_bytes(b"")
    text = rendered(root)
    lines = text.splitlines()
    assert lines.index("3 errors") < lines.index("3 warnings") < lines.index("Contents")
    assert "✗ trainset/trainset_true.csv, row 6: date of birth: there is no day '2/30/1950'" in text
    assert "✗ trainset/P5/[b]weird.jpg: is empty (0 bytes); replace or remove the file, or name it in" in text
    assert "! clinical_annotation.csv, row 5: lymphocyte count 0 is implausible" in text
    assert "missing values                birth: 1 (imputed inside folds)" in text
    assert text.endswith("3 errors: correct them before you continue.")


def test_exclusions_are_counted_by_reason_and_listed_on_demand(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=16)
    lines = ["patient,image,reason", "P1,,wrong stain", "P4,000000.jpg,blurred", "P5,000002.jpg,blurred"]
    write_table(root / "exclude.csv", lines)
    assert "Excluded: 1 patient, 2 images: blurred 2, wrong stain 1; --all lists them" in rendered(root)
    text = rendered(root, most=None)
    assert "Excluded: 1 patient, 2 images: blurred 2, wrong stain 1\n" in text
    assert "\n  P1 (3 images): wrong stain\n  P4, 000000.jpg: blurred\n  P5, 000002.jpg: blurred\n" in text


def test_the_size_of_a_pixel_is_shown_where_it_is_known(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12)
    assert "pixel size" not in rendered(root)
    write_table(root / "lymphofeat.toml", ["[images]", "microns_per_pixel = 0.125"])
    assert "pixel size                    0.125 µm per pixel" in rendered(root)


def test_one_warning_and_no_audit(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=4)  # labels 0, 1, 0
    text = rendered(root)
    assert "! the cohort: has 1 malignant person, too few" in text
    assert "No shortcut audit: it needs two labelled patients of each class." in text
    assert text.endswith("The cohort can be used; read the warning above.")


def test_no_cohort(tmp_path: Path) -> None:
    text = rendered(tmp_path / "none")
    assert "✗ the cohort: there is no cohort folder here" in text
    assert "Contents" not in text
    assert text.endswith("1 error: correct it before you continue.")


def test_records_and_persons_are_both_said(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12)
    layout = root / "lymphofeat.toml"
    text = layout.read_text() if layout.exists() else ""
    table = root / "clinical_annotation.csv"
    header, *rows = table.read_text().splitlines()
    who = [row.split(",")[header.split(",").index("ID")] for row in rows]
    names = {"P2": "P1", "P4": "P3"}  # second visits
    named = [f"{row},{names.get(patient, patient)}" for patient, row in zip(who, rows, strict=True)]
    table.write_text("\n".join([f"{header},WHO", *named]) + "\n")
    layout.write_text(text + '\n[columns]\nperson = "WHO"\n')
    shown = rendered(root)
    assert "12 records of 10 persons: 5 reactive, 4 malignant, 3 test" in shown
    assert "95 % interval by person" in shown
