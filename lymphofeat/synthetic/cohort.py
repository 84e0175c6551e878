"""A simulated cohort in the challenge's layout, with the truth beside it, for tests and demonstrations."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ..cohort.layout import LAYOUT_FILE
from ..errors import InputError
from ..progress import Progress, Silent
from ..storage.atomic import make_folder, move_into_place, naming, temporary_for
from .cells import CELL_TYPES, MORPHOLOGY, simulate_cells
from .images import paint_cell, simulate_slide
from .patients import Signal, SimulationSettings, simulate_patients

__all__ = ["Signal", "SimulationSettings", "simulate_cohort", "simulate_patients"]

SAMPLE_SHARE = 0.85  # of the test patients are named in sample_submission.csv
_SAVE: dict[str, dict[str, Any]] = {
    "jpg": {"format": "JPEG", "quality": 90},
    "png": {"format": "PNG", "compress_level": 1},
    "tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "bmp": {"format": "BMP"},
}
_SMUDGE = CELL_TYPES.index("smudge")


def simulate_cohort(out: Path, spec: SimulationSettings, *, progress: Progress | None = None) -> Path:
    """Draw patients, paint their cells and write the folder; the same spec gives the same bytes.

    Beside the challenge's files stand `truth_patients.csv` (per record: label, true probability of y = 1, person,
    birth, and what else `simulate_patients` names) and `truth_cells.csv` (per image: type, whether of the clone,
    morphology, and the areas of nucleus and cell in pixels of the image).
    The folder is written beside `out` and renamed into place, so that it is whole or absent.

    Returns:
        `out`.

    Raises:
        InputError: `out` exists and is not an empty folder.
    """
    out = Path(out).absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already and is not an empty folder; give another one.")
    progress = progress or Silent()
    patients = simulate_patients(spec, np.random.default_rng([spec.seed, 0]))
    make_folder(out.parent)
    temporary = temporary_for(out)
    progress.start("simulating cells", int(patients["n_images"].sum()), "images")
    try:
        with naming(out):
            temporary.mkdir()
            rows = enumerate(patients.itertuples())
            cells = [_paint_patient(temporary, spec, k, row, progress) for k, row in rows]
            _write_tables(temporary, spec, patients)
            _write_csv(pd.concat(cells), temporary / "truth_cells.csv")
            move_into_place(temporary, out)
    finally:
        progress.stop()
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _paint_patient(
    root: Path, spec: SimulationSettings, k: int, row: Any, progress: Progress
) -> pd.DataFrame:
    """Write one bag from a random stream of its own; its rows of truth_cells.csv."""
    rng = np.random.default_rng([spec.seed, 1, k])
    folder = root / f"{row.part}set" / row.id
    folder.mkdir(parents=True)
    types, morphology, clonal = simulate_cells(rng, row.n_images, row.clone_fraction, row.n_rare)
    slide = simulate_slide(rng, spec.size)
    names = [f"{i:06d}.{row.format}" for i in range(row.n_images)]
    areas = []
    for name, kind, values in zip(names, types, morphology, strict=True):
        cell = dict(zip(MORPHOLOGY, values.tolist(), strict=True))
        painted = paint_cell(slide, cell, rng, smudged=bool(kind == _SMUDGE))
        areas.append((int(painted.nucleus.sum()), int(painted.cell.sum())))
        Image.fromarray(painted.pixels).save(folder / name, **_SAVE[row.format])
        progress.advance()
    truth = pd.DataFrame(morphology.round(4), columns=list(MORPHOLOGY))
    truth[["nucleus_area", "cell_area"]] = np.array(areas)
    truth.insert(0, "patient", row.id)
    truth.insert(1, "file", names)
    truth.insert(2, "type", [CELL_TYPES[t] for t in types])
    truth.insert(3, "clonal", clonal.astype(int))
    return truth


def _write_tables(root: Path, spec: SimulationSettings, patients: pd.DataFrame) -> None:
    """The challenge's four tables and truth_patients.csv, each in an order of its own."""
    rng = np.random.default_rng([spec.seed, 2])
    (root / "trainset").mkdir(exist_ok=True)
    (root / "testset").mkdir(exist_ok=True)
    table = pd.DataFrame(
        {
            "ID": patients["id"],
            "LABEL": patients["label"].where(patients["part"] == "train", -1),
            "GENDER": patients["sex_written"],
            "DOB": [_written(b, o) for b, o in zip(patients["birth"], patients["date_order"], strict=True)],
            "LYMPH_COUNT": patients["lymphocyte_count"].round(2),
        }
    )
    train = table[patients["part"] == "train"]
    test = table[patients["part"] == "test"]
    mixed = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    mixed.to_csv(root / "clinical_annotation.csv", lineterminator="\n")
    _write_csv(train, root / "trainset" / "trainset_true.csv")
    _write_csv(test, root / "testset" / "testset_data.csv")
    named = rng.permutation(len(test))[: max(int(SAMPLE_SHARE * len(test)), min(len(test), 1))]
    _write_csv(pd.DataFrame({"ID": test["ID"].iloc[named], "LABEL": 0}), root / "sample_submission.csv")
    _write_csv(patients, root / "truth_patients.csv")
    slashed = patients.loc[patients["date_order"] == "m/d/y", "birth"]
    if not any(birth.day > 12 for birth in slashed):  # few patients: the dates alone do not tell their order
        (root / LAYOUT_FILE).write_text(
            '[values]\ndate_format = ["m/d/yyyy", "dd-mm-yyyy"]\n', encoding="utf-8"
        )


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, lineterminator="\n")


def _written(birth: date, order: str) -> str:
    """The date as the challenge's table writes it: m/d/yyyy without zeros, or dd-mm-yyyy."""
    if order == "d-m-y":
        return f"{birth:%d-%m-%Y}"
    return f"{birth.month}/{birth.day}/{birth.year}"
