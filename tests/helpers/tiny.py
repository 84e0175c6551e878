"""The smallest cohort that is one: noise for cells, rows of made-up values, in the challenge's layout."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "ID,LABEL,GENDER,DOB,LYMPH_COUNT"


def tiny_cohort(path: Path, n: int = 8, images: int = 3, seed: int = 0, side: int = 128) -> Path:
    """Draw `n` patients (three quarters labelled, in turn 0 and 1; the rest test) with `images` images each.

    The clinical table has an unnamed index column, as the challenge's; IDs are P0, P1, …; the dates of birth
    are all different and written month/day/year for even IDs, day-month-year for odd ones.
    """
    rng = np.random.default_rng(seed)
    n_train = n - n // 4
    rows = []
    for i in range(n):
        day, month, year = 1 + i % 28, 1 + i % 12, 1930 + i % 60
        birth = f"{month}/{day}/{year}" if i % 2 == 0 else f"{day:02d}-{month:02d}-{year}"
        label = i % 2 if i < n_train else -1
        rows.append(f"P{i},{label},{'MF'[i // 2 % 2]},{birth},{rng.uniform(4, 40):.2f}")
        folder = path / ("trainset" if i < n_train else "testset") / f"P{i}"
        folder.mkdir(parents=True)
        for k in range(images):
            pixels = rng.integers(0, 256, size=(side // 8, side // 8, 3), dtype=np.uint8)
            enlarged = Image.fromarray(np.kron(pixels, np.ones((8, 8, 1), dtype=np.uint8)))
            enlarged.save(folder / f"{k:06d}.jpg", quality=90)
    write_table(path / "trainset" / "trainset_true.csv", [HEADER, *rows[:n_train]])
    write_table(path / "testset" / "testset_data.csv", [HEADER, *rows[n_train:]])
    indexed = [f"{i},{row}" for i, row in enumerate(rows)]
    write_table(path / "clinical_annotation.csv", ["," + HEADER, *indexed])
    return path


def write_table(path: Path, lines: list[str]) -> None:
    """Write lines as a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def edit(path: Path, old: str, new: str) -> None:
    """Replace the one place where `old` stands in a text file."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{old!r} stands {text.count(old)} times in {path}")
    path.write_text(text.replace(old, new), encoding="utf-8")


def edit_row(root: Path, patient: str, column: str, value: str) -> None:
    """Set one value of a patient in every table that has the patient."""
    tables = ("clinical_annotation.csv", "trainset/trainset_true.csv", "testset/testset_data.csv")
    for path in (root / name for name in tables if (root / name).exists()):
        lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        at, identity = lines[0].index(column), lines[0].index("ID")
        for line in lines[1:]:
            if line[identity] == patient:
                line[at] = value
        write_table(path, [",".join(line) for line in lines])


def with_columns(root: Path, columns: Mapping[str, Sequence[str]], separator: str = ",") -> Path:
    """Add columns, a cell per patient in the order P0, P1, …, to every table; `separator` parts all of them."""
    for name in ("clinical_annotation.csv", "trainset/trainset_true.csv", "testset/testset_data.csv"):
        lines = [line.split(",") for line in (root / name).read_text(encoding="utf-8").splitlines()]
        identity = lines[0].index("ID")
        for line in lines[1:]:
            line += [cells[int(line[identity][1:])] for cells in columns.values()]
        lines[0] += columns
        write_table(root / name, [separator.join(line) for line in lines])
    return root
