"""The check as a whole: its report, its progress, its aggregation."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.layout import LAYOUT_FILE
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import InputError

from ..helpers.tiny import edit_row, tiny_cohort


class Recorder:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.events.append((what, total))

    def advance(self, n: int = 1) -> None:
        self.events.append(("advance", n))

    def note(self, text: str) -> None: ...

    def stop(self) -> None:
        self.events.append(("stop", 0))


def test_the_summary_counts_what_was_simulated(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12, images=4)
    shutil.copy(root / "trainset/P0/000000.jpg", root / "trainset/P0/copy.jpg")
    edit_row(root, "P1", "DOB", "")
    edit_row(root, "P2", "GENDER", "?")
    summary = check_cohort(root).summary
    assert summary is not None
    assert (summary.n_reactive, summary.n_malignant, summary.n_train, summary.n_test) == (5, 4, 9, 3)
    assert summary.n_images == 49
    assert summary.n_bytes == sum(path.stat().st_size for path in root.rglob("*.jpg"))
    assert summary.images_per_patient == (4, 4, 4, 4, 5)
    assert summary.missing == {"birth": 1, "sex": 1, "count": 0}
    assert summary.date_orders == {"m/d/y": 6, "d-m-y": 5}
    assert list(summary.sexes.items()) == [("M", 6), ("F", 5)]
    assert summary.sizes == [((128, 128), 49)]
    assert summary.formats == [("jpg RGB", 49)]
    assert summary.shared_persons == []


def test_the_report_does_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12, images=10)
    (root / "trainset/P2/000003.jpg").write_bytes(b"broken")
    one, four = check_cohort(root, workers=1), check_cohort(root, workers=4)
    assert one == four


def test_progress_adds_up(tmp_path: Path) -> None:
    progress = Recorder()
    check_cohort(tiny_cohort(tmp_path, n=12, images=10), progress=progress)
    assert progress.events[0] == ("checking images", 120)
    assert sum(n for what, n in progress.events if what == "advance") == 120
    assert progress.events[-1] == ("stop", 0)


def enlarge(paths: Sequence[Path], side: int) -> None:
    for path in paths:
        with Image.open(path) as image:
            image.resize((side, side)).save(path)


def test_odd_images_of_a_patient_are_one_problem(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12, images=5)
    enlarge(sorted((root / "trainset/P4").glob("*.jpg"))[1:], 160)
    (problem,) = check_cohort(root).problems
    assert problem.where.path.name == "000001.jpg"
    assert "160 × 160 pixels, most images are 128 × 128 (and 3 more images of P4)" in str(problem)


def test_the_smallest_size_follows_the_layout(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12, side=96)
    assert {p.code for p in check_cohort(root).errors} == {"image-too-small"}
    (root / LAYOUT_FILE).write_text("[images]\nsmallest = 96\n")
    assert check_cohort(root).problems == ()


def test_many_copies_of_one_file_are_told_against_the_first(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12, images=4)
    source = root / "trainset/P0/000000.jpg"
    for path in (root / "trainset").glob("P[123]/*.jpg"):
        shutil.copy(source, path)
    errors = check_cohort(root).errors
    assert len(errors) == 3
    assert all("(and 3 more pairs of P0 and P" in str(error) for error in errors)


def test_one_image_in_two_records_of_one_person_is_a_warning(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12)
    for patient, birth in (("P2", "4/13/1941"), ("P4", "13-04-1941")):
        edit_row(root, patient, "DOB", birth)
        edit_row(root, patient, "GENDER", "F")
    shutil.copy(root / "trainset/P2/000000.jpg", root / "trainset/P4/000000.jpg")
    report = check_cohort(root)
    assert [(p.severity, p.code) for p in report.problems] == [("warning", "duplicate-image")]
    assert report.summary is not None
    assert report.summary.shared_persons == [["P2", "P4"]]


def test_a_cohort_without_readable_images_has_no_audit(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=4, images=1)
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"no image " + path.parent.name.encode())
    report = check_cohort(root)
    assert len(report.errors) == 4
    assert report.audit == ()
    assert report.summary is not None
    assert report.summary.sizes == []


def test_an_unusable_mapping_is_raised(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=4)
    (root / LAYOUT_FILE).write_text("[columns]\nidd = 'x'\n")
    with pytest.raises(InputError, match="did you mean 'id'"):
        check_cohort(root)


def test_nothing_is_written(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=4)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    check_cohort(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_shortcut_is_found(tmp_path: Path) -> None:
    """Malignant bags are made larger and bluer; reactive dates are all written day-month-year."""
    root = tiny_cohort(tmp_path, n=40, images=3)
    for i in range(1, 30, 2):
        for path in (root / f"trainset/P{i}").glob("*.jpg"):
            with Image.open(path) as image:
                pixels = np.asarray(image).copy()
            pixels[..., 2] = 200 + pixels[..., 2] // 8
            Image.fromarray(pixels).save(path)
        for k in range(i % 3 + 1):
            Image.fromarray(
                np.random.default_rng((i, k)).integers(0, 256, (128, 128, 3), dtype=np.uint8)
            ).save(root / f"trainset/P{i}/more{k}.jpg")
    shortcuts = {s.name: s for s in check_cohort(root).audit}
    bag_size = shortcuts["bag size"].auc
    assert bag_size.value == bag_size.high == 1
    assert 0.5 < bag_size.low < 1  # 15 and 15 patients that are told apart do not prove that all are
    assert shortcuts["bag size"].sentence == (
        "Bag size alone separates the classes: AUC 1.00 (0.78–1.00), larger in malignant patients; "
        "a head that sees the number of images would use it."
    )
    assert shortcuts["date of birth written d-m-y"].higher_in == "malignant"  # odd numbers
    assert shortcuts["mean blue"].higher_in == "malignant"
    assert shortcuts["mean blue"].separates
    assert shortcuts["blue deviation within an image"].higher_in == "reactive"
    assert "image width" not in shortcuts  # it does not vary
    assert "count missing" not in shortcuts


def test_a_cohort_without_labels_is_told_what_can_be_done_with_it(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12)
    shutil.rmtree(root / "trainset")
    (root / "clinical_annotation.csv").unlink()
    report = check_cohort(root)
    (told,) = [problem for problem in report.problems if problem.code == "few-patients"]
    assert told.message == "has no label, so that no head can be fitted"
    assert told.remedy == "features can be computed without"
    assert report.errors == ()
    assert read_cohort(root).patients
