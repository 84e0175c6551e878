"""IDs that files cannot hold, or that spreadsheets take for formulas."""

from collections.abc import Callable
from pathlib import Path

from .bad_input import CLINICAL_TABLE, TRAIN_TABLE, BadInput


def _called(name: str, cell: str = "") -> Callable[[Path], None]:
    """Give P3 another ID in tables (as `cell`, if it needs quotes) and folders."""

    def mutate(root: Path) -> None:
        for table in (TRAIN_TABLE, CLINICAL_TABLE):
            text = (root / table).read_text(encoding="utf-8")
            (root / table).write_text(text.replace("P3,", f"{cell or name},"), encoding="utf-8")
        (root / "trainset" / "P3").rename(root / "trainset" / name)

    return mutate


def _formula(name: str) -> BadInput:
    return BadInput(
        f"formula {name} for an ID",
        _called(name),
        f"trainset/trainset_true.csv, row 5: ID '{name}' begins with a sign that spreadsheets take for a formula",
        "--csv-for excel",
        "warning",
    )


IDS = [
    *map(_formula, ("=1+1", "+49", "-7", "@SUM(A1)", "＝1")),
    BadInput(
        "line break in an ID",
        _called("P\n3", '"P\n3"'),
        "trainset/trainset_true.csv, row 5: ID 'P\\n3' holds a line break, a tab or another control character",
        "give the patient an ID without it",
        "error",
    ),
    BadInput(
        "escape sequence in an ID",
        _called("P\x1b[31m3"),
        "trainset/trainset_true.csv, row 5: ID 'P\\x1b[31m3' holds a line break",
        "give the patient an ID without it",
        "error",
    ),
    BadInput(
        "NUL in an ID",
        lambda root: (root / TRAIN_TABLE).write_bytes(
            (root / TRAIN_TABLE).read_bytes().replace(b"P3,", b"P\x003,")
        ),
        "trainset/trainset_true.csv, row 5: holds NUL characters",
        "save it as CSV in UTF-8 again",
        "error",
    ),
]
