"""Folders of parts and of patients: missing, empty, or not in the tables."""

import shutil
from pathlib import Path

from .bad_input import BadInput, image_of


def _empty_folder(root: Path) -> None:
    for path in (root / "trainset" / "P3").iterdir():
        path.unlink()


FOLDERS = [
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
        "other file beside images",
        lambda root: (root / "trainset/P3/notes.txt").write_text("a note"),
        "trainset/P3: holds files that are not images (notes.txt)",
        "remove them",
        "warning",
    ),
    BadInput(
        "image outside patient folders",
        lambda root: shutil.copy(image_of(root), root / "trainset" / "a.jpg"),
        "trainset: holds 1 image outside patient folders (a.jpg)",
        "put each into the folder",
        "warning",
    ),
]
